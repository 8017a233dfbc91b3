"""Training: clips, loss, optimiser, and models trained side by side."""
