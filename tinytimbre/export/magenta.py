"""Profile ``magenta``: the trained model as `@magenta/music`'s ``DDSP`` class loads it, synthesiser inside.

    export_magenta(load_bundle("published/violin/0001-…"), output="violin-magenta")

That class (read in release 1.23.1) calls ``model.predict({f0_hz, loudness_db})`` with ``modelMaxFrameLength`` frames
at 250 a second, reads one tensor of 64 samples a frame at 16 kHz, and fetches ``settings.json`` beside ``model.json``.
Its loudness is unweighted RMS over 1024 samples, in dB minus 20.7, at least -120. `predict` refuses loops, and its
TensorFlow.js 2.8 computes an FFT slowly or not at all, so recurrent decoders are unrolled and filters are convolutions.
"""

from __future__ import annotations

import base64
import json
import math
import pathlib
from typing import TYPE_CHECKING, Any

import numpy as np

from tinytimbre.errors import TinyTimbreError
from tinytimbre.export.bundle import LoadedBundle
from tinytimbre.export.levels import level_from_energy, loudest_db
from tinytimbre.export.settings import SETTINGS_FILE, BundleSettings
from tinytimbre.synthesis import noise, oscillators

if TYPE_CHECKING:
    import tensorflow as tf

    from tinytimbre.export.compaction import Graph

SAMPLE_RATE_HZ = 16_000
FRAME_RATE_HZ = 250
FRAMES = 1250
"""As in Magenta's own checkpoints: five seconds, of which one fades into the next."""
REFERENCE_DB = 20.7
LOWEST_DB = -120.0
# Beyond the pitches it was trained on, a decoder makes things up; an octave is what singers and octave shifts ask for.
PITCH_MARGIN = 12.0
SIGMOID = base64.b64encode(b"Sigmoid").decode()


def export_magenta(bundle: LoadedBundle, *, output: str | pathlib.Path, frames: int = FRAMES) -> pathlib.Path:
    """Writes ``model.json``, ``weights.bin`` and ``settings.json``, all in float32.

    Args:
        bundle: a model at 16 kHz whose frame rate divides 250.
        output: folder, made where it does not exist.
        frames: of one prediction, a multiple of 250 / frame rate, above 250: the client fades over one second.

    Raises:
        TinyTimbreError: the model has another sample rate or frame rate.
    """
    from tinytimbre.export.compaction import compact
    from tinytimbre.export.converter import convert_function
    from tinytimbre.export.graphs import ConvertedGraph, write_graph

    check_magenta(bundle.settings, frames=frames)
    converted = convert_function(synthesis_function(bundle, frames=frames), outputs=("audio",))
    graph = compact(without_fused_sigmoid(converted))
    output = pathlib.Path(output)
    whole = ConvertedGraph(model=dict(graph.model), weights={}, constants=dict(graph.tensors))
    write_graph(whole, quantisation="float32", output=output)
    text = json.dumps(client_settings(bundle.settings, frames=frames), indent=1)
    (output / SETTINGS_FILE).write_text(text + "\n", encoding="utf-8")
    return output


def without_fused_sigmoid(graph: Graph) -> Graph:
    """Sigmoids as nodes of their own: the client's WebGL backend knows no product that ends in one."""
    nodes = []
    for node in graph.nodes:
        fused = node.get("attr", {}).get("fused_ops", {}).get("list", {}).get("s", [])
        if SIGMOID not in fused:
            nodes.append(node)
            continue
        name = f"{node['name']}/linear"
        rest = {"fused_ops": {"list": {"s": [kind for kind in fused if kind != SIGMOID]}}}
        nodes.append({**node, "name": name, "attr": {**node["attr"], **rest}})
        nodes.append({"name": node["name"], "op": "Sigmoid", "input": [name]})
    return graph.with_nodes(nodes)


def check_magenta(settings: BundleSettings, *, frames: int = FRAMES) -> None:
    """Says why a model cannot be packaged.

    Raises:
        TinyTimbreError: the model has another sample rate or frame rate, or the block is too short.
    """
    rates = f"{settings.sample_rate_hz} Hz, {settings.frame_rate_hz:g} frames a second"
    if settings.sample_rate_hz != SAMPLE_RATE_HZ or FRAME_RATE_HZ % settings.frame_rate_hz:
        raise TinyTimbreError(
            f"@magenta/music plays {SAMPLE_RATE_HZ} Hz, {FRAME_RATE_HZ} times a second or a whole part of it",
            got=f"a model at {rates}",
            remedy="train with audio.sample_rate_hz: 16000 and features.frame_rate_hz: 50, 62.5, 125 or 250",
        )
    if frames <= FRAME_RATE_HZ or frames % (FRAME_RATE_HZ / settings.frame_rate_hz):
        raise ValueError(f"frames must exceed {FRAME_RATE_HZ} and fill frames of the model, got {frames}")


def client_settings(settings: BundleSettings, *, frames: int = FRAMES) -> dict[str, Any]:
    """What the client shifts a recording towards: pitch in MIDI, levels on its own scale."""
    level = settings.statistics.rms_energy_db
    return {
        "averageMaxLoudness": round(level.quantiles["p95"] - REFERENCE_DB, 2),
        "meanLoudness": round(level.mean - REFERENCE_DB, 2),
        "loudnessThreshold": round(max(LOWEST_DB, level.min - REFERENCE_DB), 2),
        "meanPitch": round(settings.statistics.pitch_midi.mean, 2),
        "postGain": 1,
        "modelMaxFrameLength": frames,
        "instrument": settings.instrument,
        "trial_id": settings.trial_id,
        "data": [licence.model_dump() for licence in settings.data],
    }


