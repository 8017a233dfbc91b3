"""What the exported models sound like, in numbers."""
