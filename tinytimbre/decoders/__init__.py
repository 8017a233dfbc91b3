"""Decoders: (pitch, level) in, synthesiser controls out, one frame at a time.

`DecoderSpec` is pure arithmetic; `build_decoder` imports TensorFlow, so it is loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tinytimbre.decoders.spec import DecoderSpec

if TYPE_CHECKING:
    from tinytimbre.decoders.base import Decoder, InputRange, build_decoder

__all__ = ["Decoder", "DecoderSpec", "InputRange", "build_decoder"]


def __getattr__(name: str) -> Any:
    if name in ("Decoder", "InputRange", "build_decoder"):
        from tinytimbre.decoders import base

        return getattr(base, name)
    raise AttributeError(name)
