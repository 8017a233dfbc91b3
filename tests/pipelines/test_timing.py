"""Time around the accounts, from executions as MLMD lists them."""

from __future__ import annotations

import pathlib

import pandas as pd
import pytest

from pipelines.lineage import ARTIFACT_COLUMNS, EVENT_COLUMNS, EXECUTION_COLUMNS, History
from pipelines.timing import sweep_bookkeeping
from tinytimbre.durable import write_whole
from tinytimbre.sweep.accounts import FOLDER, StageAccount

ROWS = [
    # id, node, run, state, started, ended, config
    (1, "SweepPlanner", "a", "COMPLETE", 900.0, 999.0, ""),
    (2, "SweepTrainer_rung0_shard00", "a", "COMPLETE", 1000.0, 1055.0, ""),
    (3, "RungPromoter_rung0", "a", "COMPLETE", 1056.0, 1057.0, ""),
    (4, "SweepTrainer_rung1_shard00", "a", "CANCELED", 1058.0, 5000.0, ""),
    (5, "SweepTrainer_rung1_shard00", "b", "COMPLETE", 6000.0, 6030.0, ""),
    (6, "RungPromoter_rung1", "b", "COMPLETE", 6031.0, 6035.0, ""),
    (7, "SweepTrainer_rung0_shard00", "c", "CACHED", 7000.0, 7001.0, ""),
]


def test_only_what_is_known_to_lie_around_the_accounts_is_counted(tmp_path: pathlib.Path) -> None:
    history = History(
        artifacts=pd.DataFrame(columns=list(ARTIFACT_COLUMNS)),
        executions=pd.DataFrame(ROWS, columns=list(EXECUTION_COLUMNS)),
        events=pd.DataFrame(columns=list(EVENT_COLUMNS)),
    )
    for started, rung, wall in ((1001.0, 0, 50.0), (1059.0, 1, 10.0), (6002.0, 1, 25.0)):
        account = StageAccount(
            rung=rung, jobs=2, trial_ids=("t",), started=started, wall_secs=wall, seconds={"training": 2 * wall}
        )
        write_whole(tmp_path / FOLDER / f"{rung}-{started}-1.json", account.model_dump_json().encode())
    found = sweep_bookkeeping(history, trials=tmp_path, trial_ids=["t"])
    # 57 s with 50 s of account in the first run, 35 s with 25 s in the second; two workers each.
    assert found.seconds == pytest.approx({"training": 170.0, "stages": 2 * (7.0 + 10.0)})
    assert found.wall_secs == {"rung 0": 50.0, "rung 1": 35.0}
    assert sweep_bookkeeping(history, trials=tmp_path, trial_ids=["other"]).seconds == {}
