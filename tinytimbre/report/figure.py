"""The quality-versus-size plot as a picture, for the README and for cards."""

from __future__ import annotations

import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tinytimbre.quality.wording import size
from tinytimbre.report.data import plot_data
from tinytimbre.report.tables import SweepTables

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"gru": "#2563a8", "cnn": "#c2571a"}
MARKERS = {"float32": "o", "float16": "s", "8 bits": "^", "6, 4 bits": "v", "tuned": "D"}
KINDS = {
    "uint8": "8 bits", "int8": "8 bits", "int6": "6, 4 bits", "int4": "6, 4 bits",
    "tuned4": "tuned", "tuned3": "tuned", "tuned2": "tuned",
}  # fmt: skip
COLUMNS = 2
# As many labels as fit below one panel.
LEGEND_COLUMNS = 5
WIDE = 300
"""Largest size to smallest from which an axis has one label a decade."""

NAME_SHARE = 0.25
"""Of a panel's width, that a name takes."""


def write_figure(tables: SweepTables, *, output: pathlib.Path, metric: str = "log_spectral_db") -> None:
    """Saves `front_figure`; the suffix of ``output`` (.png or .svg) chooses the format."""
    figure = front_figure(tables, metric=metric)
    output = pathlib.Path(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    # No date inside: the same sweep gives the same bytes.
    metadata = {"Date": None} if output.suffix == ".svg" else {}
    figure.savefig(output, dpi=150, metadata=metadata)


def front_figure(tables: SweepTables, *, metric: str = "log_spectral_db") -> Figure:
    """One panel per instrument: every model, the front with its knee and intervals, the margin."""
    from matplotlib.figure import Figure

    names = tables.instruments
    columns = min(COLUMNS, max(1, len(names)))
    rows = max(1, math.ceil(len(names) / columns))
    figure = Figure(figsize=(5.4 * columns, 3.7 * rows), layout="constrained", facecolor="white")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel, instrument in zip(panels, names, strict=False):
        _panel(panel, plot_data(tables, instrument=instrument), metric=metric)
    for panel in panels[len(names) :]:
        panel.set_axis_off()
    handles, labels = _legend()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=LEGEND_COLUMNS * columns, frameon=False, fontsize=8.5
    )
    return figure


