"""Synthesis: controls and pitch in, audio out; harmonics plus filtered noise, linear in the controls."""

from tinytimbre.synthesis.streaming import Synthesiser, synthesise

__all__ = ["Synthesiser", "synthesise"]
