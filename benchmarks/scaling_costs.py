"""What a finished sweep says of the costs of a larger one: seconds, bytes and requests, by rung.

    costs = read_costs(Workspace("workspaces/full"))

Seconds are those of one core: the sweep's workers ran one a core. A sweep that shared its machine costs more than it
would have alone.
"""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
import time
from collections.abc import Sequence

import numpy as np

from pipelines.lineage import History
from pipelines.workspace import Workspace
from tinytimbre.config import SweepConfig, load_config
from tinytimbre.errors import TinyTimbreError
from tinytimbre.sweep import RungResult, SweepPlan, TrialStore, promote
from tinytimbre.sweep.accounts import TRAINING, StageAccount, read_accounts

PER_TRIAL = ("data", "building", "tracing", "validation", "checkpoints")
"""Parts of a worker's time that come once a trial and rung, however many steps it has."""

# Counted by an S3 server while four trials of two rungs were trained in it (`ObjectServer.log` of the tests); what
# comes once a group of trials is shared out.
CHECKPOINT_READS = 2
"""In a rung: by the worker, to see where it stands; to restore."""

SMALL_READS = 11
"""In a rung: result, before, while and after training; description; earlier results; lists; lock and conditions."""

SMALL_WRITES = 5
"""In a rung: weights, result, taking and releasing the lock, accounts; in the first the description comes besides."""

WRITES_PER_SAVE, READS_PER_SAVE = 2, 1
"""Checkpoint and curve, which is read before it is extended."""

READS_OF_A_TRIAL = 3
"""For the tables: which results there are, its curve, its description; each result comes besides."""

MEASURED_TRIALS = 20_000
FINISHED = ("COMPLETE", "CACHED")


@dataclasses.dataclass(frozen=True, eq=False)
class RungCosts:
    """One rung of the sweep that was measured.

    Attributes:
        training_secs: float [n], of every trial that finished it: all its steps, tracing left out.
        overhead_secs: of a trial besides, on average.
        checkpoint_bytes: float [n].
        weights_bytes: float [n].
    """

    training_secs: np.ndarray
    overhead_secs: float
    checkpoint_bytes: np.ndarray
    weights_bytes: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Costs:
    """A sweep, measured.

    Attributes:
        config: of the sweep.
        rungs: as they were trained.
        start_secs: of the first process of a rung, until it can train.
        features_secs: of one instrument, one core.
        finalist_secs: of one finalist, one core: exporting and evaluating it in all quantisations.
        promotion_secs: of one trial in a promoter: reading plan and results, ranking.
        plan_bytes: of one trial in the plan.
        features_bytes: of one instrument's Features artifact.
    """

    config: SweepConfig
    rungs: tuple[RungCosts, ...]
    start_secs: float
    features_secs: float
    finalist_secs: float
    promotion_secs: float
    plan_bytes: float
    features_bytes: float

    def participants(self, configurations: int) -> list[int]:
        """Trials of one instrument in each rung, and last the finalists."""
        budget = self.config.budget
        least = min(configurations, budget.strata * budget.min_per_stratum)
        counts = [configurations]
        for _ in self.rungs[1:]:
            counts.append(max(least, int(np.ceil(counts[-1] / budget.eta))))
        return [*counts, counts[-1]]


