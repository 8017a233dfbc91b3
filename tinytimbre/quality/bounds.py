"""Upper confidence bounds of a mean over takes, honest with few takes.

The percentile bootstrap resamples whole takes (a cluster bootstrap: recordings of one take are first
averaged, so near-duplicates count once; Davison & Hinkley, *Bootstrap Methods*, 1997, section 3.8). Its
bound is too narrow for small samples (Hesterberg, *What Teachers Should Know about the Bootstrap*, The
American Statistician 69:4, 2015, table 4): of n takes it can never exceed the worst, which all lie below
the true mean in 1 of 2^n samples, 12.5 % for 3. Student's t bound is too narrow where the values are skewed
to the right, as errors are. Hence the widest of three: percentile bootstrap, Student's t, and t corrected for
skewness by Hall's cubic transformation (*On the removal of skewness by transformation*, JRSS B 54:1, 1992).
"""

from __future__ import annotations

import functools
import math

import numpy as np
import scipy.special
import scipy.stats

MIN_TAKES = 3  # below it no spread can be told from the values
MOST_TAKES = 1000  # nobody records more of one instrument
POWER = 0.8
POWER_SAMPLES = 1000
MOST_MARGINS_BETTER = 3.0
SKEWNESS_OF_NOTE = 1e-6
EQUAL = 1e-9


def without_luck(values: np.ndarray, *, margin: float) -> np.ndarray:
    """Differences (positive is worse) of which none is better than three margins.

    One take on which the reference fails and the candidate does not spreads the differences, and would make the bound
    worse than if both had failed. Raising values only raises their mean: what is shown of these holds for the
    differences themselves, and a candidate at the margin passes no more often than before.
    """
    return np.maximum(values, -MOST_MARGINS_BETTER * margin)


def upper_bound(values: np.ndarray, *, confidence: float, draws: int, seed: int) -> float:
    """One-sided upper confidence bound of the mean of ``values``.

    Args:
        values: float [n_takes], n_takes >= 3, finite; one value per take.
        confidence: in (0.5, 1), e.g. 0.95.
        draws: bootstrap resamples.
        seed: the same seed and number of takes give the same resamples, for every gate and candidate.
    """
    values = np.asarray(values, np.float64)
    means = _resampling_weights(len(values), draws=draws, seed=seed) @ values
    bootstrap = float(np.quantile(means, confidence, method="higher"))
    t = scipy.special.stdtrit(len(values) - 1, confidence)
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return max(bootstrap, float(np.mean(values)) + error * max(t, _skewed_quantile(values, t=t)))


def two_sided(values: np.ndarray, *, confidence: float, draws: int, seed: int) -> tuple[float, float]:
    """Both ends of the confidence interval of a mean: `upper_bound`, half of what is left out on either side."""
    one_sided = (1 + confidence) / 2
    low = -upper_bound(-np.asarray(values, np.float64), confidence=one_sided, draws=draws, seed=seed)
    return low, upper_bound(values, confidence=one_sided, draws=draws, seed=seed)


def takes_needed(values: np.ndarray, *, margin: float, confidence: float, bound: float) -> int | None:
    """Takes for 80 % power to show the mean below ``margin``, if mean and spread stay as in ``values``.

    The normal approximation ``((z_confidence + z_power) * sd / (margin - mean)) ** 2``; a mean better
    than the reference counts as equal to it. At least as many as bring ``bound``, that of ``values``, to the margin
    when it nears the mean with the root of their number: with long tails it is wider than a normal one. None where the
    mean is not below the margin, or so little that a thousand takes would not do.
    """
    mean = max(float(np.mean(values)), 0.0)
    room = margin - mean
    if room <= 0 or len(values) < 2:
        return None
    z = scipy.special.ndtri(confidence) + scipy.special.ndtri(POWER)
    normal = (z * float(np.std(values, ddof=1)) / room) ** 2
    as_wide = len(values) * ((bound - mean) / room) ** 2
    needed = max(MIN_TAKES, math.ceil(max(normal, as_wide)))
    return needed if needed <= MOST_TAKES else None


def smallest_margin(values: np.ndarray, *, confidence: float) -> float | None:
    """The smallest margin that as many takes, as spread as ``values``, show for an equal model with 80 % power.

    That quantile of the bound over samples of a normal distribution; what lies below it cannot be told from nothing
    with the takes at hand. None with fewer than 3.
    """
    n_takes = len(values)
    if n_takes < MIN_TAKES:
        return None
    return _usual_bound(n_takes, confidence=confidence) * float(np.std(values, ddof=1))


@functools.lru_cache(maxsize=64)
def _usual_bound(n_takes: int, *, confidence: float) -> float:
    """Below which the bound of a standard normal sample lies in 80 %; a fixed sample of bounds, good to 2 %."""
    samples = np.random.default_rng(n_takes).standard_normal((POWER_SAMPLES, n_takes))
    found = [upper_bound(sample, confidence=confidence, draws=POWER_SAMPLES, seed=0) for sample in samples]
    return float(np.quantile(found, POWER))


def _skewed_quantile(values: np.ndarray, *, t: float) -> float:
    """The quantile that takes the place of Student's ``t`` for values as skewed as these."""
    n_takes = len(values)
    if np.ptp(values) <= EQUAL * np.abs(values).max():
        return t
    skewness = float(scipy.stats.skew(values, bias=False))
    if abs(skewness) < SKEWNESS_OF_NOTE:
        return t
    bent = 1 - skewness * (t / math.sqrt(n_takes) + skewness / (6 * n_takes))
    return float(math.sqrt(n_takes) * 3 / skewness * (1 - np.cbrt(bent)))


@functools.lru_cache(maxsize=16)
def _resampling_weights(n_takes: int, *, draws: int, seed: int) -> np.ndarray:
    """Float [draws, n_takes]; row sums are 1."""
    generator = np.random.default_rng([seed, n_takes])
    return generator.multinomial(n_takes, np.full(n_takes, 1 / n_takes), size=draws) / n_takes
