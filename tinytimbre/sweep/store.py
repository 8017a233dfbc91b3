"""The trial store: one folder per trial, content-addressed, every file written whole or not at all.

    <root>/<trial_id>/trial.json          what is trained
                      checkpoint.npz      weights, optimiser, step: where to continue
                      curve.jsonl         losses along the way
                      rung-<k>.json       the result of a rung
                      weights-<k>.npz     averaged weights at the end of that rung
                      tuning-<key>.npz    where to continue fine-tuning for a quantisation
                      tuned-<key>.npz     what came of it
                      tuned-<key>.json    its result

A finished rung is never trained again; a killed one continues from its checkpoint. Two sweeps may share a store:
`lock` makes one wait for the other's trial and then find it done.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pathlib
import zipfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np
import pydantic

from tinytimbre.durable import replacing, write_whole
from tinytimbre.errors import TinyTimbreError
from tinytimbre.sweep.plan import Trial

if TYPE_CHECKING:
    from tinytimbre.decoders import Decoder

STEP_KEY = "step"
SECONDS_KEY = "seconds"
"""In a checkpoint: what training the trial has taken so far, whatever processes it was killed in."""


class RungResult(pydantic.BaseModel):
    """What became of a trial in one rung.

    ``repeatable`` failures lie in the trial (it diverged) and would come again; the others (a process that died or
    hung) are tried anew by the next run.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    trial_id: str
    rung: int
    step: int
    status: Literal["done", "failed"]
    reason: str = ""
    repeatable: bool = True
    validation_loss: float | None = None
    train_seconds: float = 0.0


