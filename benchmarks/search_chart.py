"""The picture of `benchmarks.search`: what each method had found after so much training."""

from __future__ import annotations

import math
import pathlib
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.search_curves import Curves, interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from benchmarks.search import Comparison

COLOURS = {"halving": "#2563a8", "random": "#c2571a"}
LABELS = {"halving": "successive halving, stratified by size", "random": "random search, each trained to the end"}
COLUMNS = 3
SECS_PER_MIN = 60.0
BEYOND = 1e9
ROOM = 0.15
"""Of the range of a panel, above and below."""


def draw(comparison: Comparison, *, output: pathlib.Path) -> None:
    """One panel for the front as a whole, one per size limit; bands hold 90 % of the orders, lines are medians."""
    from matplotlib.figure import Figure

    count = 1 + len(comparison.limits)
    columns = min(COLUMNS, count)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(4.2 * columns, 3.0 * rows + 0.6), layout="constrained", facecolor="white")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    _panel(panels[0], {name: own.hypervolume for name, own in _methods(comparison)}, comparison)
    panels[0].set_ylim(0, 1.02)
    panels[0].set_title("all sizes: share of the front found", loc="left", fontsize=10, fontweight="bold")
    panels[0].set_ylabel("hypervolume (size, loss), share", fontsize=9)
    for index, limit in enumerate(comparison.limits):
        _panel(panels[1 + index], {name: own.losses[:, index] for name, own in _methods(comparison)}, comparison)
        title = f"models of at most {limit / 1e3:.0f} kB"
        panels[1 + index].set_title(title, loc="left", fontsize=10, fontweight="bold")
        panels[1 + index].set_ylabel("best validation loss", fontsize=9)
        panels[1 + index].set_ylim(_loss_limits([own.losses[:, index] for _, own in _methods(comparison)]))
    for panel in panels[count:]:
        panel.set_axis_off()
    figure.suptitle(comparison.instrument.replace("$", r"\$"), x=0.01, ha="left", fontsize=12, fontweight="bold")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=150)


def _methods(comparison: Comparison) -> list[tuple[str, Curves]]:
    return [("halving", comparison.halving), ("random", comparison.random)]


def _panel(axes: Axes, values: dict[str, np.ndarray], comparison: Comparison) -> None:
    minutes = comparison.halving.seconds / SECS_PER_MIN
    for name, own in values.items():
        low, middle, high = interval(own)
        # What some orders have not found yet lies beyond the picture.
        beyond = np.where(np.isfinite(high), high, np.where(np.isfinite(low), BEYOND, np.nan))
        axes.fill_between(minutes, _finite(low), beyond, step="post", color=COLOURS[name], alpha=0.2, linewidth=0)
        axes.step(minutes, _finite(middle), where="post", color=COLOURS[name], linewidth=1.6, label=LABELS[name])
    axes.set_xlabel("training time, minutes of one process", fontsize=9)
    axes.set_xlim(0, minutes[-1])
    axes.tick_params(labelsize=8.5)
    axes.grid(color="#eceeef")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _loss_limits(losses: list[np.ndarray]) -> tuple[float, float] | None:
    """The range of the medians without the first third: they fall from so high that nothing else could be seen."""
    middles = np.concatenate([interval(own)[1, own.shape[1] // 3 :] for own in losses])
    shown = middles[np.isfinite(middles)]
    if not len(shown) or shown.max() == shown.min():
        return None
    room = ROOM * (shown.max() - shown.min())
    return float(shown.min() - room), float(shown.max() + room)


def _finite(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), values, np.nan)
