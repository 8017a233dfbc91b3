"""The decision, with its evidence."""
