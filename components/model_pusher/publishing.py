"""One model of a finished sweep to its published directory, with its card."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import numpy as np

from components.web_models import WebModel, load_models
from tinytimbre.audio.recording import RecordingSet
from tinytimbre.errors import TinyTimbreError
from tinytimbre.export.bundle import validate_bundle
from tinytimbre.export.card import CardFacts, CardGate, CardMetric, CardTake, CardValidation, write_card
from tinytimbre.export.publish import publish_bundle
from tinytimbre.quality.bounds import MIN_TAKES, two_sided
from tinytimbre.quality.gates import HIGHER_IS_BETTER, METRICS
from tinytimbre.quality.verdict import Verdict
from tinytimbre.quality.wording import GATE_NAMES
from tinytimbre.report.distillation import teacher_of
from tinytimbre.report.tables import SweepTables
from tinytimbre.validation.jobs import Validation

INTERVAL_CONFIDENCE = 0.95
INTERVAL_DRAWS = 2000
CARD_METRICS = {
    "log_spectral_db": ("log spectral distance", "dB"),
    "mel_spectral_db": ("mel spectral distance", "dB"),
    "loudness_db": ("loudness error", "dB"),
    "f0_accuracy_points": ("pitch accuracy", "%"),
    "f0_cents": ("median pitch error", "cents"),
}
SAMPLE_TAKES = 2


@dataclasses.dataclass(frozen=True, eq=False)
class FinishedSweep:
    """What a run left: tables with verdicts, the folder of a WebModels artifact, the recordings."""

    tables: SweepTables
    models_dir: pathlib.Path
    recordings: RecordingSet

    def model(self, candidate_id: str) -> WebModel:
        """The exported model of that id.

        Raises:
            TinyTimbreError: there is none.
        """
        models = {model.candidate_id: model for model in load_models(self.models_dir)}
        if candidate_id not in models:
            raise TinyTimbreError(
                "only an exported model can be published", got=candidate_id, remedy=f"there are: {', '.join(models)}"
            )
        return models[candidate_id]


def publish_candidate(candidate_id: str, *, sweep: FinishedSweep, to: str) -> str:
    """Publishes one model; gives where its version is: a path, or an address.

    Raises:
        TinyTimbreError: no such model, or the destination cannot be written.
    """
    model = sweep.model(candidate_id)
    samples = _samples(model, sweep.tables)
    return publish_bundle(
        sweep.models_dir / model.path,
        card=write_card(card_facts(model, sweep=sweep, samples={name: name for name in samples})),
        to=to,
        instrument=model.instrument,
        extra_files=samples,
    )


def card_facts(model: WebModel, *, sweep: FinishedSweep, samples: dict[str, str]) -> CardFacts:
    """Everything the card of a model says."""
    tables, verdict = sweep.tables, sweep.tables.verdicts[model.instrument]
    row = tables.candidates.set_index("candidate_id").loc[model.candidate_id].to_dict()
    return CardFacts(
        settings=validate_bundle(sweep.models_dir / model.path),
        size=model.size,
        decoder_mflops=float(row["decoder_mflops"]),
        takes=tuple(
            CardTake(recording_id=r.recording_id, take_id=r.take_id, split=str(r.split), seconds=r.seconds)
            for r in sweep.recordings.accepted(model.instrument)
        ),
        metrics=_metrics(model.candidate_id, tables),
        gates=_gates(model.candidate_id, verdict),
        confidence=verdict.confidence,
        teacher_id=teacher_of(tables, model.candidate_id),
        verdict=_verdict_text(model.candidate_id, verdict),
        reference=verdict.reference or "",
        tfjs_max_abs_error=float(row["tfjs_max_abs_error"]),
        validation=_validation(row.get("validation")),
        samples=samples,
    )


def _validation(text: Any) -> CardValidation | None:
    """Without how long things took: cards say the same wherever a sweep is run."""
    if not isinstance(text, str):
        return None
    found = Validation.model_validate_json(text)
    engine = {} if found.engine_error is None else {"the WebAssembly engine": found.engine_error}
    sounds = {"engine and float64 reference": found.sound_error_db, "audio worklet and engine": found.worklet_error_db}
    return CardValidation(
        where=f"headless {found.version}" if found.runtime == "browser" else f"Node {found.version}",
        why_not_browser=found.why_not_browser,
        controls={f"TensorFlow.js on {name}": error for name, error in found.tfjs_errors.items()} | engine,
        sounds_db={pair: error for pair, error in sounds.items() if error is not None},
        missing=found.missing,
    )


def _verdict_text(candidate_id: str, verdict: Verdict) -> str:
    if candidate_id == verdict.chosen:
        return verdict.summary
    return f"Published by hand: the sweep did not choose this model. Its verdict was: {verdict.summary}"


def _metrics(candidate_id: str, tables: SweepTables) -> tuple[CardMetric, ...]:
    """Means over test takes with two-sided intervals; a metric that no take has is left out."""
    own = tables.clips[(tables.clips["candidate_id"] == candidate_id) & (tables.clips["split"] == "test")]
    takes = own.groupby("take_id")[list(METRICS)].mean()
    return tuple(_metric(name, takes[name].dropna().to_numpy(float)) for name in METRICS if takes[name].notna().any())


def _metric(name: str, values: np.ndarray) -> CardMetric:
    title, unit = CARD_METRICS[name]
    low = high = None
    if len(values) >= MIN_TAKES:
        ends = two_sided(values, confidence=INTERVAL_CONFIDENCE, draws=INTERVAL_DRAWS, seed=0)
        # Student's t knows no limits; a distance is not negative, an accuracy not above 100.
        low, high = (float(np.clip(end, 0.0, 100.0 if unit == "%" else np.inf)) for end in ends)
    better = "higher" if name in HIGHER_IS_BETTER else "lower"
    return CardMetric(name=title, unit=unit, mean=float(values.mean()), low=low, high=high, better=better)


def _gates(candidate_id: str, verdict: Verdict) -> tuple[CardGate, ...]:
    return tuple(
        CardGate(
            name=f"{GATE_NAMES[gate.gate][0]} ({GATE_NAMES[gate.gate][1]})",
            mean=gate.mean,
            bound=gate.bound,
            margin=gate.margin,
            status=gate.status,
        )
        for gate in verdict.results(candidate_id)
    )


def _samples(model: WebModel, tables: SweepTables) -> dict[str, str | pathlib.Path]:
    """Path on the card → file: recordings of test takes as played and as the model plays them."""
    own = [clip for clip in tables.audio if clip.instrument == model.instrument]
    rendered = [clip for clip in own if clip.candidate_id == model.candidate_id]
    originals = {clip.recording_id: clip for clip in own if clip.role == "original"}
    samples: dict[str, str | pathlib.Path] = {}
    for clip in list({clip.recording_id: clip for clip in rendered}.values())[:SAMPLE_TAKES]:
        samples[f"samples/{clip.recording_id}-original.flac"] = originals[clip.recording_id].path
        samples[f"samples/{clip.recording_id}-model.flac"] = clip.path
    return samples