def synthesis_function(bundle: LoadedBundle, *, frames: int = FRAMES) -> Any:
    """A concrete function from ``f0_hz`` and ``loudness_db``, both [frames], to ``audio`` [frames * 64]."""
    import tensorflow as tf

    settings, decoder = bundle.settings, bundle.decoder
    stride = round(FRAME_RATE_HZ / settings.frame_rate_hz)

    @tf.function(autograph=False)
    def play(f0_hz: tf.Tensor, loudness_db: tf.Tensor) -> tf.Tensor:
        f0_hz = tf.maximum(tf.reshape(f0_hz, [-1, stride])[:, :1], 0.0)
        level = tf.reshape(loudness_db, [-1, stride])[:, :1]
        controls, _ = decoder.block(_inputs(f0_hz, level, settings), decoder.initial_state(1))
        audio = _harmonics(controls, f0_hz, settings) + _filtered_noise(controls, settings)
        return tf.identity(tf.reshape(audio, [-1]), name="audio")

    return play.get_concrete_function(
        tf.TensorSpec([frames], name="f0_hz"), tf.TensorSpec([frames], name="loudness_db")
    )


def _inputs(f0_hz: tf.Tensor, client_db: tf.Tensor, settings: BundleSettings) -> tf.Tensor:
    """The decoder's two inputs [frames, 2] from the client's two [frames, 1]."""
    import tensorflow as tf

    pitches, scaling = settings.statistics.pitch_midi, settings.input_scaling
    midi = 69.0 + (12.0 / math.log(2.0)) * tf.math.log(tf.maximum(f0_hz, 1.0) / 440.0)
    midi = tf.clip_by_value(midi, pitches.min - PITCH_MARGIN, pitches.max + PITCH_MARGIN)
    gain, offset = level_from_energy(settings)
    level_db = (client_db + REFERENCE_DB) * gain + offset
    level_db = tf.clip_by_value(level_db, -scaling.db_range, loudest_db(settings))
    # The client's silence must be silent, whatever an instrument's loudness makes of its spread.
    level_db = tf.where(client_db > LOWEST_DB, level_db, -scaling.db_range)
    return tf.concat([midi / scaling.midi_range, level_db / scaling.db_range + 1.0], axis=-1)


def _harmonics(controls: tf.Tensor, f0_hz: tf.Tensor, settings: BundleSettings) -> tf.Tensor:
    """As `tinytimbre.synthesis.oscillators`, float32 [frames, hop]; the phase adds up frame by frame, modulo 1."""
    import tensorflow as tf

    hop, count = settings.hop, settings.harmonics
    numbers = np.arange(1, count + 1, dtype=np.float32)
    following = tf.concat([f0_hz[1:], f0_hz[-1:]], axis=0)
    samples = np.arange(hop, dtype=np.float32)[np.newaxis]
    f0_samples = f0_hz + (following - f0_hz) * (samples / hop)
    # Sums of the linear ramp up to and with each sample: exact, so nothing adds up over samples.
    within = f0_hz * ((samples + 1) / SAMPLE_RATE_HZ) + (following - f0_hz) * (
        samples * (samples + 1) / (2 * hop * SAMPLE_RATE_HZ)
    )
    start = tf.cumsum(_fraction(within[:, -1:]), axis=0, exclusive=True)
    phase = _fraction(_fraction(start) + _fraction(within))[:, tf.newaxis]
    sines = tf.sin(_fraction(phase * numbers[:, np.newaxis]) * (2.0 * math.pi))
    audible = tf.cast(f0_samples[:, tf.newaxis] * numbers[:, np.newaxis] < SAMPLE_RATE_HZ / 2, tf.float32)
    amplitudes = _amplitudes(controls, f0_hz, numbers)
    ends = tf.stack([amplitudes, tf.concat([amplitudes[1:], amplitudes[-1:]], axis=0)], axis=1)
    ramps = np.stack(oscillators.hann_ramps(hop)).astype(np.float32)
    return tf.reduce_sum(tf.matmul(ends, sines * audible) * ramps, axis=1)


def _fraction(cycles: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    return cycles - tf.floor(cycles)


def _amplitudes(controls: tf.Tensor, f0_hz: tf.Tensor, numbers: np.ndarray) -> tf.Tensor:
    import tensorflow as tf

    audible = tf.cast(f0_hz * numbers < SAMPLE_RATE_HZ / 2, tf.float32)
    distribution = controls[:, 1 : 1 + len(numbers)] * audible
    total = tf.reduce_sum(distribution, axis=-1, keepdims=True)
    return controls[:, :1] * distribution / tf.maximum(total, 1e-7)


def _filtered_noise(controls: tf.Tensor, settings: BundleSettings) -> tf.Tensor:
    """As `tinytimbre.synthesis.noise`: each band's magnitude gates the noise, and one convolution filters them all."""
    import tensorflow as tf

    bands, hop = settings.noise_bands, settings.hop
    magnitudes = controls[:, 1 + settings.harmonics :]
    frames = magnitudes.shape[0]
    white = tf.random.uniform([frames, hop, 1], minval=-1.0, maxval=1.0)
    gated = tf.reshape(white * magnitudes[:, tf.newaxis], [1, 1, frames * hop, bands])
    responses = noise.impulse_responses(bands)
    taps, delay = responses.shape[1], noise.delay_samples(bands)
    padded = tf.pad(gated, [[0, 0], [0, 0], [taps - 1 - delay, delay], [0, 0]])
    kernel = np.ascontiguousarray(responses[:, ::-1].T.astype(np.float32).reshape(1, taps, bands, 1))
    return tf.reshape(tf.nn.conv2d(padded, kernel, strides=1, padding="VALID"), [frames, hop])
