"""A graph as Magenta's clients have it, made of ddsp's own parts: convolutional decoder and harmonic synthesiser."""

from __future__ import annotations

import tensorflow as tf

from tinytimbre.ddsp_door import import_ddsp, import_ddsp_training
from tinytimbre.export.compaction import Graph
from tinytimbre.export.converter import convert_function

SAMPLE_RATE_HZ = 16_000


def synthesiser_graph(*, frames: int, n_samples: int, harmonics: int, channels: int = 8, layers: int = 2) -> Graph:
    """Converted, not compacted: ``f0_hz`` and ``loudness_db``, both [frames], to ``audio`` [1, n_samples].

    Filtered noise is left out: it would be other noise each time, and its window needs Roll, which TensorFlow.js lacks.
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
    def synthesise(f0_hz: tf.Tensor, loudness_db: tf.Tensor) -> tf.Tensor:
        f0_hz, loudness_db = f0_hz[tf.newaxis, :, tf.newaxis], loudness_db[tf.newaxis, :, tf.newaxis]
        controls = decoder({"f0_scaled": core.hz_to_midi(f0_hz) / 127.0, "ld_scaled": loudness_db / 80.0 + 1.0})
        audio = harmonic(controls["amps"], controls["harmonic_distribution"], f0_hz)
        return tf.identity(audio, name="audio")

    ends = tf.TensorSpec([frames], name="f0_hz"), tf.TensorSpec([frames], name="loudness_db")
    return convert_function(synthesise.get_concrete_function(*ends), outputs=("audio",))
