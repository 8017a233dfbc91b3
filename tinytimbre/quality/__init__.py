"""Is the small model as good, and how do we know: metrics, evaluation of a take, gates."""
