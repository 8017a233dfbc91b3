"""Pitch, loudness and energy of every recording, through Beam."""
