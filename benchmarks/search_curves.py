"""How the best model found so far improves with the training time spent: pure computations on a search's events.

An event is a model whose validation loss became known after some seconds of training. Which of the events that may come
in any order came first is chance; several orders of the same events give an interval without more training.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

INTERVAL = (5.0, 50.0, 95.0)
"""Percentiles over the orders: low, middle, high."""


@dataclasses.dataclass(frozen=True)
class Event:
    """A model was trained for `train_seconds` more; ``validation_loss`` is None where it failed."""

    trial_id: str
    n_bytes: int
    train_seconds: float
    validation_loss: float | None


@dataclasses.dataclass(frozen=True, eq=False)
class Curves:
    """What a search had found after each of ``seconds`` [times]; infinite loss where nothing was found.

    Attributes:
        seconds: of training spent, float64 [times].
        losses: lowest validation loss under each size limit, [orders, limits, times].
        hypervolume: of the (size, loss) front, [orders, times]; see `hypervolume`.
    """

    seconds: np.ndarray
    losses: np.ndarray
    hypervolume: np.ndarray


def orders(stages: Sequence[Sequence[Event]], *, count: int, seed: int) -> list[list[Event]]:
    """Several orders in which the same events may have come: stages follow each other, inside one all is chance."""
    rng = np.random.default_rng(seed)
    return [[stage[index] for stage in stages for index in rng.permutation(len(stage))] for _ in range(count)]


def curves(
    ordered: Sequence[Sequence[Event]],
    *,
    seconds: np.ndarray,
    limits: Sequence[int],
    reference: tuple[int, float],
) -> Curves:
    """Evaluates every order at the given times.

    Args:
        ordered: orders of events.
        seconds: times to look at, ascending.
        limits: sizes in bytes; a model counts for each limit it does not exceed.
        reference: the size in bytes and the loss that a model must beat to count for the hypervolume.
    """
    losses = np.full((len(ordered), len(limits), len(seconds)), np.inf)
    volumes = np.zeros((len(ordered), len(seconds)))
    for row, events in enumerate(ordered):
        known = np.searchsorted(np.cumsum([event.train_seconds for event in events]), seconds, side="right")
        n_bytes = np.array([event.n_bytes for event in events], float)
        loss = np.array([math.inf if e.validation_loss is None else e.validation_loss for e in events])
        for column, limit in enumerate(limits):
            best = np.minimum.accumulate(np.where(n_bytes <= limit, loss, np.inf))
            losses[row, column] = np.concatenate([[np.inf], best])[known]
        volume = {count: hypervolume(n_bytes[:count], loss[:count], reference=reference) for count in set(known)}
        volumes[row] = [volume[count] for count in known]
    return Curves(seconds=seconds, losses=losses, hypervolume=volumes)


def hypervolume(n_bytes: np.ndarray, loss: np.ndarray, *, reference: tuple[int, float]) -> float:
    """Area that the (size, loss) front dominates up to a reference point, in decades of size times loss.

    At every size it is the gap between the reference loss and the lowest loss that a model of at most that size has;
    the logarithm makes a halving count alike for small and for large models. Hypervolume indicator: Zitzler and
    Thiele, "Multiobjective optimization using evolutionary algorithms", PPSN 1998.

    Args:
        n_bytes: sizes, [models].
        loss: losses, [models].
        reference: size in bytes and loss; what is larger or worse counts nothing.
    """
    largest, worst = reference
    counting = (n_bytes < largest) & (loss < worst)
    if not counting.any():
        return 0.0
    order = np.argsort(n_bytes[counting], kind="stable")
    sizes, best = np.log10(n_bytes[counting][order]), np.minimum.accumulate(loss[counting][order])
    widths = np.diff(sizes, append=math.log10(largest))
    return float(np.sum(widths * (worst - best)))


def interval(values: np.ndarray) -> np.ndarray:
    """`INTERVAL` percentiles over the first axis, [3, …]; infinite values are taken as they are."""
    # Interpolating between a number and infinity would give NaN: the nearest order is taken instead.
    return np.percentile(values, INTERVAL, axis=0, method="nearest")


def reached_at(seconds: np.ndarray, values: np.ndarray, *, goal: float) -> float | None:
    """The first of `seconds` at which rising `values` are at least `goal`, None if they never are."""
    found = np.flatnonzero(values >= goal)
    return float(seconds[found[0]]) if len(found) else None


def size_limits(sizes: Sequence[tuple[int, int]]) -> list[int]:
    """Largest size of each stratum, ascending, from ``(stratum, n_bytes)`` of all models."""
    strata = sorted({stratum for stratum, _ in sizes})
    largest = [max(n_bytes for own, n_bytes in sizes if own <= stratum) for stratum in strata]
    return sorted(set(largest))
