"""The outcome of a blind comparison as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tinytimbre.quality.listening import Answer, score

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def answers_figure(answers: Sequence[Answer]) -> Figure:
    """Per instrument how often the best model was picked, with its upper bound; the line is chance."""
    from matplotlib.figure import Figure

    names = sorted({answer.instrument for answer in answers})
    figure = Figure(figsize=(6.4, 1.2 + 0.4 * max(1, len(names))), layout="constrained", facecolor="white")
    axes = figure.subplots()
    for row, name in enumerate(names):
        own = score([answer for answer in answers if answer.instrument == name])
        share = own.n_first / own.n_answers
        axes.plot([share, own.share_bound], [row, row], color="#7a858f", linewidth=2)
        axes.plot(share, row, "o", color="#2563a8", markersize=8)
        axes.annotate(
            f"{own.n_first} of {own.n_answers}", (share, row), (0, 8), textcoords="offset points", fontsize=8.5
        )
    axes.axvline(0.5, color="#b3312c", linestyle="--", linewidth=1.2)
    axes.set_xlim(-0.03, 1.03)
    axes.set_ylim(-0.6, max(1, len(names)) - 0.4)
    axes.set_yticks(range(len(names)), [name.replace("$", "") for name in names])
    axes.set_xlabel("best model picked (dot) and at most picked (end of the line); dashed: chance", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    return figure
