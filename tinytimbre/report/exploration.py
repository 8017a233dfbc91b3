"""Which settings matter: parallel coordinates of the trials, and the importance of each hyperparameter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tinytimbre.config import SEARCH_KEYS
from tinytimbre.report.tables import SweepTables

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MIN_TRIALS = 10
FOLDS, TREES, SHUFFLES = 5, 100, 10
LOSS = "validation loss"
FEW_VALUES = 6
TITLE: dict[str, Any] = {"loc": "left", "fontsize": 11, "fontweight": "bold"}
LABEL_BOX: dict[str, Any] = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.5}


def comparable_trials(tables: SweepTables, *, instrument: str) -> pd.DataFrame:
    """Trials that finished a rung, with their validation loss at the last step that all of them reached.

    A trial that was stopped early is compared with what the others were at that step. Students are left out: what
    tells them from others is their teacher. Columns: the
    hyperparameters that vary, ``parameters``, `LOSS`, ``trial_id``.
    """
    own = tables.trials[(tables.trials["instrument"] == instrument) & (tables.trials["distillation"] != "student")]
    trials = own[own["status"] != "failed"]
    curves = tables.curves[tables.curves["trial_id"].isin(trials["trial_id"])].dropna(subset="validation_loss")
    common = curves.groupby("trial_id", observed=True)["step"].max().min()
    reached = curves[curves["step"] <= common].sort_values("step").groupby("trial_id", observed=True).last()
    joined = trials.set_index("trial_id").join(reached["validation_loss"].rename(LOSS), how="inner")
    known = [name for name in SEARCH_KEYS if name in joined and joined[name].nunique(dropna=True) > 1]
    return joined[[*known, "parameters", LOSS]].dropna(subset=LOSS).reset_index()


def hyperparameter_importance(tables: SweepTables, *, instrument: str) -> pd.DataFrame:
    """How much worse the loss is predicted when one hyperparameter is shuffled.

    A random forest (Breiman 2001) predicts the logarithm of the loss from the hyperparameters; on the fifth of the
    trials that it has not seen, each column is permuted in turn. ``importance`` is the loss of explained variance
    (R²), mean over five folds and ten shuffles; ``spread`` its standard deviation over the folds. The frame's
    ``attrs["explained"]`` is R² of the unshuffled prediction: where it is near or below 0, importances mean nothing.

    Returns:
        Columns ``hyperparameter``, ``importance``, ``spread``, most important first; empty with fewer than 10 trials or
        where nothing varies.
    """
    trials = comparable_trials(tables, instrument=instrument)
    names = [name for name in SEARCH_KEYS if name in trials]
    if len(trials) < MIN_TRIALS or not names:
        return pd.DataFrame({"hyperparameter": [], "importance": [], "spread": []})
    columns = np.stack([_codes(trials[name]) for name in names], axis=1)
    drops, explained = _permuted(columns, np.log(np.maximum(trials[LOSS].to_numpy(float), 1e-9)))
    table = pd.DataFrame({"hyperparameter": names, "importance": drops.mean(axis=0), "spread": drops.std(axis=0)})
    table = table.sort_values("importance", ascending=False, ignore_index=True)
    table.attrs["explained"] = explained
    return table


def _permuted(columns: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, float]:
    """Losses of R² [folds, columns], and R² of all held-out predictions together."""
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance
    from sklearn.model_selection import KFold

    predicted, drops = np.zeros(len(target)), []
    for seen, held_out in KFold(FOLDS, shuffle=True, random_state=0).split(columns):
        forest = RandomForestRegressor(TREES, random_state=0, n_jobs=1).fit(columns[seen], target[seen])
        predicted[held_out] = forest.predict(columns[held_out])
        # Errors are set against the variance of all trials: five of a fold may hardly differ among themselves.
        found = permutation_importance(
            forest, columns[held_out], target[held_out], scoring="neg_mean_squared_error", n_repeats=SHUFFLES,
            random_state=0,
        )  # fmt: skip
        drops.append(found.importances_mean / np.var(target))
    return np.array(drops), float(1 - np.mean((predicted - target) ** 2) / np.var(target))


def importance_figure(tables: SweepTables, *, instrument: str) -> Figure:
    """Bars of `hyperparameter_importance`; says so where there are too few trials."""
    from matplotlib.figure import Figure

    table = hyperparameter_importance(tables, instrument=instrument)
    figure = Figure(figsize=(7.2, 0.9 + 0.38 * max(3, len(table))), layout="constrained", facecolor="white")
    axes = figure.subplots()
    title = f"{_plain(instrument)}: importance of each hyperparameter"
    if table.empty:
        axes.set_axis_off()
        axes.text(0, 0.5, f"nothing can be said with fewer than {MIN_TRIALS} trials of varying settings", fontsize=10)
    else:
        shown = table.iloc[::-1]
        axes.barh(shown["hyperparameter"], shown["importance"], xerr=shown["spread"], color="#2563a8", ecolor="#7a858f")
        axes.set_xlabel("explained variance lost when shuffled", fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
        title += f" (forest explains {table.attrs['explained']:.0%})"
    axes.set_title(title, **TITLE)
    return figure


def parallel_figure(tables: SweepTables, *, instrument: str) -> Figure:
    """Parallel coordinates: a line per trial through its settings to its loss, dark lines are the best."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    trials = comparable_trials(tables, instrument=instrument).sort_values(LOSS, ascending=False)
    names = [name for name in trials.columns if name != "trial_id"]
    figure = Figure(figsize=(max(7.2, 1.25 * len(names)), 4.0), layout="constrained", facecolor="white")
    axes = figure.subplots()
    heights = np.stack([_height(trials[name]) for name in names], axis=1) if len(trials) else np.zeros((0, len(names)))
    ranks = np.linspace(0.9, 0.0, len(trials))
    # Lines that share a value lie side by side.
    discrete = np.array([trials[name].nunique() <= FEW_VALUES for name in names])
    heights = heights + 0.04 * (ranks[:, None] - 0.45) * discrete
    for line, rank in zip(heights, ranks, strict=True):
        axes.plot(range(len(names)), line, color=colormaps["viridis"](rank), alpha=0.8, linewidth=1.3)
    for position, name in enumerate(names):
        _axis(axes, position, trials[name])
    axes.set_xticks(range(len(names)), [name.replace("_", "\n") for name in names], fontsize=9)
    axes.set_yticks([])
    axes.set_ylim(-0.05, 1.05)
    axes.spines[:].set_visible(False)
    axes.set_title(f"{_plain(instrument)}: {len(trials)} trials, the darker the lower the loss", **TITLE)
    return figure


