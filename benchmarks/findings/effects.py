"""What a setting does to the loss, other things being equal: a regression over the trials of one instrument.

    effects = setting_effects(sweep, instrument="flute")

The logarithm of the validation loss is regressed on every setting that varies (one number per value) and on the
logarithm of the size with its square, so a contrast compares models of equal size; Huber's weights (*Annals of
Mathematical Statistics* 35:1, 1964) keep a few trials that went astray from deciding. Intervals are percentiles of a
bootstrap over configurations (seeds of one are averaged first), with Bonferroni's correction over the contrasts of one
regression: together they hold with 95 %. Where a value has too few trials, nothing is said.

Only the first rung has all trials. Later ones have those that were promoted for their loss, which narrows what is left
to find: their contrasts are smaller than they would be over all. What the end has too few trials for, `best_of_each`
asks of the exported models.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from benchmarks.findings.sweeps import Sweep, configurations

QUESTIONS = ("decoder", "input", "harmonics", "noise_bands")
"""Asked about; every other setting that varies is held equal."""

HELD = ("learning_rate",)
CONFIDENCE = 0.95
DRAWS = 4000
MIN_PER_COEFFICIENT = 4
MIN_PER_VALUE = 3
MOST_LOST_DRAWS = 0.01
HUBER = 1.345
"""Residuals beyond so many standard deviations count less: 95 % efficient where they are normal."""

REWEIGHTINGS = 50
NORMAL_MEDIAN = 0.6745
"""Of a standard normal's absolute value."""

PER_CENT = 100.0
NAMES = {"gru": "GRU", "cnn": "CNN", "loudness": "loudness", "rms_energy": "RMS energy"}


@dataclasses.dataclass(frozen=True)
class Effect:
    """By how many per cent ``value`` has another loss than ``against``; negative: it is better.

    Attributes:
        setting: its name in the search space.
        value: one value.
        against: the other.
        step: training steps after which they are compared.
        n: configurations compared.
        estimate: per cent of the loss; None where nothing can be said, then ``why`` says why.
        low: of the interval.
        high: likewise.
        why: in words; empty where there is an estimate.
    """

    setting: str
    value: str
    against: str
    step: int
    n: int
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    why: str = ""

    @property
    def shown(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)

    def words(self) -> str:
        """The contrast with its interval, ``not shown`` where it may be nothing."""
        if self.estimate is None or self.low is None or self.high is None:
            return f"not shown: {self.why}"
        verdict = "" if self.shown else "not shown: "
        return f"{verdict}{self.estimate:+.1f} % ({self.low:+.1f} … {self.high:+.1f})"


def setting_effects(sweep: Sweep, *, instrument: str) -> list[Effect]:
    """Contrasts after the first rung, and after the last one that has trials enough for any."""
    trials = sweep.trials(instrument)
    first, *later = (effects_at(sweep, trials, step=step) for step in sweep.config.budget.rung_steps)
    known = [effects for effects in later if any(not effect.why for effect in effects)]
    return [*first, *(known[-1] if known else [])]


def effects_at(sweep: Sweep, trials: pd.DataFrame, *, step: int) -> list[Effect]:
    """Contrasts of all settings asked about, over the trials that have a loss at `step`."""
    table = losses_at(sweep, trials, step=step)
    asked = [name for name in QUESTIONS if table[name].nunique() > 1]
    contrasts = [(name, *pair) for name in asked for pair in _pairs(table[name])]
    why = _too_few(table, asked)
    if why:
        return [Effect(name, _told(a), _told(b), step, len(table), why=why) for name, a, b in contrasts]
    return _regressed(table, contrasts, step=step)


def losses_at(sweep: Sweep, trials: pd.DataFrame, *, step: int) -> pd.DataFrame:
    """A row per configuration that has a validation loss at a step: its settings, ``parameters``, mean ``log_loss``."""
    curves = sweep.tables.curves
    at_step = curves[(curves["step"] == step) & (curves["validation_loss"] > 0)]
    joined = trials.merge(at_step[["trial_id", "validation_loss"]], on="trial_id", suffixes=("_last", ""))
    joined = joined.assign(configuration=configurations(joined), log_loss=np.log(joined["validation_loss"]))
    first = joined.groupby("configuration", sort=True).first()
    return first.assign(log_loss=joined.groupby("configuration", sort=True)["log_loss"].mean()).reset_index()


def _pairs(column: pd.Series) -> Iterable[tuple[object, object]]:
    """Words: one against the other. Numbers: each against the largest."""
    values = sorted(column.unique(), key=lambda value: (isinstance(value, str), value))
    if isinstance(values[0], str):
        return [(second, first) for first, second in itertools.combinations(values, 2)]
    return [(value, values[-1]) for value in values[:-1]]


