"""The verdict in words: every sentence that the gates hand to people."""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence

from tinytimbre.quality.verdict import GateResult, Outcome, SeedFloor

GATE_NAMES = {
    "log_spectral_db": ("log spectral distance", "dB"),
    "mel_spectral_db": ("mel spectral distance", "dB"),
    "loudness_db": ("loudness error", "dB"),
    "f0_accuracy_points": ("pitch accuracy lost", "points"),
    "f0_cents": ("median pitch error", "cents"),
    "worst_decile_log_spectral_db": ("log spectral distance of the worst tenth of the takes", "dB"),
    "absolute_loudness_db": ("own loudness error", "dB"),
    "absolute_log_spectral_db": ("own log spectral distance", "dB"),
    "baseline_log_spectral_db": ("log spectral distance against a filtered sawtooth", "dB"),
    "sanity_octave_f0_missed_points": ("frames at a wrong pitch, played an octave up or down", "%"),
    "sanity_octave_level_db": ("stray of the level, played an octave up or down", "dB"),
    "sanity_level_step_db": ("error of a level step of 6 dB", "dB"),
    "sanity_voice_f0_missed_points": ("frames at a wrong pitch, following a voice", "%"),
    "sanity_voice_level_db": ("loudness error, following a voice", "dB"),
}
UNSIGNED = ("absolute_", "sanity_")


def size(n_bytes: int) -> str:
    """``950 B``, ``7.3 KB``, ``1.2 MB``; decimal thousands."""
    if n_bytes < 1_000:
        return f"{n_bytes} B"
    return f"{n_bytes / 1e3:.1f} KB" if n_bytes < 1_000_000 else f"{n_bytes / 1e6:.1f} MB"


def paired(result: GateResult, *, confidence: float) -> str:
    """The numbers of a gate with a bound, e.g. ``loudness error +0.21 dB …, 95 % bound +0.35 dB > margin 0.3 dB``."""
    name, unit = GATE_NAMES[result.gate]
    relation = "≤" if result.passed else ">"
    text = f"{name} {_number(result.mean)} {unit} against the reference"
    text += f", {confidence:.0%} bound {_number(result.bound)} {unit} {relation} margin {result.margin:g} {unit}"
    if result.status == "not shown":
        text += f" (not shown with {result.n_takes} takes{_power(result)})"
    return text


def undecidable(metric: str, *, margin: float, floor: float) -> str:
    """Why a margin cannot decide between two trainings."""
    name, unit = GATE_NAMES[metric]
    return f"{name}: not shown, its margin {margin:g} {unit} lies below the seed-to-seed floor {floor:.2f} {unit}"


def guard(result: GateResult) -> str:
    """The numbers of a gate without a bound."""
    name, unit = GATE_NAMES[result.gate]
    relation = "≤" if result.mean is not None and result.mean <= result.margin else ">"
    value = f"{result.mean:.2f}" if result.gate.startswith(UNSIGNED) else _number(result.mean)
    return f"{name} {value} {unit} {relation} {result.margin:g} {unit}"


def too_few(n_takes: int) -> str:
    """Why a gate cannot be shown at all."""
    return f"not shown with {n_takes} take{'' if n_takes == 1 else 's'} (at least 3 are needed)"


def lost(n_takes: int) -> str:
    """The candidate has no value where it should."""
    return f"no value on {n_takes} take{'' if n_takes == 1 else 's'} that the reference has"


def excluded(broken: Sequence[GateResult]) -> str:
    """All gates that excluded a candidate, the failed before the not shown."""
    ordered = sorted(broken, key=lambda result: result.status)
    return "; ".join(_with_gate(result) for result in ordered)


def _with_gate(result: GateResult) -> str:
    name = GATE_NAMES[result.gate][0]
    return result.reason if result.reason.startswith(name) else f"{name}: {result.reason}"


def outdone(better: str) -> str:
    """A candidate that is not worth a test."""
    return f"left out before the test: {better} is no larger and safer on validation"


def not_tested(stopped_at: str) -> str:
    """A candidate after the end of the fixed sequence."""
    return f"not tested: the sequence from safest to smallest ended at {stopped_at}, which did not pass"


def not_evaluated(failure: str) -> str:
    """A candidate without clips, and why its evaluation failed, where that is known."""
    return "not evaluated on all validation takes" + (f": {one_line(failure)}" if failure else "")


def nothing_evaluated(failures: Sequence[str]) -> str:
    """No candidate has complete validation clips; the commonest reasons why not."""
    text = "no candidate was evaluated on all validation takes"
    return f"{text}: {commonest(failures)}" if any(failures) else text


