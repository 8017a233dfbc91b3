"""The model card: what a published model is, what it costs, how good it is shown to be, and where it comes from.

    text = write_card(CardFacts(settings=settings, size=measure_bundle(folder), …))

Plain data in, Markdown out; nothing is looked up or measured here.
"""

from __future__ import annotations

from typing import Literal

import pydantic

from tinytimbre.config import TUNED_BITS
from tinytimbre.export.settings import BundleSettings, Record
from tinytimbre.export.size import BundleSize
from tinytimbre.markdown import markdown_table

# RNNoise, the usual yardstick for real-time networks in a browser: 17.5 network, 7.5 FFT, 10 pitch search, MFLOP/s.
RNNOISE_MFLOPS = 40.0
# Less than the last bit of float32.
INAUDIBLE_DB = -200.0
CONVERTER_TYPES = ("float32", "float16", "uint8")
LISTEN = "## Listen"


class CardMetric(Record):
    """One quality metric of the exported model on test takes, mean over takes with its confidence interval."""

    name: str
    unit: str
    mean: float
    low: float | None = None
    high: float | None = None
    better: Literal["lower", "higher"] = "lower"


class CardGate(Record):
    """One acceptance gate: ``bound`` is the one-sided confidence bound of how much worse than the reference."""

    name: str
    mean: float | None
    bound: float | None
    margin: float
    status: str


class CardTake(Record):
    """One recording that the model was made from."""

    recording_id: str
    take_id: str
    split: str
    seconds: float


class CardValidation(Record):
    """How the exported model did in the runtimes that play it.

    Attributes:
        where: such as "headless Chromium 150.0.7871.0" or "Node v22.22.0".
        why_not_browser: empty for a browser.
        controls: largest difference to TensorFlow in any control, by runtime.
        sounds_db: errors of sounds, largest to largest, by what was compared.
        missing: why a backend of TensorFlow.js was not there, by backend.
    """

    where: str
    why_not_browser: str = ""
    controls: dict[str, float]
    sounds_db: dict[str, float]
    missing: dict[str, str] = pydantic.Field(default_factory=dict)


class CardFacts(Record):
    """Everything that a card says.

    Attributes:
        settings: of the bundle; instrument, trial, sweep, licences and statistics come from here.
        size: of the bundle.
        decoder_mflops: million floating-point operations per second of audio, decoder only.
        synthesis_mflops: the same for harmonics and noise, None if not counted.
        takes: recordings of all splits.
        metrics: on test takes.
        gates: of the verdict, on test.
        confidence: of the intervals and bounds, in (0.5, 1).
        teacher_id: trial that the model was distilled from; empty where it learnt from audio alone.
        verdict: the decision in words.
        reference: candidate that the gates compare with.
        tfjs_max_abs_error: TensorFlow.js against TensorFlow, on the same weights; None if not compared.
        validation: None if the sweep was finished by a version that did not validate.
        samples: sounds beside the card: label -> relative path.
    """

    settings: BundleSettings
    size: BundleSize
    decoder_mflops: float
    synthesis_mflops: float | None = None
    takes: tuple[CardTake, ...]
    metrics: tuple[CardMetric, ...]
    gates: tuple[CardGate, ...] = ()
    confidence: float = 0.95
    teacher_id: str = ""
    verdict: str
    reference: str = ""
    tfjs_max_abs_error: float | None = None
    validation: CardValidation | None = None
    samples: dict[str, str] = pydantic.Field(default_factory=dict)