def _told(value: object) -> str:
    return NAMES.get(str(value), f"{value:g}" if isinstance(value, int | float | np.number) else str(value))


def _too_few(table: pd.DataFrame, asked: Sequence[str]) -> str:
    coefficients = _design(table)[0].shape[1]
    if len(table) < MIN_PER_COEFFICIENT * coefficients:
        return f"{len(table)} configurations, at least {MIN_PER_COEFFICIENT * coefficients} are needed"
    rare = [name for name in asked if table[name].value_counts().min() < MIN_PER_VALUE]
    return f"a value of {rare[0]} has fewer than {MIN_PER_VALUE} configurations" if rare else ""


def _design(table: pd.DataFrame) -> tuple[np.ndarray, dict[tuple[str, object], int]]:
    """Float [n, coefficients], and the column of each setting's value; the first value of a setting has none."""
    size = np.log2(table["parameters"].to_numpy(float))
    size = size - size.mean()
    columns, places = [np.ones(len(table)), size, size**2], {}
    for name in (*QUESTIONS, *HELD):
        if name not in table or table[name].nunique() < 2:
            continue
        for value in sorted(table[name].unique())[1:]:
            places[name, value] = len(columns)
            columns.append((table[name] == value).to_numpy(float))
    return np.stack(columns, axis=1), places


def _regressed(table: pd.DataFrame, contrasts: Sequence[tuple[str, object, object]], *, step: int) -> list[Effect]:
    design, places = _design(table)
    target = PER_CENT * table["log_loss"].to_numpy(float)
    vectors = np.stack([_contrast(contrast, places, design.shape[1]) for contrast in contrasts])
    coefficients, limit = _huber(design, target)
    estimates = vectors @ coefficients
    draws = estimates + _bootstrap(design, target - design @ coefficients, limit=limit) @ vectors.T
    why = "too few trials with some values" if len(draws) < (1 - MOST_LOST_DRAWS) * DRAWS else ""
    tail = (1 - CONFIDENCE) / 2 / len(contrasts)
    ends = np.quantile(draws, [tail, 1 - tail], axis=0).T if not why else np.full((len(contrasts), 2), math.nan)
    return [
        Effect(name, _told(a), _told(b), step, len(table), why=why)
        if why
        else Effect(name, _told(a), _told(b), step, len(table), float(estimate), float(low), float(high))
        for (name, a, b), estimate, (low, high) in zip(contrasts, estimates, ends, strict=True)
    ]


def _contrast(contrast: tuple[str, object, object], places: dict[tuple[str, object], int], n: int) -> np.ndarray:
    name, value, against = contrast
    vector = np.zeros(n)
    for sign, one in ((1.0, value), (-1.0, against)):
        if (name, one) in places:
            vector[places[name, one]] += sign
    return vector


def _huber(design: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, float]:
    """Coefficients, and the residual from which on a row counts less; spread by the median absolute deviation."""
    weights = np.ones(len(target))
    for _ in range(REWEIGHTINGS):
        root = np.sqrt(weights)
        coefficients = np.linalg.lstsq(design * root[:, None], target * root, rcond=None)[0]
        residuals = np.abs(target - design @ coefficients)
        limit = HUBER * float(np.median(residuals)) / NORMAL_MEDIAN
        weights = np.minimum(1.0, limit / np.maximum(residuals, 1e-12))
    return coefficients, limit


def _bootstrap(design: np.ndarray, residuals: np.ndarray, *, limit: float) -> np.ndarray:
    """Deviations of the coefficients [draws, n] over resampled rows: one step of Newton's from the estimate.

    Weights held as they were would make the intervals too narrow. Draws in which some coefficient cannot be told are
    left out; n / (n - p) makes good for the spread that the fit has taken up.
    """
    n_rows, n_columns = design.shape
    counts = np.random.default_rng(0).multinomial(n_rows, np.full(n_rows, 1 / n_rows), size=DRAWS).astype(float)
    inside = counts * (np.abs(residuals) <= limit)
    products = (design[:, :, None] * design[:, None, :]).reshape(n_rows, -1)
    normal = (inside @ products).reshape(-1, n_columns, n_columns)
    told = np.linalg.matrix_rank(normal, hermitian=True) == n_columns
    right = counts[told] @ (design * np.clip(residuals, -limit, limit)[:, None])
    spread = math.sqrt(n_rows / (n_rows - n_columns))
    return spread * np.linalg.solve(normal[told], right[..., None])[..., 0]