def commonest(reasons: Sequence[str], *, most: int = 3) -> str:
    """Different reasons with their counts, the commonest first: ``diverged … (3 times); hung``."""
    counts = collections.Counter(one_line(reason) for reason in reasons if reason).most_common()
    shown = [f"{reason} ({count} times)" if count > 1 else reason for reason, count in counts[:most]]
    return "; ".join([*shown, *([f"{len(counts) - most} other reasons"] if len(counts) > most else [])])


def one_line(text: str) -> str:
    """A message of several lines as one."""
    return "; ".join(line.strip() for line in text.splitlines() if line.strip())


def nothing_sane() -> str:
    """All candidates collapse."""
    return "every evaluated model collapses when it is played as in timbre transfer"


def confirmed() -> str:
    """Passed, but a smaller one did too."""
    return "passes every gate on test; a smaller one does too"


def is_reference() -> str:
    """The yardstick itself."""
    return "the reference: best log spectral distance on validation, of those that no other dominates"


def chosen(*, is_reference: bool) -> str:
    """What chosen means in either case."""
    if is_reference:
        return "the reference itself: no smaller candidate was shown to be as good"
    return "the smallest candidate confirmed on test, every gate passed"


def reference_unfit(broken: Sequence[GateResult]) -> str:
    """The best model is not good enough in itself."""
    return f"even the best model fails on test: {excluded(broken)}"


def none_chosen(why: str, *, nearest: str | None) -> str:
    """Summary where nothing qualifies."""
    text = f"No model qualifies: {why}."
    return text + (f" The nearest is {nearest}." if nearest else "")


def summary(
    chosen: str,
    reference: str,
    *,
    sizes: Mapping[str, int],
    n_takes: int,
    confidence: float,
    smaller: Sequence[Outcome],
    limits: Sequence[GateResult] = (),
) -> str:
    """One or two sentences that stand alone."""
    takes = f"{n_takes} test take{'' if n_takes == 1 else 's'}"
    if chosen != reference:
        share = sizes[chosen] / max(1, sizes[reference])
        return (
            f"{chosen} ({size(sizes[chosen])}) is as good as the best model {reference} ({size(sizes[reference])}) "
            f"within every margin, with {confidence:.0%} confidence on {takes}, at {share:.0%} of its size."
        )
    text = f"The best model {reference} ({size(sizes[reference])}) is chosen"
    if not smaller:
        return f"{text}: it is also the smallest."
    if n_takes < 3:
        return f"{text}: that a smaller one is as good is not shown with {takes} (at least 3 are needed)."
    return f"{text}: that a smaller one is as good is not shown with {takes}.{_limits(limits)}"


def floor_words(floor: SeedFloor) -> str:
    """The seed-to-seed floor, or that nothing is known of it."""
    if not floor.n_families:
        return (
            "The seed-to-seed floor was not measured: of the configurations in question, the best model's and those "
            "within its margins on validation, none was trained to the end with 3 seeds."
        )
    values = ", ".join(f"{GATE_NAMES[m][0]} {value:.2f} {GATE_NAMES[m][1]}" for m, value in floor.floors.items())
    models = f"{floor.n_models} models of configurations in question"
    return f"Two trainings of one configuration differ by (standard deviation, {models}): {values}."


def _limits(limits: Sequence[GateResult]) -> str:
    """What stood in the way of the safest smaller candidate, where it was power or the floor."""
    blurred = next((result for result in limits if result.undecidable), None)
    if blurred is not None:
        return f" Undecidable: {blurred.reason}."
    weak = [result for result in limits if result.status == "not shown" and result.smallest_margin is not None]
    if not weak:
        return ""
    worst = max(weak, key=lambda result: (result.smallest_margin or 0.0) / result.margin)
    name, unit = GATE_NAMES[worst.gate]
    needed = f"; about {worst.takes_needed} takes would be needed" if worst.takes_needed else ""
    return (
        f" The smallest margin that these takes could show in {name} is {worst.smallest_margin:.2f} {unit}, "
        f"asked for is {worst.margin:g}{needed}."
    )


def why_not(outcome: Outcome) -> str:
    """Why one candidate is not the chosen one."""
    return f"{outcome.candidate_id} ({size(outcome.bytes_brotli)}) {outcome.stage}: {outcome.reason}"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:+.2f}"


def _power(result: GateResult) -> str:
    """The smallest margin these takes could show, and how many takes the margin asked for would need."""
    parts = [] if result.smallest_margin is None else [f"they could show {result.smallest_margin:.2f} at best"]
    parts += [f"about {result.takes_needed} would be needed"] if result.takes_needed else []
    return "".join(f"; {part}" for part in parts)
