"""Search space and features to trials."""