def write_card(facts: CardFacts) -> str:
    """The card as Markdown; the same facts give the same text."""
    sections = [
        _head(facts),
        _verdict(facts),
        _size(facts),
        _quality(facts),
        _gates(facts),
        _validation(facts.validation),
        _samples(facts),
        _data(facts),
        _lineage(facts),
        _use(facts.settings),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def without_samples(card: str) -> str:
    """A written card without its section of sounds, for where they do not go along."""
    head, listen, rest = card.partition(f"\n{LISTEN}\n")
    return card if not listen else head + rest[rest.index("\n## ") :]


def _head(facts: CardFacts) -> str:
    spec, settings = facts.settings.decoder, facts.settings
    layers = f"{spec.kind.upper()}, width {spec.width}, depth {spec.depth}"
    level = {"loudness": "A-weighted loudness", "rms_energy": "RMS energy"}[settings.input]
    return "\n".join(
        [
            f"# {settings.instrument}",
            "",
            f"Turns pitch and {level} into the sound of {settings.instrument}: a decoder ({layers}, "
            f"{spec.parameters:,} parameters, {settings.quantisation}) gives the controls of {settings.harmonics} "
            f"harmonics and {settings.noise_bands} noise bands, {settings.frame_rate_hz:g} times a second, for sound "
            f"at {settings.sample_rate_hz:,} Hz{_room(settings)}.",
        ]
    )


def _room(settings: BundleSettings) -> str:
    if settings.reverb is None:
        return ""
    return f", played in a room of {_count(len(settings.reverb.levels), 'band')} that `settings.json` describes"


def _verdict(facts: CardFacts) -> str:
    return f"## Verdict\n\n{facts.verdict}"


def _size(facts: CardFacts) -> str:
    size = facts.size
    rows = [
        ("model.json", size.graph_bytes, size.graph_brotli),
        ("weights.bin", size.weights_bytes, size.weights_brotli),
        ("settings.json", size.settings_bytes, size.settings_brotli),
        ("**together**", size.total_bytes, size.total_brotli),
    ]
    table = markdown_table(("file", "bytes", "bytes, brotli"), [(name, f"{a:,}", f"{b:,}") for name, a, b in rows])
    synthesis = "" if facts.synthesis_mflops is None else f", synthesis {facts.synthesis_mflops:.2f}"
    room_mflops = facts.settings.decoder.reverb_mflops(sample_rate_hz=facts.settings.sample_rate_hz)
    room = f", room {room_mflops:.2f}" if room_mflops else ""
    cost = (
        f"MFLOP per second of sound: decoder {facts.decoder_mflops:.2f}{synthesis}{room} "
        f"(RNNoise, with its pitch search: {RNNOISE_MFLOPS:g})."
    )
    return f"## Size and cost\n\n{table}\n\n{cost}"


def _quality(facts: CardFacts) -> str:
    test = [take for take in facts.takes if take.split == "test"]
    rows = [(m.name, f"{m.mean:.3g} {m.unit}", _interval(m), f"{m.better} is better") for m in facts.metrics]
    notes = [
        f"The exported, quantised model on {_count(len({t.take_id for t in test}), 'test take')} "
        f"({sum(t.seconds for t in test):.1f} s) that it was not trained on; mean over takes."
    ]
    if facts.tfjs_max_abs_error is not None:
        notes.append(f"TensorFlow.js and TensorFlow differ by at most {facts.tfjs_max_abs_error:.1e} in any control.")
    table = markdown_table(("metric", "mean", f"{facts.confidence:.0%} interval", ""), rows)
    return "\n\n".join(["## Quality", " ".join(notes), table])


def _interval(metric: CardMetric) -> str:
    if metric.low is None or metric.high is None:
        return "too few takes"
    return f"{metric.low:.3g} … {metric.high:.3g}"


def _gates(facts: CardFacts) -> str:
    if not facts.gates:
        return ""
    rows = [(g.name, _number(g.mean), _number(g.bound), f"{g.margin:g}", g.status) for g in facts.gates]
    table = markdown_table(("gate", "worse by", f"{facts.confidence:.0%} bound", "margin", ""), rows)
    against = f"Compared take by take with {facts.reference}, the best model of the sweep." if facts.reference else ""
    return "\n\n".join(part for part in ("## Gates", against, table) if part)


def _number(value: float | None) -> str:
    return "—" if value is None else f"{value:+.3f}"


def _validation(found: CardValidation | None) -> str:
    if found is None:
        return ""
    where = f"Validated in {found.where}"
    if found.why_not_browser:
        where += f", **not in a browser**: {found.why_not_browser}"
    controls = ", ".join(f"{name} {error:.0e}" for name, error in found.controls.items())
    sounds = ", ".join(f"{pair} {_decibels(error)}" for pair, error in found.sounds_db.items())
    missing = "".join(f" No {name} there: {reason}." for name, reason in found.missing.items())
    return (
        f"## Validation\n\n{where}.{missing} Largest difference to TensorFlow in any control: {controls}. Largest "
        f"difference in sound, to the largest sample: {sounds}."
    )


def _decibels(error: float) -> str:
    return f"{error:.0f} dB" if error > INAUDIBLE_DB else "none"


def _samples(facts: CardFacts) -> str:
    if not facts.samples:
        return ""
    return f"{LISTEN}\n\n" + "\n".join(f"- [{label}]({path})" for label, path in facts.samples.items())


def _data(facts: CardFacts) -> str:
    rows = []
    for split in ("train", "validation", "test"):
        own = [take for take in facts.takes if take.split == split]
        rows.append((split, str(len({t.take_id for t in own})), str(len(own)), f"{sum(t.seconds for t in own):.1f}"))
    licences = [
        f"- {d.source}: {d.licence}{'; ' + d.attribution if d.attribution else ''}" for d in facts.settings.data
    ]
    told = "\n".join(licences) or "- licence of the recordings: not stated by whoever gave them"
    return f"## Trained on\n\n{markdown_table(('split', 'takes', 'recordings', 'seconds'), rows)}\n\n{told}"


def _lineage(facts: CardFacts) -> str:
    settings = facts.settings
    taught = f", distilled from trial `{facts.teacher_id}`" if facts.teacher_id else ""
    bits = TUNED_BITS.get(settings.quantisation)
    tuned = f", fine-tuned for weights of {bits} bits" if bits else ""
    ids = ", ".join(f"`{take.recording_id}`" for take in sorted(facts.takes, key=lambda t: t.recording_id))
    steps = [
        f"1. recordings: {ids or 'not recorded'}",
        f"2. features: `{settings.features_fingerprint or 'not recorded'}`",
        f"3. trial: `{settings.trial_id}` of the sweep `{settings.sweep}`{taught}",
        f"4. model: this folder, {settings.quantisation}{tuned}",
    ]
    return "## Lineage\n\n" + "\n".join(steps)


def _use(settings: BundleSettings) -> str:
    graph, layout = settings.graph, settings.control_layout
    snippet = f"""```js
import * as tf from '@tensorflow/tfjs';
{_loading(settings)}
let state = tf.zeros([1, {graph.state_size}]);
// For every frame, {settings.frame_rate_hz:g} a second; level is {settings.input} in dB, -80 to 0:
const pitch = (69 + 12 * Math.log2(f0Hz / 440)) / {settings.input_scaling.midi_range:g};
const level = levelDb / {settings.input_scaling.db_range:g} + 1;
const [controls, next] = tf.tidy(() => model.execute(
    {{ {graph.inputs}: tf.tensor2d([[pitch, level]]), {graph.state}: state }},
    ['{graph.controls}', '{graph.next_state}']));
state.dispose();
state = next;
```"""
    return (
        f"## Use\n\n{snippet}\n\n`controls` [1, {graph.n_controls}]: amplitude at {layout.amplitude[0]}, harmonics "
        f"{layout.harmonics[0]} to {layout.harmonics[1] - 1} (set those above half the sample rate to 0, then divide "
        f"by their sum), noise magnitudes {layout.noise[0]} to {layout.noise[1] - 1}. "
        "All else is in `settings.json`."
    )


def _loading(settings: BundleSettings) -> str:
    """TensorFlow.js reads its own quantisations; the others need the repository's loader."""
    if settings.quantisation in CONVERTER_TYPES:
        return "\nconst model = await tf.loadGraphModel('model.json');"
    return """import { ioHandler, loadBundle } from './bundle.js'; // web/src of TinyTimbre

const model = await tf.loadGraphModel(ioHandler(await loadBundle('.')));"""


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
