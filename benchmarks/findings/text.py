"""The generated parts of the documents, by name: tables of figures, with ``not shown`` where the data do not say."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.findings.breaks import break_words
from benchmarks.findings.findings import Findings
from benchmarks.findings.pairs import Difference
from benchmarks.findings.results import Beside, InstrumentResult, Model
from benchmarks.findings.sweeps import Sweep
from benchmarks.references import KNOWN_SIZES, REFERENCES
from tinytimbre.export.card import RNNOISE_MFLOPS
from tinytimbre.markdown import markdown_table
from tinytimbre.quality.take_values import METRICS
from tinytimbre.quality.wording import GATE_NAMES, size

NONE = "–"
HEADINGS = {
    "results": "What came of each instrument",
    "quantisations": "The smallest accepted model in every quantisation",
    "metrics": "Every measure of the shown models",
    "sizes": "Beside what is known",
    "size": "Where quality breaks with size",
    "decoder": "GRU or CNN",
    "input": "Loudness or RMS energy",
    "harmonics": "How many harmonics",
    "noise-bands": "How many noise bands",
    "frame-rate": "Frame rate",
    "bits": "What quantisation costs, and whether tuning for it pays",
    "distillation": "Whether distillation pays",
    "rungs": "How well early rungs foretell the end",
    "seeds": "How far two trainings differ",
    "reproduce": "Where the figures come from",
}
PICTURES = {
    "results": ("Quality against size of every instrument's best models", "fronts.png"),
    "size": ("The best model of each size against the best of all", "size.png"),
    "decoder": ("Effects of the settings on the loss", "settings.png"),
    "rungs": ("Rank correlation of each rung with the end", "rungs.png"),
}


def blocks(found: Sequence[Findings], *, sweeps: Sequence[Sweep], command: str) -> dict[str, str]:
    """Every part by its name; the names and their order are those of `HEADINGS`."""
    results = [one.result for one in found]
    makers: dict[str, Callable[[], str]] = {
        "results": lambda: _results(results),
        "quantisations": lambda: _quantisations(results),
        "metrics": lambda: _metrics(results),
        "sizes": lambda: _sizes(results),
        "size": lambda: _breaks(found),
        "decoder": lambda: _setting(found, "decoder"),
        "input": lambda: _setting(found, "input"),
        "harmonics": lambda: _setting(found, "harmonics"),
        "noise-bands": lambda: _setting(found, "noise_bands"),
        "frame-rate": lambda: _differences([(one.instrument, one.frame_rates) for one in found]),
        "bits": lambda: _differences([(one.instrument, one.quantisations) for one in found]),
        "distillation": lambda: _differences([(one.instrument, one.distillation) for one in found]),
        "rungs": lambda: _ranks(found),
        "seeds": lambda: "\n".join(f"- {one.instrument}: {one.floor}" for one in found),
        "reproduce": lambda: _reproduce(sweeps, command=command),
    }
    return {name: makers[name]() for name in HEADINGS}


def _results(results: Sequence[InstrumentResult]) -> str:
    header = (
        "instrument", "what ships", "brotli", "decoder MFLOP/s", "log spectral distance, dB", "smaller than the best",
        *(f"than {known.name}" for known in REFERENCES), "verdict",
    )  # fmt: skip
    return markdown_table(header, [_result_row(result) for result in results])


def _result_row(result: InstrumentResult) -> tuple[str, ...]:
    shown = result.shown
    if shown is None or result.best is None:
        return (result.instrument, "none", *[NONE] * (4 + len(REFERENCES)), result.verdict)
    return (
        result.instrument,
        f"{shown.decoder.upper()}, {shown.parameters:,} parameters, {shown.quantisation}",
        size(shown.n_brotli),
        f"{shown.decoder_mflops:.2f}",
        shown.metrics["log_spectral_db"].words(),
        f"{result.best.n_brotli / shown.n_brotli:.1f} ×" if result.smaller_shown else "1 ×, it is the best",
        *(_factors(shown, beside) for beside in result.beside),
        _verdict(result),
    )


def _factors(shown: Model, beside: Beside) -> str:
    """How many times smaller in bytes: than the reference in float32, and in the same quantisation."""
    if beside.model is None or beside.distance is None:
        return "not trained"
    same = f", {beside.same_bits / shown.n_brotli:,.0f} × at the same bits" if beside.same_bits else ""
    return f"{beside.model.n_brotli / shown.n_brotli:,.0f} ×{same}; {beside.distance.words()}"


def _verdict(result: InstrumentResult) -> str:
    if result.smaller_shown:
        return f"as good as the best, shown on {result.n_takes} takes"
    needed = f"; about {result.takes_needed} takes would decide" if result.takes_needed else ""
    return f"smaller: not shown with {result.n_takes} takes{needed}"


def _quantisations(results: Sequence[InstrumentResult]) -> str:
    names = list(dict.fromkeys(name for result in results for name in result.smallest))
    rows = [(result.instrument, *(_smallest(result, name) for name in names)) for result in results]
    note = (
        "Bytes with brotli and parameters. What ships stands in its column; every other column is a test of its own at "
        "95 %, against the best model of all."
    )
    return f"{markdown_table(('instrument', *names), rows)}\n\n{note}"


def _smallest(result: InstrumentResult, quantisation: str) -> str:
    if quantisation not in result.smallest:
        return "not exported"
    model = result.smallest[quantisation]
    return f"{size(model.n_brotli)}, {model.parameters:,}" if model else "not shown"


def _metrics(results: Sequence[InstrumentResult]) -> str:
    names = [f"{GATE_NAMES[metric][0].removesuffix(' lost')}, {GATE_NAMES[metric][1]}" for metric in METRICS]
    rows = [
        (result.instrument, *(_metric(result.shown, metric) for metric in METRICS), str(result.n_takes))
        for result in results
    ]
    return markdown_table(("instrument", *names, "test takes"), rows)


def _metric(model: Model | None, metric: str) -> str:
    return model.metrics[metric].words() if model and metric in model.metrics else NONE


def _sizes(results: Sequence[InstrumentResult]) -> str:
    ours = sorted(result.shown.n_brotli for result in results if result.shown)
    span = f"{size(ours[0])} to {size(ours[-1])}" if ours else "none"
    rows = [("these models", span, "the whole model with brotli", "the table above")]
    rows += [(known.name, size(known.n_bytes), known.what, known.source) for known in KNOWN_SIZES]
    notes = [f"- {known.name}: {known.source}; {known.differs}." for known in REFERENCES]
    mflops = f"For MFLOP/s: RNNoise, with its pitch search, takes {RNNOISE_MFLOPS:g}."
    table = markdown_table(("system", "one instrument", "what is counted", "source"), rows)
    return "\n".join([table, "", "The configurations trained for comparison:", "", *notes, "", mflops])


def _breaks(found: Sequence[Findings]) -> str:
    return markdown_table(("instrument", "quality"), [(one.instrument, break_words(one.steps)) for one in found])


def _setting(found: Sequence[Findings], name: str) -> str:
    rows = [
        (one.instrument, f"{effect.value} against {effect.against}", f"{effect.step:,}", str(effect.n), effect.words())
        for one in found
        for effect in one.settings
        if effect.setting == name
    ]
    ends = [
        (one.instrument, [best for best in one.best if best.what.startswith(f"best with {name.replace('_', ' ')} ")])
        for one in found
    ]
    header = ("instrument", "contrast", "after steps", "configurations", "loss at equal size, 95 % interval")
    return f"{markdown_table(header, rows)}\n\n{_differences(ends)}"


def _differences(found: Sequence[tuple[str, Sequence[Difference]]]) -> str:
    rows = [
        (instrument, one.what, one.words(), f"{one.n} {one.over}", one.note) for instrument, own in found for one in own
    ]
    asked = {instrument for instrument, own in found if own}
    missing = [instrument for instrument, _ in found if instrument not in asked]
    table = markdown_table(("instrument", "comparison", "difference, 95 % interval", "over", ""), rows) if rows else ""
    note = f"Nothing to compare in the sweeps of: {', '.join(missing)}." if missing else ""
    return "\n\n".join(part for part in (table, note) if part)


def _ranks(found: Sequence[Findings]) -> str:
    lines = [f"- {one.instrument}: {rank.words()}" for one in found for rank in one.ranks]
    return "\n".join(lines) or "not shown: no sweep has more than one rung"


def _reproduce(sweeps: Sequence[Sweep], *, command: str) -> str:
    header = (
        "sweep", "instruments", "trials", "to the end", "seconds of sound each", "frames a second", "loudness weight",
        "time",
    )  # fmt: skip
    rows = [
        (
            f"{sweep.origin}/{sweep.config.name}, seed {sweep.config.seed}",
            ", ".join(sweep.tables.instruments),
            str(len(sweep.tables.trials)),
            str(int((sweep.tables.trials["status"] == "done").sum())),
            f"{sweep.audio_secs:,.0f}",
            f"{sweep.frame_rate_hz:g}",
            f"{sweep.config.training.loudness_weight:g}",
            _clock(sweep.wall_secs),
        )
        for sweep in sweeps
    ]
    return f"{markdown_table(header, rows)}\n\nWritten by `{command}`."


def _clock(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60}:{minutes % 60:02d} h"