def write_power_figure(
    takes: Sequence[int],
    accepted: Mapping[str, Sequence[float]],
    *,
    acceptable: Mapping[str, bool],
    output: pathlib.Path,
) -> None:
    """Draws how often models of known quality are accepted, 0..1, over the number of test takes.

    Args:
        takes: the abscissa.
        accepted: per kind of model a share for each number of takes.
        acceptable: per kind of model whether accepting it is right.
        output: .png or .svg.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.2), layout="constrained", facecolor="white")
    axes = figure.subplots()
    for name, shares in accepted.items():
        style = "o-" if acceptable[name] else "s--"
        axes.plot(takes, [100 * share for share in shares], style, label=name, markersize=4, linewidth=1.4)
    axes.axhline(5, color="#b3312c", linewidth=1)
    axes.annotate("5 %", (takes[-1], 5), (4, 0), textcoords="offset points", va="center", color="#b3312c", fontsize=9)
    axes.set_xscale("log")
    axes.set_xticks(takes, [str(count) for count in takes], minor=False)
    axes.set_xticks([], minor=True)
    axes.set_xlabel("test takes", fontsize=9)
    axes.set_ylabel("smaller model accepted, % of sweeps", fontsize=9)
    axes.grid(color="#eceeef")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8.5, title="truth: the smaller model is", title_fontsize=8.5, alignment="left")
    output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=150)


def _panel(axes: Axes, data: dict, *, metric: str) -> None:
    own = next(entry for entry in data["metrics"] if entry["name"] == metric)
    points = {p["candidate_id"]: p for p in data["points"] if p[metric] is not None and p["total_brotli"]}
    for point in points.values():
        axes.plot(
            point["total_brotli"],
            point[metric],
            MARKERS.get(KINDS.get(point["quantisation"], point["quantisation"]), "o"),
            color=COLOURS.get(point["decoder"], "#666666"),
            markersize=5,
            alpha=0.75,
            markeredgecolor="white",
            markeredgewidth=0.5,
        )
    axes.set_xscale("log")
    axes.margins(x=0.06, y=0.1)
    _draw_front(axes, own, points, metric=metric)
    if own["limit"] is not None:
        axes.axhline(own["limit"], color="#b3312c", linestyle="--", linewidth=1.2)
    _name_roles(axes, data["roles"], points, metric=metric, worse=own["worse"])
    _style(axes, title=data["instrument"], metric=metric)
    low, high = axes.get_ylim()
    # Room on the good side for the names, which stand where no point can be.
    room = 0.12 * (high - low)
    axes.set_ylim((low - room, high) if own["worse"] > 0 else (low, high + room))


def _draw_front(axes: Axes, own: dict, points: dict[str, dict], *, metric: str) -> None:
    """The front, its knee, and the intervals of the differences to the best."""
    front = [points[candidate] for candidate in own["front"] if candidate in points]
    sizes, values = [p["total_brotli"] for p in front], [p[metric] for p in front]
    axes.step(sizes, values, where="post", color="#7a858f", linewidth=1.2)
    for candidate, (low, high) in own["intervals"].items():
        if candidate in points:
            axes.vlines(points[candidate]["total_brotli"], low, high, color="#7a858f", linewidth=0.8)
    if own["knee"] in points:
        knee = points[own["knee"]]
        axes.plot(
            knee["total_brotli"], knee[metric], "d", markersize=11, markerfacecolor="none", markeredgecolor="#555"
        )


def _name_roles(axes: Axes, roles: dict[str, str], points: dict[str, dict], *, metric: str, worse: int) -> None:
    named: dict[str, list[str]] = {}
    for role in ("best", "chosen"):
        if roles.get(role) in points:
            named.setdefault(roles[role], []).append(role)
    for candidate, names in named.items():
        at = (points[candidate]["total_brotli"], points[candidate][metric])
        axes.plot(*at, "o", markersize=12, markerfacecolor="none", markeredgecolor="#1d2125", markeredgewidth=1.4)
        text = f"{' = '.join(names)}\n{size(at[0])}"
        # The smallest is named on its left where there is room, else on its right as a larger one: they may lie close.
        inside = axes.transAxes.inverted().transform(axes.transData.transform(at))[0]
        smallest = at[0] == min(points[one]["total_brotli"] for one in named)
        side = -1 if smallest and (inside > NAME_SHARE or len(named) > 1) else 1
        shift, vertical = ((9 * side, -9), "top") if worse > 0 else ((9 * side, 9), "bottom")
        axes.annotate(
            text, at, shift, textcoords="offset points", ha="right" if side < 0 else "left", va=vertical,
            fontsize=8.5, fontweight="bold",
        )  # fmt: skip


def _style(axes: Axes, *, title: str, metric: str) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axes.get_xlim()
    # As many labels as a panel has room for.
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if high / low > WIDE else (1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda n_bytes, _: size(int(n_bytes)).replace(".0 ", " ")))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(labelsize=8.5)
    axes.grid(color="#eceeef")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    # A dollar sign in a name is no formula.
    axes.set_title(title.replace("$", r"\$"), loc="left", fontsize=11, fontweight="bold")
    axes.set_xlabel("size of the whole model, brotli", fontsize=9)
    label = metric.removesuffix("_db").replace("_", " ")
    axes.set_ylabel(f"{label}{' distance, dB' if metric.endswith('spectral_db') else ''}", fontsize=9)


def _legend() -> tuple[list, list[str]]:
    from matplotlib.lines import Line2D

    dots = [Line2D([], [], marker="o", linestyle="", color=colour) for colour in COLOURS.values()]
    shapes = [Line2D([], [], marker=marker, linestyle="", color="#666666") for marker in MARKERS.values()]
    knee = Line2D([], [], marker="d", linestyle="", markerfacecolor="none", markeredgecolor="#555")
    lines = [Line2D([], [], color="#7a858f"), knee, Line2D([], [], color="#b3312c", linestyle="--")]
    return [*dots, *shapes, *lines], [*(kind.upper() for kind in COLOURS), *MARKERS, "front", "knee", "best + margin"]