class TuningResult(pydantic.BaseModel):
    """What became of fine-tuning a trial for a quantisation.

    A failure is never in the trial (weights that tuning makes worse stay as they were), so the next run tries again.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    trial_id: str
    key: str
    status: Literal["done", "failed"]
    reason: str = ""
    train_seconds: float = 0.0


Result = TypeVar("Result", RungResult, TuningResult)


class TrialStore:
    """Reads and writes the files of trials below `root`."""

    def __init__(self, root: str | pathlib.Path) -> None:
        self.root = pathlib.Path(root)

    def folder(self, trial_id: str) -> pathlib.Path:
        """Where a trial's files are."""
        return self.root / trial_id

    def trial_ids(self) -> list[str]:
        """Of all trials that have been started, sorted."""
        return sorted(path.name for path in self.root.glob("[!.]*") if path.is_dir())

    def result(self, trial_id: str, rung: int) -> RungResult | None:
        """The result of a rung, None while there is none."""
        path = self.folder(trial_id) / f"rung-{rung}.json"
        return _read_result(path, RungResult) if path.is_file() else None

    def results(self, trial_id: str) -> list[RungResult]:
        """All results of a trial, by rung."""
        paths = sorted(self.folder(trial_id).glob("rung-*.json"), key=lambda path: int(path.stem[5:]))
        return [_read_result(path, RungResult) for path in paths]

    def write_result(self, result: RungResult) -> None:
        """Writes the result of a rung; it marks the rung finished, so it comes last."""
        self._write(result.trial_id, f"rung-{result.rung}.json", result.model_dump_json(indent=1).encode())

    def forget(self, trial_id: str, rung: int) -> None:
        """Removes the result of a rung, so that it is trained again from the last checkpoint."""
        (self.folder(trial_id) / f"rung-{rung}.json").unlink(missing_ok=True)

    def write_trial(self, trial: Trial) -> None:
        """Says what the folder is about."""
        if not (self.folder(trial.trial_id) / "trial.json").is_file():
            self._write(trial.trial_id, "trial.json", trial.model_dump_json(indent=1).encode())

    def trial(self, trial_id: str) -> Trial:
        """Reads back the trial."""
        return Trial.model_validate_json((self.folder(trial_id) / "trial.json").read_text())

    def checkpoint(self, trial_id: str) -> tuple[int, dict[str, np.ndarray]] | None:
        """Step and state to continue from, None at the very start."""
        arrays = self._read_arrays(self.folder(trial_id) / "checkpoint.npz")
        return None if arrays is None else (int(arrays.pop(STEP_KEY)), arrays)

    def write_checkpoint(self, trial_id: str, *, step: int, state: dict[str, np.ndarray]) -> None:
        """Replaces the checkpoint."""
        self._write_arrays(trial_id, "checkpoint.npz", {STEP_KEY: np.array(step), **state})

    def write_weights(self, trial_id: str, *, rung: int, weights: dict[str, np.ndarray]) -> None:
        """Keeps the averaged weights at the end of a rung."""
        self._write_arrays(trial_id, f"weights-{rung}.npz", weights)

    def tuning(self, trial_id: str, key: str) -> tuple[int, dict[str, np.ndarray]] | None:
        """Step and state to continue tuning from, None at the start; see `tinytimbre.sweep.tuning`."""
        arrays = self._read_arrays(self.folder(trial_id) / f"tuning-{key}.npz")
        return None if arrays is None else (int(arrays.pop(STEP_KEY)), arrays)

    def write_tuning(self, trial_id: str, key: str, *, step: int, state: dict[str, np.ndarray]) -> None:
        """Replaces the checkpoint of a tuning."""
        self._write_arrays(trial_id, f"tuning-{key}.npz", {STEP_KEY: np.array(step), **state})

    def tuned(self, trial_id: str, key: str) -> dict[str, np.ndarray] | None:
        """The tuned weights, None while there are none."""
        return self._read_arrays(self.folder(trial_id) / f"tuned-{key}.npz")

    def write_tuned(self, trial_id: str, key: str, *, weights: dict[str, np.ndarray]) -> None:
        """Keeps the tuned weights."""
        self._write_arrays(trial_id, f"tuned-{key}.npz", weights)

    def tuning_result(self, trial_id: str, key: str) -> TuningResult | None:
        """The result of a tuning, None while there is none."""
        path = self.folder(trial_id) / f"tuned-{key}.json"
        return _read_result(path, TuningResult) if path.is_file() else None

    def tuning_results(self, trial_id: str) -> list[TuningResult]:
        """Those of all quantisations."""
        return [_read_result(path, TuningResult) for path in sorted(self.folder(trial_id).glob("tuned-*.json"))]

    def write_tuning_result(self, result: TuningResult) -> None:
        """Writes the result of a tuning, which comes last; a checkpoint has then done its work."""
        self._write(result.trial_id, f"tuned-{result.key}.json", result.model_dump_json(indent=1).encode())
        if result.status == "done":
            (self.folder(result.trial_id) / f"tuning-{result.key}.npz").unlink(missing_ok=True)

    def forget_tuning(self, trial_id: str, key: str) -> None:
        """Removes the result of a tuning, so that it continues from its last checkpoint."""
        (self.folder(trial_id) / f"tuned-{key}.json").unlink(missing_ok=True)

    def load_decoder(self, trial_id: str, *, rung: int | None = None) -> Decoder:
        """The trained decoder, of the last finished rung or of `rung`.

        Raises:
            TinyTimbreError: the trial has not finished a rung.
        """
        from tinytimbre.decoders import build_decoder

        done = [result.rung for result in self.results(trial_id) if result.status == "done"]
        weights = self._read_arrays(
            self.folder(trial_id) / f"weights-{rung if rung is not None else max(done, default=0)}.npz"
        )
        if weights is None:
            raise TinyTimbreError("a model needs a trial that finished a rung", got=f"trial {trial_id}: none finished")
        decoder = build_decoder(self.trial(trial_id).decoder)
        decoder.set_weights(weights)
        return decoder

    def curve(self, trial_id: str) -> list[dict[str, float]]:
        """Learning curve: rows with ``step``, ``train_loss`` and, at the ends of rungs, ``validation_loss``.

        The first rows of a student have ``control_distance`` instead of ``train_loss``.
        """
        path = self.folder(trial_id) / "curve.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []

    def write_curve(self, trial_id: str, rows: list[dict[str, float]]) -> None:
        """Replaces the learning curve."""
        self._write(trial_id, "curve.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())

    def is_locked(self, trial_id: str) -> bool:
        """Whether a process has the trial."""
        path = self.folder(trial_id) / "lock"
        if not path.is_file():
            return False
        with path.open("r") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return True
            return False

    @contextlib.contextmanager
    def lock(self, trial_id: str) -> Iterator[None]:
        """Holds a trial against other processes; waits while one of them has it."""
        self.folder(trial_id).mkdir(parents=True, exist_ok=True)
        with (self.folder(trial_id) / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(f"held by process {os.getpid()}\n")
            file.flush()
            # Of a process that was killed: only who holds the trial writes arrays.
            for left in self.folder(trial_id).glob(".*.npz.*"):
                left.unlink()
            yield

    def _read_arrays(self, path: pathlib.Path) -> dict[str, np.ndarray] | None:
        if not path.is_file():
            return None
        try:
            with np.load(path) as arrays:
                return {name: arrays[name] for name in arrays.files}
        except (ValueError, EOFError, zipfile.BadZipFile) as error:
            raise _damaged(path) from error

    def _write_arrays(self, trial_id: str, name: str, arrays: dict[str, np.ndarray]) -> None:
        with replacing(self.folder(trial_id) / name) as path, path.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]

    def _write(self, trial_id: str, name: str, content: bytes) -> None:
        write_whole(self.folder(trial_id) / name, content)


def _read_result(path: pathlib.Path, kind: type[Result]) -> Result:
    try:
        return kind.model_validate_json(path.read_bytes())
    except pydantic.ValidationError as error:
        raise _damaged(path) from error


def _damaged(path: pathlib.Path) -> TinyTimbreError:
    return TinyTimbreError(
        "the files of a trial must be whole",
        got=str(path),
        cause="a copy that was cut short, or a machine that lost power",
        remedy=f"delete the folder {path.parent.name} beside the other trials and run again: only this one starts anew",
    )
