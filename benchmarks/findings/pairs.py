"""Differences between models that belong together: twins, quantisations, frame rates, the best of each kind.

Every one is a mean with a 95 % interval over what could have come out otherwise: configurations (seeds of one are
averaged first) or, where two single models are compared, test takes. With fewer than three nothing is shown.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from benchmarks.findings.effects import NAMES, QUESTIONS
from benchmarks.findings.sweeps import Sweep, configurations
from tinytimbre.config import TUNED_BITS
from tinytimbre.quality.bounds import MIN_TAKES, two_sided
from tinytimbre.quality.take_values import TakeValues
from tinytimbre.report.distillation import twin_pairs

CONFIDENCE = 0.95
DRAWS = 4000
QUALITY = "log_spectral_db"
TUNED_AGAINST = {"tuned4": "int4", "tuned3": "int4", "tuned2": "int4"}


@dataclasses.dataclass(frozen=True)
class Difference:
    """A mean difference; negative is better for what is named first.

    Attributes:
        what: for example ``int4 against float32``.
        unit: of the numbers.
        n: of what the interval is over.
        over: what that is, in the plural.
        mean: None where there is not a single pair.
        low: None with fewer than three.
        high: likewise.
        note: what else belongs to it, such as the ratio of bytes.
        margin: differences up to this do not matter; None where nobody has said.
    """

    what: str
    unit: str
    n: int
    over: str
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    note: str = ""
    margin: float | None = None

    @property
    def shown(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)

    def words(self) -> str:
        """Mean and interval; ``not shown`` where it may be nothing as well as something that matters."""
        if self.mean is None:
            return f"not shown: no {self.over} to compare"
        if self.low is None or self.high is None:
            return f"not shown: {self.mean:+.2f} {self.unit} over {self.n} {self.over}, at least {MIN_TAKES} are needed"
        alike = self.margin is not None and max(-self.low, self.high) < self.margin
        verdict = "" if self.shown else f"alike within {self.margin:g} {self.unit}: " if alike else "not shown: "
        return f"{verdict}{self.mean:+.2f} {self.unit} ({self.low:+.2f} … {self.high:+.2f})"


def difference(
    values: Sequence[float] | np.ndarray,
    *,
    what: str,
    unit: str,
    over: str,
    note: str = "",
    margin: float | None = None,
    confidence: float = CONFIDENCE,
) -> Difference:
    """From single differences, float [n]; those that are not finite do not count."""
    known = np.asarray(values, float)
    known = known[np.isfinite(known)]
    if not len(known):
        return Difference(what, unit, 0, over, note=note, margin=margin)
    ends: tuple[float | None, float | None] = (None, None)
    if len(known) >= MIN_TAKES:
        ends = two_sided(known, confidence=confidence, draws=DRAWS, seed=0)
    return Difference(what, unit, len(known), over, float(known.mean()), *ends, note=note, margin=margin)


def exported(sweep: Sweep, *, instrument: str) -> pd.DataFrame:
    """Evaluated candidates with the settings of their trials and ``configuration``; students have their own."""
    trials = sweep.tables.trials
    own = trials[trials["instrument"] == instrument]
    settings = own.assign(configuration=configurations(own) + " " + own["teacher_id"].fillna(""))
    candidates = sweep.tables.candidates
    mine = candidates[(candidates["instrument"] == instrument) & (candidates["status"] == "evaluated")]
    new = [name for name in settings if name == "trial_id" or name not in mine]
    return mine.merge(settings[new], on="trial_id")


def quantisation_costs(sweep: Sweep, *, instrument: str) -> list[Difference]:
    """What each number of bits costs against float32, and fine-tuned ones against plain ones of four bits."""
    models = exported(sweep, instrument=instrument)
    known = [one for one in sweep.config.export.quantisations if one in set(models["quantisation"])]
    pairs = [(one, "float32") for one in known if one != "float32" and "float32" in known]
    pairs += [(one, TUNED_AGAINST[one]) for one in known if one in TUNED_BITS and TUNED_AGAINST[one] in known]
    return [_against(models, first, second, margin=sweep.config.gates.log_spectral_db) for first, second in pairs]


def _against(models: pd.DataFrame, first: str, second: str, *, margin: float) -> Difference:
    sides = [models[models["quantisation"] == one].set_index("trial_id") for one in (first, second)]
    joined = sides[0].join(sides[1][[QUALITY, "total_brotli"]], rsuffix="_second", how="inner")
    changes = joined.assign(change=joined[QUALITY] - joined[f"{QUALITY}_second"])
    share = (joined["total_brotli"] / joined["total_brotli_second"]).median()
    return difference(
        changes.groupby("configuration")["change"].mean().to_numpy(float),
        what=f"{first} against {second}", unit="dB", over="configurations", note=f"{share:.0%} of the bytes",
        margin=margin,
    )  # fmt: skip


def distillation_gain(sweep: Sweep, *, instrument: str) -> list[Difference]:
    """Students against twins that learnt from audio alone: loss, and distance on test takes; none where it was off."""
    if not (sweep.tables.trials["distillation"] == "student").any():
        return []
    pairs = twin_pairs(sweep.tables, instrument=instrument)
    loss = 100 * np.log(pairs["validation_loss"].astype(float) / pairs["twin_validation_loss"].astype(float))
    share = f"{pairs['seconds'].sum() / max(1e-9, pairs['twin_seconds'].sum()):.0%} of the training time"
    return [
        difference(
            loss.to_numpy(float), what="student against twin, loss", unit="%", over="students",
            note=share if len(pairs) else "",
        ),
        difference(
            pairs[f"{QUALITY}_worse"].to_numpy(float), what="student against twin, log spectral distance", unit="dB",
            over="students", margin=sweep.config.gates.log_spectral_db,
        ),
    ]  # fmt: skip


def best_of_each(sweep: Sweep, *, instrument: str) -> list[Difference]:
    """Per setting, the best finalist of each value against the best of all others, on test takes.

    The best have the smallest mean distance on validation, in float32; sizes are what they are. The interval is over
    takes: another training may come out differently by as much as the seed-to-seed floor.
    """
    models = exported(sweep, instrument=instrument)
    plain = models[models["quantisation"] == "float32"]
    takes = TakeValues(sweep.tables.clips[sweep.tables.clips["instrument"] == instrument])
    on_validation = plain.assign(distance=plain["candidate_id"].map(takes.evaluated())).dropna(subset="distance")
    asked = [name for name in QUESTIONS if on_validation[name].nunique() > 1]
    # Of two values one contrast says all.
    values = {name: sorted(on_validation[name].unique()) for name in asked}
    contrasts = [(name, one) for name, known in values.items() for one in (known if len(known) > 2 else known[1:])]
    confidence, margin = 1 - (1 - CONFIDENCE) / max(1, len(contrasts)), sweep.config.gates.log_spectral_db
    return [
        _best_against(on_validation, takes, name, value, confidence=confidence, margin=margin)
        for name, value in contrasts
    ]


def _best_against(
    models: pd.DataFrame, takes: TakeValues, name: str, value: object, *, confidence: float, margin: float
) -> Difference:
    ranked = models.sort_values(["distance", "candidate_id"])
    mine, theirs = ranked[ranked[name] == value].iloc[0], ranked[ranked[name] != value].iloc[0]
    values, _ = takes.differences(mine["candidate_id"], theirs["candidate_id"], QUALITY, "test")
    told = NAMES.get(str(value), str(value))
    return difference(
        values, what=f"best with {name.replace('_', ' ')} {told} against best without", unit="dB", over="test takes",
        note=f"{int(mine['parameters']):,} and {int(theirs['parameters']):,} parameters", confidence=confidence,
        margin=margin,
    )  # fmt: skip


def frame_rate_effects(sweeps: Sequence[Sweep], *, instrument: str) -> list[Difference]:
    """The same configurations at two frame rates, where sweeps at several were given: loss after the same steps."""
    of_rate: dict[float, list[Sweep]] = {}
    for sweep in sweeps:
        if instrument in sweep.tables.instruments:
            of_rate.setdefault(sweep.frame_rate_hz, []).append(sweep)
    means = {rate: _final_losses(own, instrument=instrument) for rate, own in sorted(of_rate.items())}
    return [_rates(means, first=second, second=first) for first, second in itertools.combinations(sorted(means), 2)]


def _final_losses(sweeps: Sequence[Sweep], *, instrument: str) -> pd.Series:
    """Logarithm of the loss after the last rung by seconds of sound learnt from and configuration; mean over seeds."""
    tables = [
        sweep.trials(instrument).query("status == 'done'").assign(audio_secs=sweep.audio_secs) for sweep in sweeps
    ]
    done = pd.concat(tables).drop_duplicates("trial_id")
    done = done.assign(log_loss=np.log(done["validation_loss"].astype(float)))
    return done.groupby(["audio_secs", "configuration"])["log_loss"].mean()


def _rates(means: Mapping[float, pd.Series], *, first: float, second: float) -> Difference:
    joined = pd.concat([means[first], means[second]], axis=1, join="inner").to_numpy(float)
    return difference(
        100 * (joined[:, 0] - joined[:, 1]),
        what=f"{first:g} against {second:g} frames a second, loss", unit="%", over="configurations",
        note=f"{first / second:g} × the decoder's work",
    )  # fmt: skip
