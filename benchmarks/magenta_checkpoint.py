"""A checkpoint that `@magenta/music`'s DDSP class plays, made of ddsp's parts, to compare with.

Magenta's presets are not packaged anywhere; this one has their interface (250 frames a second in, 16 kHz audio out)
and 133,000 parameters, some fifteen times fewer than theirs, so the comparison is in Magenta's favour.
"""

from __future__ import annotations

import json
import pathlib
import tempfile
from typing import Any

from tinytimbre.ddsp_door import import_ddsp, import_ddsp_training
from tinytimbre.export import converter

SAMPLE_RATE_HZ, HOP, FRAMES = 16_000, 64, 1250
HARMONICS, CHANNELS, LAYERS = 60, 64, 5
SETTINGS = {
    "averageMaxLoudness": -45,
    "loudnessThreshold": -100,
    "meanLoudness": -70,
    "meanPitch": 62,
    "postGain": 1,
    "modelMaxFrameLength": FRAMES,
}


def write_checkpoint(folder: pathlib.Path) -> None:
    """Writes model.json, weights and settings.json."""
    with tempfile.TemporaryDirectory() as name:
        frozen = pathlib.Path(name) / "frozen.pb"
        frozen.write_bytes(_frozen())
        tool = converter._tensorflowjs("converters.tf_saved_model_conversion_v2")
        with converter._quiet():
            tool.convert_tf_frozen_model(str(frozen), "audio", str(folder))
    (folder / "settings.json").write_text(json.dumps(SETTINGS))


def _frozen() -> bytes:
    core = import_ddsp().core

    # ddsp's own makes a constant of zeros as large as the audio times the harmonics, 19 MB here.
    def audible(frequencies: Any, amplitudes: Any, sample_rate: int = SAMPLE_RATE_HZ, **_: Any) -> Any:
        import tensorflow as tf

        return amplitudes * tf.cast(frequencies < sample_rate / 2.0, tf.float32)

    original, core.remove_above_nyquist = core.remove_above_nyquist, audible
    try:
        return _graph(core)
    finally:
        core.remove_above_nyquist = original


def _graph(core: Any) -> bytes:
    import tensorflow as tf
    from tensorflow.python.framework import convert_to_constants

    decoder = import_ddsp_training().decoders.DilatedConvDecoder(
        ch=CHANNELS,
        layers_per_stack=LAYERS,
        stacks=2,
        conditioning_keys=None,
        input_keys=("ld_scaled", "f0_scaled"),
        output_splits=(("amps", 1), ("harmonic_distribution", HARMONICS)),
    )
    harmonic = import_ddsp().synths.Harmonic(n_samples=FRAMES * HOP, sample_rate=SAMPLE_RATE_HZ)

    @tf.function(autograph=False)
    def synthesise(f0_hz: tf.Tensor, loudness_db: tf.Tensor) -> tf.Tensor:
        f0_hz, loudness_db = f0_hz[tf.newaxis, :, tf.newaxis], loudness_db[tf.newaxis, :, tf.newaxis]
        controls = decoder({"f0_scaled": core.hz_to_midi(f0_hz) / 127.0, "ld_scaled": loudness_db / 120.0 + 1.0})
        audio = harmonic(controls["amps"], controls["harmonic_distribution"], f0_hz)
        return tf.identity(audio[0], name="audio")

    ends = tf.TensorSpec([FRAMES], name="f0_hz"), tf.TensorSpec([FRAMES], name="loudness_db")
    frozen = convert_to_constants.convert_variables_to_constants_v2(synthesise.get_concrete_function(*ends))
    return bytes(frozen.graph.as_graph_def().SerializeToString())
