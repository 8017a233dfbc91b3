"""The time of a sweep's stages: the workers' own accounts, and what TFX took around them."""

from __future__ import annotations

import pathlib
from collections.abc import Collection, Sequence

from pipelines.lineage import History
from tinytimbre.storage import open_storage
from tinytimbre.sweep.accounts import Bookkeeping, StageAccount, bookkeeping, read_accounts

RUNG_NODES = ("SweepTrainer_", "RungPromoter_")


def sweep_bookkeeping(history: History, *, trials: pathlib.Path, trial_ids: Collection[str]) -> Bookkeeping:
    """Of everything that was done for the trials named, in however many runs.

    Args:
        history: what MLMD knows.
        trials: the trial store.
        trial_ids: of the sweep.
    """
    accounts = read_accounts(open_storage(trials), trial_ids=trial_ids)
    return bookkeeping(accounts, stages_secs=_around(accounts, history))


def _around(accounts: Sequence[StageAccount], history: History) -> float:
    """Seconds between the first start and the last end of a run's rungs in which no account was being kept.

    A run that was killed never said when it ended; its accounts count, what was around them is unknown.
    """
    nodes = history.executions[history.executions["node"].str.startswith(RUNG_NODES)]
    seconds = 0.0
    for _, run in nodes[nodes["state"] == "COMPLETE"].groupby("run"):
        start, end = float(run["started"].min()), float(run["ended"].max())
        inside = sum(account.wall_secs for account in accounts if start <= account.started <= end)
        seconds += max(0.0, end - start - inside) if inside else 0.0
    return seconds
