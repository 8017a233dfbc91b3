"""Profile ``vst``: the trained model as a TensorFlow Lite file that DDSP-VST's loader accepts.

    export_vst(load_bundle("published/violin/0001-…"), output="Violin.tflite", export_time="2026-01-31 12:00:00")

What the plug-in checks (src/audio/tflite/ModelLibrary.cpp and src/util/Constants.h of magenta/ddsp-vst): the names and
sizes of three inputs and four outputs, a GRU state of 512 among them. It reads ``metadata.json`` from a zip archive at
the end of the file, shows its ranges of pitch and power, and tells models apart by its ``export_time``. It analyses
16 kHz in frames of 1024 samples, 50 a second, and synthesises by itself.
"""

from __future__ import annotations

import json
import pathlib
import tempfile
import zipfile
from typing import TYPE_CHECKING, Any

from tinytimbre import __version__
from tinytimbre.errors import TinyTimbreError
from tinytimbre.export.bundle import LoadedBundle
from tinytimbre.export.levels import level_from_energy, loudest_db
from tinytimbre.export.settings import BundleSettings
from tinytimbre.features.scaling import midi_to_hz

if TYPE_CHECKING:
    import tensorflow as tf

WIDTH, HARMONICS, NOISE_BANDS = 512, 60, 65
SAMPLE_RATE_HZ, FRAME_RATE_HZ, FRAME_SIZE = 16_000, 50, 1024
METADATA_FILE = "metadata.json"


def export_vst(bundle: LoadedBundle, *, output: str | pathlib.Path, export_time: str) -> pathlib.Path:
    """Writes one file in float32, some 7.5 MB.

    Args:
        bundle: a GRU of 512 units with 60 harmonics and 65 noise bands, 50 frames a second at 16 kHz.
        output: the file; its name without ``.tflite`` is the one that the plug-in shows.
        export_time: any text that no other model in the plug-in has.

    Raises:
        TinyTimbreError: the plug-in would refuse the model.
    """
    check_vst(bundle.settings)
    output = pathlib.Path(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_bytes(_converted(bundle))
    with zipfile.ZipFile(output, "a") as archive:
        archive.writestr(METADATA_FILE, json.dumps(vst_metadata(bundle.settings, export_time=export_time)))
    return output


def check_vst(settings: BundleSettings) -> None:
    """Says why the plug-in would refuse a model.

    Raises:
        TinyTimbreError: with everything that does not fit.
    """
    spec = settings.decoder
    found: dict[str, tuple[object, object]] = {
        "decoder": (spec.kind, "gru"),
        "width": (spec.width, WIDTH),
        "harmonics": (spec.harmonics, HARMONICS),
        "noise_bands": (spec.noise_bands, NOISE_BANDS),
        "sample_rate_hz": (settings.sample_rate_hz, SAMPLE_RATE_HZ),
        "frame_rate_hz": (settings.frame_rate_hz, FRAME_RATE_HZ),
    }
    wrong = {name: pair for name, pair in found.items() if pair[0] != pair[1]}
    if wrong:
        raise TinyTimbreError(
            f"DDSP-VST accepts GRU decoders of {WIDTH} units with {HARMONICS} harmonics and {NOISE_BANDS} noise bands, "
            f"{FRAME_RATE_HZ} frames a second at {SAMPLE_RATE_HZ} Hz, and nothing else",
            got=", ".join(f"{name} {value} instead of {asked}" for name, (value, asked) in wrong.items()),
            cause="its loader compares the sizes of all tensors with constants",
            remedy="train a sweep whose search space holds that one size; TinyTimbre's own runtime plays any",
        )


def vst_metadata(settings: BundleSettings, *, export_time: str) -> dict[str, Any]:
    """Contents of ``metadata.json``; where ddsp averages over notes, these are the recordings' 5 % and 95 % points."""
    pitch, power = (settings.statistics.pitch_midi.quantiles, settings.statistics.rms_energy_db.quantiles)
    return {
        "mean_min_pitch_note": pitch["p05"],
        "mean_max_pitch_note": pitch["p95"],
        "mean_min_pitch_note_hz": float(midi_to_hz(pitch["p05"])),
        "mean_max_pitch_note_hz": float(midi_to_hz(pitch["p95"])),
        "mean_min_power_note": power["p05"],
        "mean_max_power_note": power["p95"],
        "version": f"tinytimbre {__version__}",
        "export_time": export_time,
        "num_harmonics": HARMONICS,
        "num_noise_amps": NOISE_BANDS,
        "frame_rate": FRAME_RATE_HZ,
        "frame_size": FRAME_SIZE,
        "sample_rate": SAMPLE_RATE_HZ,
        "instrument": settings.instrument,
        "trial_id": settings.trial_id,
        "data": [licence.model_dump() for licence in settings.data],
    }


def _converted(bundle: LoadedBundle) -> bytes:
    """Through a SavedModel with the signature ``call``, which gives the tensors the names that the plug-in asks for."""
    import tensorflow as tf

    settings, module = bundle.settings, tf.Module()
    module.decoder = bundle.decoder

    @tf.function(autograph=False)
    def call(f0_scaled: tf.Tensor, pw_scaled: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, ...]:
        inputs = tf.stack([f0_scaled, _level(pw_scaled, settings)], axis=-1)
        controls, next_state = bundle.decoder.step(inputs, state[tf.newaxis])
        return (*_outputs(controls[0], f0_scaled), next_state[0])

    module.call = call
    sizes = {"f0_scaled": 1, "pw_scaled": 1, "state": WIDTH}
    signature = call.get_concrete_function(**{name: tf.TensorSpec([n], name=name) for name, n in sizes.items()})
    with tempfile.TemporaryDirectory(prefix="tinytimbre-vst-") as folder:
        tf.saved_model.save(module, folder, signatures={"call": signature})
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["call"])
        # The plug-in links the built-in operations alone.
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        return bytes(converter.convert())


def _level(pw_scaled: tf.Tensor, settings: BundleSettings) -> tf.Tensor:
    """The plug-in's scaled power as the level that the decoder was trained with, scaled."""
    import tensorflow as tf

    if settings.input == "rms_energy":
        return pw_scaled
    db_range = settings.input_scaling.db_range
    gain, offset = level_from_energy(settings)
    level_db = tf.clip_by_value((pw_scaled - 1.0) * db_range * gain + offset, -db_range, loudest_db(settings))
    # Silence stays silence, whatever an instrument's loudness makes of its spread.
    return tf.where(pw_scaled > 0.0, level_db / db_range + 1.0, 0.0)


def _outputs(controls: tf.Tensor, f0_scaled: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Amplitude [1], distribution [60] that sums to one below half the sample rate, noise magnitudes [65]."""
    import tensorflow as tf

    f0_hz = 440.0 * 2.0 ** ((f0_scaled * 127.0 - 69.0) / 12.0)
    audible = tf.cast(f0_hz * tf.range(1, HARMONICS + 1, dtype=tf.float32) < SAMPLE_RATE_HZ / 2, tf.float32)
    distribution = controls[1 : 1 + HARMONICS] * audible
    total = tf.maximum(tf.reduce_sum(distribution, keepdims=True), 1e-7)
    return controls[:1], distribution / total, controls[1 + HARMONICS :]
