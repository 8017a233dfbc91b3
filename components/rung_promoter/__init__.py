"""Who goes on to the next rung."""
