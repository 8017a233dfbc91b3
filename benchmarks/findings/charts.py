"""The pictures: all fronts in one, effects of the settings, where quality breaks, ranks of the early rungs."""

from __future__ import annotations

import math
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.findings.breaks import SizeStep
from benchmarks.findings.effects import QUESTIONS, Effect
from benchmarks.findings.findings import Findings
from benchmarks.references import KNOWN_SIZES
from tinytimbre.quality.wording import size
from tinytimbre.report.tables import front

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours and three more, told apart by most eyes; shapes tell them apart in print.
COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#8a6d3b", "#7b3fb5", "#b0b000",
)  # fmt: skip
MARKERS = "osD^vP*X<>"
GREY, LIGHT = "#7a858f", "#eceeef"
COLUMNS = 2
JUDGED = {"within every margin": "#009e73", "beyond a margin": "#b3312c", "not shown": "#7a858f"}


def draw_all(found: Sequence[Findings], *, output: pathlib.Path) -> list[pathlib.Path]:
    """Writes the four pictures; gives their paths."""
    figures = {
        "fronts.png": fronts_figure(found),
        "settings.png": settings_figure(found),
        "size.png": size_figure(found),
        "rungs.png": rungs_figure(found),
    }
    for name, figure in figures.items():
        figure.savefig(output / name, dpi=150)
    return [output / name for name in figures]


def fronts_figure(found: Sequence[Findings]) -> Figure:
    """Per instrument the front of all exported models; the best is best on validation, so others may lie below it."""
    figure, axes = _figure((8.4, 5.0))
    for index, one in enumerate(found):
        _front(axes, one, style=_style(index))
    low, high = axes.get_ylim()
    for known in KNOWN_SIZES:
        axes.axvline(known.n_bytes, color=GREY, linewidth=1, linestyle=":")
        axes.annotate(
            f"{known.name}, {size(known.n_bytes)}", (known.n_bytes, high), (-3, -4), textcoords="offset points",
            rotation=90, ha="right", va="top", fontsize=8, color=GREY,
        )  # fmt: skip
    axes.set_ylim(low, high)
    axes.axhline(0, color=GREY, linewidth=0.8)
    _bytes_axis(axes)
    axes.set_ylabel("log spectral distance against the best model, dB", fontsize=9)
    axes.set_title("The best exported models of each size, on test takes; ringed: what ships", loc="left", fontsize=11)
    _legend(figure)
    return figure


def _front(axes: Axes, one: Findings, *, style: dict[str, Any]) -> None:
    candidates = one.judged.tables.candidates
    own = candidates[candidates["instrument"] == one.instrument]
    best = one.result.best
    if best is None:
        return
    points = front(own)
    height = points["log_spectral_db"].astype(float) - best.metrics["log_spectral_db"].mean
    axes.plot(points["total_brotli"], height, label=one.instrument.replace("_", " "), **style)
    if one.result.shown:
        at = one.result.shown
        axes.plot(
            at.n_brotli, at.metrics["log_spectral_db"].mean - best.metrics["log_spectral_db"].mean, "o",
            markersize=12, markerfacecolor="none", markeredgecolor=style["color"], markeredgewidth=1.6,
        )  # fmt: skip


def settings_figure(found: Sequence[Findings]) -> Figure:
    """Effects of the settings on the loss, a row per contrast, an interval per instrument and step."""
    asked = [effect for name in QUESTIONS for one in found for effect in one.settings if effect.setting == name]
    labels = list(dict.fromkeys(map(_label, asked)))
    figure, axes = _figure((8.4, 1.6 + 0.16 * len(labels) * max(2, len(found))))
    drawn = max(1, len(found))
    for index, one in enumerate(found):
        style = _style(index)
        last = {_label(effect): effect for effect in one.settings if effect.estimate is not None}
        for row, label in enumerate(labels):
            effect = last.get(label)
            if effect is None or effect.low is None or effect.high is None:
                continue
            height = row + 0.7 * ((index + 0.5) / drawn - 0.5)
            axes.hlines(height, effect.low, effect.high, color=style["color"], linewidth=1.6)
            axes.plot(effect.estimate, height, style["marker"], color=style["color"], markersize=5)
        axes.plot([], [], style["marker"] + "-", color=style["color"], label=one.instrument.replace("_", " "))
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.set_yticks(range(len(labels)), labels, fontsize=9)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_xlabel(
        "difference of the validation loss at equal size, %; left is better for what is named first", fontsize=9
    )
    axes.set_title("Settings, after the last rung that has trials enough", loc="left", fontsize=11)
    _legend(figure)
    return figure


