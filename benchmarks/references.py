"""The two known configurations that a sweep's models are set beside, and what known systems weigh.

Parameters of ddsp 3.7.0 are counted from its layers. Ours are the nearest that our decoders allow; what differs stands
in ``differs``. A reference is trained by the same steps on the same clips as the finalists (`benchmarks.finals`).
"""

from __future__ import annotations

import dataclasses

from tinytimbre.decoders.spec import DecoderSpec


@dataclasses.dataclass(frozen=True)
class Reference:
    """A published configuration, our nearest to it, and the difference in words."""

    name: str
    source: str
    parameters: int
    decoder: DecoderSpec
    differs: str


REFERENCES = (
    Reference(
        name="DDSP-VST's configuration",
        source="ddsp 3.7.0, training/gin/models/vst/vst.gin",
        parameters=1_873_278,
        decoder=DecoderSpec(kind="gru", input="rms_energy", harmonics=60, noise_bands=65, width=512, depth=4),
        differs=(
            "the same GRU of 512 units, 50 frames a second, power as input, 60 harmonics and 65 noise bands; ours has "
            "four dense layers behind the GRU in place of ddsp's wide GRU input (two stacks of 256) and one layer of "
            "256 behind, without layer normalisation: 1,907,838 parameters for 1,873,278"
        ),
    ),
    Reference(
        name="Magenta's tiny model",
        source="ddsp 3.7.0, training/gin/papers/iclr2020/tiny_instrument.gin",
        parameters=232_314,
        decoder=DecoderSpec(kind="gru", input="loudness", harmonics=60, noise_bands=65, width=256, depth=0),
        differs=(
            "the same GRU of 256 units with loudness as input; ddsp's head also sees the two inputs (252 weights "
            "more), its frames are 250 a second, ours the sweep's, and its room of 48,000 trained numbers is left out"
        ),
    ),
)


@dataclasses.dataclass(frozen=True)
class KnownSize:
    """What a known system asks a listener to download for one instrument."""

    name: str
    n_bytes: int
    what: str
    source: str


KNOWN_SIZES = (
    KnownSize(
        "Sounds of India", 300_000, "a model after compression, as its makers report",
        "Google's article on the system: from 10 MB to 300 KB a model",
    ),
    KnownSize(
        "@magenta/music 1.23.1", 3_900_000, "a preset of its DDSP class (violin, flute, trumpet, saxophone)",
        "magenta-js, music/src/ddsp/README.md",
    ),
    KnownSize(
        "DDSP-VST", 7_495_052, "a model in float32, exported from vst.gin by ddsp 3.7.0",
        "ddsp_export on models/vst/vst.gin",
    ),
)  # fmt: skip