def _axis(axes: Axes, position: int, column: pd.Series) -> None:
    """One vertical axis with its values beside it."""
    axes.axvline(position, color="#7a858f", linewidth=0.8, zorder=0)
    values = sorted(column.dropna().unique(), key=lambda value: (isinstance(value, str), value))
    if len(values) > FEW_VALUES:
        values = [values[0], values[len(values) // 2], values[-1]]
    for value in values:
        text = value if isinstance(value, str) else f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"
        height = float(_height(column)[np.flatnonzero((column == value).to_numpy())[0]])
        axes.text(position + 0.03, height, text, fontsize=8, va="center", bbox=LABEL_BOX)


def _height(column: pd.Series) -> np.ndarray:
    """0..1 along an axis: codes of words and of few values, logarithms of many."""
    if column.nunique() <= FEW_VALUES:
        codes = _codes(column)
    else:
        values = column.to_numpy(float)
        codes = np.log(values) if (values > 0).all() else values
    spread = float(np.ptp(codes))
    return (codes - codes.min()) / spread if spread else np.full(len(codes), 0.5)


def _codes(column: pd.Series) -> np.ndarray:
    """Numbers as they are ordered; words by the alphabet."""
    return np.unique(column.to_numpy(), return_inverse=True)[1].astype(float)


def _plain(text: str) -> str:
    """A dollar sign in a name is no formula."""
    return text.replace("$", r"\$")
