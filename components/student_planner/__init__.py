"""Which finalists are distilled, and from whom."""
