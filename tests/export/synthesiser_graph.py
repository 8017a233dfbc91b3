"""A graph as Magenta's clients have it, made of ddsp's own parts: convolutional decoder and harmonic synthesiser."""

from __future__ import annotations

import pathlib
import tempfile

import tensorflow as tf

from tinytimbre.ddsp_door import import_ddsp, import_ddsp_training
from tinytimbre.export.compaction import Graph
from tinytimbre.export.converter import convert_frozen, freeze
from tinytimbre.export.settings import CONTROLS, INPUTS, NEXT_STATE, STATE

SAMPLE_RATE_HZ = 16_000


def synthesiser_graph(*, frames: int, n_samples: int, harmonics: int, channels: int = 8, layers: int = 2) -> Graph:
    """Converted, not compacted: [1, 2 * frames] (f0 in Hz, then loudness in dB) to ``controls``, samples [1, n].

    A state [1, 1] goes through untouched, so that whatever runs TinyTimbre's steps runs this too. Filtered noise is
    left out: it draws from TensorFlow.js' random generator, and its window needs Roll, which TensorFlow.js lacks.
    """
    core, synths = import_ddsp().core, import_ddsp().synths
    tf.random.set_seed(1)
    decoder = import_ddsp_training().decoders.DilatedConvDecoder(
        ch=channels,
        layers_per_stack=layers,
        stacks=1,
        conditioning_keys=None,
        input_keys=("ld_scaled", "f0_scaled"),
        output_splits=(("amps", 1), ("harmonic_distribution", harmonics)),
    )
    harmonic = synths.Harmonic(n_samples=n_samples, sample_rate=SAMPLE_RATE_HZ)

    @tf.function(autograph=False)
    def synthesise(inputs: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        f0_hz, loudness_db = (part[:, :, tf.newaxis] for part in tf.split(inputs, 2, axis=-1))
        scaled = {"f0_scaled": core.hz_to_midi(f0_hz) / 127.0, "ld_scaled": loudness_db / 80.0 + 1.0}
        controls = decoder(scaled)
        audio = harmonic(controls["amps"], controls["harmonic_distribution"], f0_hz)
        return tf.identity(audio, name=CONTROLS), tf.identity(state, name=NEXT_STATE)

    ends = tf.TensorSpec([1, 2 * frames], name=INPUTS), tf.TensorSpec([1, 1], name=STATE)
    frozen = freeze(synthesise.get_concrete_function(*ends))
    with tempfile.TemporaryDirectory() as folder:
        graph = convert_frozen(frozen, outputs=(CONTROLS, NEXT_STATE), folder=pathlib.Path(folder))
    signature = {
        "inputs": {name: {"name": f"{name}:0"} for name in (INPUTS, STATE)},
        "outputs": {name: {"name": f"{name}:0"} for name in (CONTROLS, NEXT_STATE)},
    }
    return Graph({**graph.model, "signature": signature}, graph.tensors)