def _label(effect: Effect) -> str:
    return f"{effect.setting.replace('_', ' ')}: {effect.value} against {effect.against}"


def size_figure(found: Sequence[Findings]) -> Figure:
    """A panel per instrument: the best model of each size against the best of all, with interval and margin."""
    figure, panels = _panels(len(found))
    for panel, one in zip(panels, found, strict=False):
        _size_panel(panel, one.steps, margin=one.judged.config.gates.log_spectral_db)
        panel.set_title(one.instrument.replace("_", " "), loc="left", fontsize=11)
    for panel in panels[len(found) :]:
        panel.set_visible(False)
    for name, colour in JUDGED.items():
        panels[0].plot([], [], "o-", color=colour, label=name)
    _legend(figure)
    return figure


def _size_panel(axes: Axes, steps: Sequence[SizeStep], *, margin: float) -> None:
    for step in steps:
        colour = JUDGED[step.judgement]
        axes.vlines(step.n_bytes, step.low_db, step.high_db, color=colour, linewidth=1.6)
        axes.plot(step.n_bytes, step.worse_db, "o", color=colour, markersize=5)
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.axhline(margin, color="#b3312c", linewidth=1, linestyle="--")
    _bytes_axis(axes)
    axes.set_ylabel("log spectral distance\nagainst the best, dB", fontsize=9)


def rungs_figure(found: Sequence[Findings]) -> Figure:
    """Rank correlation of each rung's losses with the final ones."""
    figure, axes = _figure((7.2, 4.0))
    for index, one in enumerate(found):
        style = _style(index)
        known = [rank for rank in one.ranks if rank.correlation is not None]
        places = [rank.rung + 0.5 * ((index + 0.5) / len(found) - 0.5) for rank in known]
        values = np.array([[rank.low, rank.correlation, rank.high] for rank in known], float).reshape(-1, 3)
        axes.vlines(places, values[:, 0], values[:, 2], color=style["color"], linewidth=1.6)
        axes.plot(
            places, values[:, 1], style["marker"] + "-", color=style["color"], linewidth=0.8, label=one.instrument
        )
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.set_xticks(sorted({rank.rung for one in found for rank in one.ranks}))
    axes.set_xlabel("rung", fontsize=9)
    axes.set_ylabel("rank correlation with the final loss", fontsize=9)
    axes.set_title("How well early rungs foretell the end, 95 % intervals", loc="left", fontsize=11)
    _legend(figure)
    return figure


def _legend(figure: Figure) -> None:
    """Below, where nothing is drawn; every name once."""
    known: dict[str, Any] = {}
    for axes in figure.axes:
        handles, labels = axes.get_legend_handles_labels()
        known |= dict(zip(labels, handles, strict=True))
    figure.legend(
        list(known.values()), list(known), loc="outside lower center", ncols=min(4, max(1, len(known))), frameon=False,
        fontsize=8.5,
    )  # fmt: skip


def _figure(inches: tuple[float, float]) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=inches, layout="constrained", facecolor="white")
    axes = figure.subplots()
    _plain(axes)
    return figure, axes


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    rows = max(1, math.ceil(count / COLUMNS))
    figure = Figure(figsize=(4.6 * COLUMNS, 2.9 * rows), layout="constrained", facecolor="white")
    panels = list(figure.subplots(rows, COLUMNS, squeeze=False, sharey=True).ravel())
    for panel in panels:
        _plain(panel)
    return figure, panels


def _plain(axes: Axes) -> None:
    axes.grid(color=LIGHT)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8.5)


def _style(index: int) -> dict[str, Any]:
    return {
        "color": COLOURS[index % len(COLOURS)], "marker": MARKERS[index % len(MARKERS)], "markersize": 4.5,
        "linewidth": 1.3,
    }  # fmt: skip


def _bytes_axis(axes: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda n_bytes, _: size(int(n_bytes)).replace(".0 ", " ")))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("size of the whole model, brotli", fontsize=9)
