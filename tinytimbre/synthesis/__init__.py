"""Synthesis: controls and pitch in, audio out; harmonics plus filtered noise, linear in the controls, then a room."""

from tinytimbre.synthesis.reverb import Reverb, StreamingReverb
from tinytimbre.synthesis.streaming import Synthesiser, synthesise

__all__ = ["Reverb", "StreamingReverb", "Synthesiser", "synthesise"]
