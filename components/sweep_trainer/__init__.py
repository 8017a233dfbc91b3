"""One rung of successive halving, or one shard of it."""
