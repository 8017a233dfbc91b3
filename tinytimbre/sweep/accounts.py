"""Where the time of a sweep goes: what its workers did, second by second, kept beside the trials.

A `Stopwatch` runs in every worker. The parent's `Ledger` adds up what they report, sets it against how long their
processes lived and how long the stage (a rung, distillation, fine-tuning) took, and writes a small file whenever a
worker has ended, so that a killed stage leaves its account too. `bookkeeping` adds up the accounts of a sweep.

    <store>/.accounts/<rung>-<start>-<process>.json
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import time
import typing
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Literal

import pydantic

from tinytimbre.storage import Storage

FOLDER = ".accounts"
Stage = Literal["rung", "distillation", "fine-tuning"]
_STAGES: tuple[Stage, ...] = typing.get_args(Stage)
TRAINING = "training"
PARTS = {
    TRAINING: "training steps",
    "start": "starting processes, importing TensorFlow",
    "waiting": "waiting for trials that another sweep holds",
    "data": "reading features",
    "building": "building models, reading checkpoints",
    "tracing": "tracing and compiling the step",
    "validation": "validation, with its tracing",
    "checkpoints": "writing checkpoints and results",
    "end": "ending processes",
    "lost": "workers that died",
    "idle": "idle workers",
    "stages": "TFX, promotion",
}
"""What a second of a worker can have gone to, and how to say it."""

MOST_BOOKKEEPING = 0.05
ADVICE = {
    "tracing": "a process traces once per rung, so longer rungs (budget.rung_steps) spread it",
    "validation": "it is traced once per rung, so longer rungs (budget.rung_steps) spread it",
    "idle": "fewer trials a process (training.side_by_side) share the work more evenly",
    "checkpoints": "write them less often (training.checkpoint_secs)",
    "waiting": "let one sweep end before another shares its trials",
    "lost": "see the reasons of the failed trials",
}
"""What the user can do about a part."""


class Stopwatch:
    """Seconds by part of the work."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = collections.defaultdict(float)

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Counts what happens inside as `name`, one of `PARTS`."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] += time.monotonic() - started


class StageAccount(pydantic.BaseModel):
    """One run of a stage, whole or until it was killed.

    Attributes:
        stage: accounts of earlier versions call distillation a rung, too.
        rung: its number; that of the last where the stage is none.
        jobs: processes at a time.
        trial_ids: that had no result yet.
        started: seconds since 1970.
        wall_secs: from the start until the last worker that ended.
        seconds: of all workers together, by part; they add up to ``jobs * wall_secs``.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    stage: Stage = "rung"
    rung: int
    jobs: int
    trial_ids: tuple[str, ...]
    started: float
    wall_secs: float
    seconds: dict[str, float]

    @property
    def title(self) -> str:
        """What its wall time is told under."""
        return f"rung {self.rung}" if self.stage == "rung" else self.stage


class Ledger:
    """Keeps the account of a stage while it runs.

    Args:
        storage: of the trials.
        stage: what it is.
        rung: its number, or the last.
        jobs: processes at a time.
        trial_ids: to be trained.
    """

    def __init__(self, storage: Storage, *, stage: Stage, rung: int, jobs: int, trial_ids: Sequence[str]) -> None:
        self._stage, self._rung, self._jobs, self._trial_ids = stage, rung, jobs, tuple(trial_ids)
        self._started, self._clock = time.time(), time.monotonic()
        self._storage, self._path = storage, f"{FOLDER}/{rung}-{self._started:.3f}-{uuid.uuid4().hex[:8]}.json"
        self._seconds: dict[str, float] = collections.defaultdict(float)

    def add(self, parts: Mapping[str, float], *, lifetime_secs: float) -> None:
        """Takes in a worker that has ended; one that reported no parts has died."""
        for part, secs in parts.items():
            self._seconds[part] += secs
        self._seconds["end" if parts else "lost"] += max(0.0, lifetime_secs - sum(parts.values()))
        self._storage.write(self._path, self._account().model_dump_json(indent=1).encode())

    def _account(self) -> StageAccount:
        wall = time.monotonic() - self._clock
        idle = max(0.0, self._jobs * wall - sum(self._seconds.values()))
        return StageAccount(
            stage=self._stage,
            rung=self._rung,
            jobs=self._jobs,
            trial_ids=self._trial_ids,
            started=self._started,
            wall_secs=round(wall, 3),
            seconds={name: round(value, 3) for name, value in {**self._seconds, "idle": idle}.items()},
        )


def read_accounts(storage: Storage, *, trial_ids: Collection[str] | None = None) -> list[StageAccount]:
    """All accounts beside a trial store, oldest first; only of stages that had one of `trial_ids`, if given."""
    found = [StageAccount.model_validate_json(text) for text in storage.read_many(storage.names(FOLDER)).values()]
    wanted = [a for a in found if trial_ids is None or not set(trial_ids).isdisjoint(a.trial_ids)]
    return sorted(wanted, key=lambda account: account.started)


@dataclasses.dataclass(frozen=True)
class Bookkeeping:
    """What the workers of a sweep could have done and did: seconds by part, and wall seconds by stage, in order."""

    seconds: Mapping[str, float]
    wall_secs: Mapping[str, float]

    @property
    def share(self) -> float:
        """Of the workers' time that was not training, 0 to 1."""
        total = sum(self.seconds.values())
        return 1 - self.seconds.get(TRAINING, 0.0) / total if total else 0.0

    @property
    def others(self) -> list[tuple[str, float]]:
        """Parts that are no training and their shares of all time, the largest first."""
        total = sum(self.seconds.values())
        shares = [(part, secs / total) for part, secs in self.seconds.items() if part != TRAINING and secs > 0]
        return sorted(shares, key=lambda item: -item[1])

    def words(self) -> str:
        """One sentence: the share, whether it is small enough, and if not, what is largest."""
        text = f"{self.share:.1%} of the workers' time was not training"
        if self.share < MOST_BOOKKEEPING or not self.others:
            return f"{text} (asked: below {MOST_BOOKKEEPING:.0%})"
        part, share = self.others[0]
        advice = f"; {ADVICE[part]}" if part in ADVICE else ""
        return f"{text}, above {MOST_BOOKKEEPING:.0%}: the largest part is {PARTS[part]}, {share:.1%}{advice}"


def bookkeeping(accounts: Iterable[StageAccount], *, stages_secs: float = 0.0) -> Bookkeeping:
    """Adds up accounts; `stages_secs` is the wall time around them, in which every worker of theirs waited."""
    seconds: dict[str, float] = collections.defaultdict(float)
    walls: dict[str, float] = collections.defaultdict(float)
    jobs = 0
    for account in sorted(accounts, key=lambda account: (_STAGES.index(account.stage), account.rung)):
        for part, secs in account.seconds.items():
            seconds[part] += secs
        walls[account.title] += account.wall_secs
        jobs = max(jobs, account.jobs)
    if jobs:
        seconds["stages"] += jobs * stages_secs
    return Bookkeeping(dict(seconds), dict(walls))
