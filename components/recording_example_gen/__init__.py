"""Recordings in: read, checked, grouped into takes, split."""
