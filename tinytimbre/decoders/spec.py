"""What a decoder is, and what it costs, before any of it exists.

    spec = DecoderSpec(kind="gru", input="loudness", harmonics=60, noise_bands=65, width=64, depth=0)
    spec.parameters, spec.state_size, spec.mflops(frame_rate_hz=50)

A decoder maps two inputs a frame (pitch, level) to ``1 + harmonics + noise_bands`` controls:

* ``gru``: one GRU of ``width`` units, then ``depth`` dense layers of ``width`` with ReLU, then a linear head.
* ``cnn``: a pointwise layer to ``width`` channels, ``depth`` residual blocks (causal convolution of
  ``kernel_size`` taps with dilation ``2 ** (block % 6)``, ReLU, pointwise), then a linear head.

``reverb_bands`` adds a room behind the synthesiser, two trained numbers a band (`tinytimbre.synthesis.reverb`).
"""

from __future__ import annotations

from typing import Any, Self

import pydantic

from tinytimbre.config import DecoderKind, InputKind
from tinytimbre.synthesis.reverb import MAX_BANDS, reverb_mflops

N_INPUTS = 2
N_DILATIONS = 6


class DecoderSpec(pydantic.BaseModel):
    """Architecture and size of a decoder; every number below follows from these eight fields."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    kind: DecoderKind
    input: InputKind
    harmonics: int = pydantic.Field(ge=1, le=256)
    noise_bands: int = pydantic.Field(ge=3, le=257, description="two would act as one: their window has one tap")
    width: int = pydantic.Field(ge=1, le=4096)
    depth: int = pydantic.Field(0, ge=0, le=64)
    kernel_size: int = pydantic.Field(3, ge=2, le=32, description="taps of the convolutions; unused by gru")
    reverb_bands: int = pydantic.Field(0, ge=0, le=MAX_BANDS, description="of the room's response; 0 for no room")

    @pydantic.model_serializer(mode="wrap")
    def _without_what_is_not_there(self, serialise: pydantic.SerializerFunctionWrapHandler) -> dict[str, Any]:
        """No room leaves no trace, so trial ids and bundles are what they were before there were rooms."""
        fields: dict[str, Any] = serialise(self)
        return fields if self.reverb_bands else {k: v for k, v in fields.items() if k != "reverb_bands"}

    @property
    def n_controls(self) -> int:
        """Outputs a frame: one amplitude, the harmonic distribution, the noise magnitudes."""
        return 1 + self.harmonics + self.noise_bands

    @property
    def dilations(self) -> tuple[int, ...]:
        """Dilation in frames of each convolution, first to last; empty for a GRU."""
        return tuple(2 ** (block % N_DILATIONS) for block in range(self.depth)) if self.kind == "cnn" else ()

    @property
    def state_size(self) -> int:
        """Numbers that a decoder carries from one frame to the next."""
        if self.kind == "gru":
            return self.width
        return sum((self.kernel_size - 1) * dilation * self.width for dilation in self.dilations)

    @property
    def macs_per_frame(self) -> int:
        """Multiply-adds of all matrix products in one frame."""
        width = self.width
        head = width * self.n_controls
        if self.kind == "gru":
            return 3 * width * (N_INPUTS + width) + self.depth * width * width + head
        return N_INPUTS * width + self.depth * (self.kernel_size + 1) * width * width + head

    @property
    def parameters(self) -> int:
        """Trained numbers, the room's and biases included (the GRU has two bias vectors a gate, as Keras' has)."""
        if self.kind == "gru":
            biases = 6 * self.width + self.depth * self.width
        else:
            biases = self.width + 2 * self.depth * self.width
        return self.macs_per_frame + biases + self.n_controls + 2 * self.reverb_bands

    def mflops(self, *, frame_rate_hz: float) -> float:
        """Million floating-point operations per second of audio in the decoder, two per multiply-add."""
        return 2e-6 * self.macs_per_frame * frame_rate_hz

    def reverb_mflops(self, *, sample_rate_hz: int) -> float:
        """The same for playing its sound in the room; 0 without one."""
        return reverb_mflops(sample_rate_hz=sample_rate_hz) if self.reverb_bands else 0.0

    def without_reverb(self) -> Self:
        """The same decoder with no room behind it: what an exported graph holds."""
        return self.model_copy(update={"reverb_bands": 0})