def read_costs(workspace: Workspace) -> Costs:
    """Reads them from a workspace in which one sweep has run undisturbed.

    Raises:
        TinyTimbreError: no such sweep has run there, or it was interrupted.
    """
    history = History.read(workspace.require().metadata)
    config, (plan, plan_file) = load_config(workspace.config), _plan(history)
    store = TrialStore(workspace.trials)
    accounts = [account for account in read_accounts(store.storage) if account.stage == "rung"]
    if [account.rung for account in accounts] != list(range(len(plan.rungs))):
        raise TinyTimbreError(
            "costs are read from one sweep that nothing interrupted",
            got=f"{len(accounts)} accounts of {len(plan.rungs)} rungs in {workspace.root}",
            remedy="run the sweep in a workspace of its own",
        )
    rungs = tuple(_rung(account, store) for account in accounts)
    core_secs = _stage_secs(history, jobs=accounts[0].jobs)
    finalists = len(rungs[-1].training_secs)
    return Costs(
        config=config,
        rungs=rungs,
        start_secs=accounts[0].seconds["start"] / accounts[0].jobs,
        features_secs=core_secs["FeatureExtractor"] / len(plan.instruments),
        finalist_secs=(core_secs["TfjsExporter"] + core_secs["QualityEvaluator"]) / finalists,
        promotion_secs=promotion_secs(plan, config=config),
        plan_bytes=plan_file.stat().st_size / len(plan.trials),
        features_bytes=_size(_folder(history, "Features")) / len(plan.instruments),
    )


def _rung(account: StageAccount, store: TrialStore) -> RungCosts:
    found = [(trial_id, store.result(trial_id, account.rung)) for trial_id in account.trial_ids]
    done = [(trial_id, result) for trial_id, result in found if result and result.status == "done"]
    steps = account.seconds[TRAINING]
    # What a result calls training includes the first step's tracing.
    share = steps / (steps + account.seconds["tracing"])
    checkpoints = [_bytes(store, trial_id, "checkpoint.npz") for trial_id, _ in done]
    weights = [_bytes(store, trial_id, f"weights-{account.rung}.npz") for trial_id, _ in done]
    return RungCosts(
        training_secs=share * np.array([result.train_seconds for _, result in done]),
        overhead_secs=sum(account.seconds.get(part, 0.0) for part in PER_TRIAL) / len(account.trial_ids),
        checkpoint_bytes=np.array(checkpoints, float),
        weights_bytes=np.array(weights, float),
    )


def _bytes(store: TrialStore, trial_id: str, name: str) -> int:
    return (pathlib.Path(store.address) / trial_id / name).stat().st_size


def _plan(history: History) -> tuple[SweepPlan, pathlib.Path]:
    folder = _folder(history, "SweepPlan")
    return SweepPlan.load(folder), folder / "plan.json"


def _folder(history: History, kind: str) -> pathlib.Path:
    found = history.latest(kind)
    if found is None:
        raise TinyTimbreError("costs are read from a finished sweep", got=f"no artifact of type {kind}")
    return pathlib.Path(str(found["uri"]))


def _size(folder: pathlib.Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _stage_secs(history: History, *, jobs: int) -> dict[str, float]:
    """Core seconds of every node, the longest of its executions: the others found their work done."""
    done = history.executions[history.executions["state"].isin(FINISHED)]
    longest = (done["ended"] - done["started"]).groupby(done["node"]).max()
    return {str(node): jobs * float(secs) for node, secs in longest.items()}


def promotion_secs(plan: SweepPlan, *, config: SweepConfig) -> float:
    """Of one trial, measured on as many as `MEASURED_TRIALS`: copies of those of `plan`, with results made up."""
    copies = itertools.islice(itertools.cycle(plan.trials), MEASURED_TRIALS)
    trials = tuple(trial.model_copy(update={"trial_id": f"{number:016x}"}) for number, trial in enumerate(copies))
    text = SweepPlan(name=plan.name, rungs=plan.rungs, trials=trials).model_dump_json()
    results = [_result(trial.trial_id, loss=1.0 + number % 97) for number, trial in enumerate(trials)]
    started = time.process_time()
    promote(SweepPlan.model_validate_json(text), _copied(results), budget=config.budget)
    return (time.process_time() - started) / MEASURED_TRIALS


def _result(trial_id: str, *, loss: float) -> RungResult:
    return RungResult(trial_id=trial_id, rung=0, step=1, status="done", validation_loss=loss)


def _copied(results: Sequence[RungResult]) -> list[RungResult]:
    """Written and read, as between a shard and the promoter."""
    return [RungResult.model_validate_json(result.model_dump_json()) for result in results]
