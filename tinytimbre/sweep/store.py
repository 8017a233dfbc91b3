"""The trial store: one folder per trial, content-addressed, every file written whole or not at all.

    <address>/<trial_id>/trial.json       what is trained
                         checkpoint.npz   weights, optimiser, step: where to continue
                         curve.jsonl      losses along the way
                         rung-<k>.json    the result of a rung
                         weights-<k>.npz  averaged weights at the end of that rung
                         tuning-<key>.npz where to continue fine-tuning for a quantisation
                         tuned-<key>.npz  what came of it
                         tuned-<key>.json its result

The address is a folder, or a place in an object store; see `tinytimbre.storage`.
A finished rung is never trained again; a killed one continues from its checkpoint. Two sweeps may share a store:
`lock` makes one wait for the other's trial and then find it done.
"""

from __future__ import annotations

import io
import json
import pathlib
import re
import zipfile
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np
import pydantic

from tinytimbre.errors import TinyTimbreError
from tinytimbre.storage import Storage, open_storage
from tinytimbre.sweep.plan import Trial

if TYPE_CHECKING:
    from tinytimbre.decoders import Decoder

STEP_KEY = "step"
SECONDS_KEY = "seconds"
"""In a checkpoint: what training the trial has taken so far, whatever processes it was killed in."""

CHECKPOINT, CURVE, TRIAL = "checkpoint.npz", "curve.jsonl", "trial.json"
_RESULT = re.compile(r"[^/.][^/]*/rung-\d+\.json")
_TUNING_RESULT = re.compile(r"[^/.][^/]*/tuned-[^/]*\.json")


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
    """Reads and writes the files of trials; may be handed to other processes.

    Args:
        place: a folder, an address of an object store, or a storage made by the caller.
    """

    def __init__(self, place: str | pathlib.Path | Storage) -> None:
        self.storage = open_storage(place) if isinstance(place, str | pathlib.Path) else place
        self.address = self.storage.address

    def trial_ids(self) -> list[str]:
        """Of all trials that have been started, sorted."""
        found = {path.partition("/")[0] for path in self.storage.names() if "/" in path}
        return sorted(trial_id for trial_id in found if not trial_id.startswith("."))

    def result(self, trial_id: str, rung: int) -> RungResult | None:
        """The result of a rung, None while there is none."""
        return self.rung_results([trial_id], rung).get(trial_id)

    def rung_results(self, trial_ids: Iterable[str], rung: int) -> dict[str, RungResult]:
        """The results of a rung, of those trials that have one; read together."""
        paths = {f"{trial_id}/rung-{rung}.json": trial_id for trial_id in trial_ids}
        found = self.storage.read_many(paths)
        return {paths[path]: self._parsed(path, text, RungResult) for path, text in found.items()}

    def results(self, trial_id: str) -> list[RungResult]:
        """All results of a trial, by rung."""
        return self._results(self.storage.names(trial_id)).get(trial_id, [])

    def all_results(self) -> dict[str, list[RungResult]]:
        """All results of all trials that have one, by rung; listed once and read together."""
        return self._results(self.storage.names())

    def write_result(self, result: RungResult) -> None:
        """Writes the result of a rung; it marks the rung finished, so it comes last."""
        self.storage.write(f"{result.trial_id}/rung-{result.rung}.json", result.model_dump_json(indent=1).encode())

    def forget(self, trial_id: str, rung: int) -> None:
        """Removes the result of a rung, so that it is trained again from the last checkpoint."""
        self.storage.remove(f"{trial_id}/rung-{rung}.json")

    def drop(self, trial_id: str) -> None:
        """Removes all that a trial left."""
        for path in self.storage.names(trial_id):
            self.storage.remove(path)

    def write_trial(self, trial: Trial) -> None:
        """Says what the folder is about."""
        path = f"{trial.trial_id}/{TRIAL}"
        if self.storage.read(path) is None:
            self.storage.write(path, trial.model_dump_json(indent=1).encode())

    def trial(self, trial_id: str) -> Trial:
        """Reads back the trial.

        Raises:
            TinyTimbreError: it was never started, or its files are damaged.
        """
        try:
            return Trial.model_validate_json(self.storage.read(f"{trial_id}/{TRIAL}") or b"")
        except pydantic.ValidationError as error:
            raise self._damaged(f"{trial_id}/{TRIAL}") from error

    def checkpoint(self, trial_id: str) -> tuple[int, dict[str, np.ndarray]] | None:
        """Step and state to continue from, None at the very start."""
        arrays = self._read_arrays(f"{trial_id}/{CHECKPOINT}")
        return None if arrays is None else (int(arrays.pop(STEP_KEY)), arrays)

    def write_checkpoint(self, trial_id: str, *, step: int, state: dict[str, np.ndarray]) -> None:
        """Replaces the checkpoint."""
        self._write_arrays(f"{trial_id}/{CHECKPOINT}", {STEP_KEY: np.array(step), **state})

    def write_weights(self, trial_id: str, *, rung: int, weights: dict[str, np.ndarray]) -> None:
        """Keeps the averaged weights at the end of a rung."""
        self._write_arrays(f"{trial_id}/weights-{rung}.npz", weights)

    def weights(self, trial_id: str, *, rung: int) -> dict[str, np.ndarray] | None:
        """The averaged weights at the end of a rung, None while there are none."""
        return self._read_arrays(f"{trial_id}/weights-{rung}.npz")

    def tuning(self, trial_id: str, key: str) -> tuple[int, dict[str, np.ndarray]] | None:
        """Step and state to continue tuning from, None at the start; see `tinytimbre.sweep.tuning`."""
        arrays = self._read_arrays(f"{trial_id}/tuning-{key}.npz")
        return None if arrays is None else (int(arrays.pop(STEP_KEY)), arrays)

    def write_tuning(self, trial_id: str, key: str, *, step: int, state: dict[str, np.ndarray]) -> None:
        """Replaces the checkpoint of a tuning."""
        self._write_arrays(f"{trial_id}/tuning-{key}.npz", {STEP_KEY: np.array(step), **state})

    def tuned(self, trial_id: str, key: str) -> dict[str, np.ndarray] | None:
        """The tuned weights, None while there are none."""
        return self._read_arrays(f"{trial_id}/tuned-{key}.npz")

    def write_tuned(self, trial_id: str, key: str, *, weights: dict[str, np.ndarray]) -> None:
        """Keeps the tuned weights."""
        self._write_arrays(f"{trial_id}/tuned-{key}.npz", weights)

    def tuning_results(self, trial_ids: Iterable[str], key: str) -> dict[str, TuningResult]:
        """The results of a tuning, of those trials that have one; read together."""
        paths = {f"{trial_id}/tuned-{key}.json": trial_id for trial_id in trial_ids}
        found = self.storage.read_many(paths)
        return {paths[path]: self._parsed(path, text, TuningResult) for path, text in found.items()}

    def all_tuning_results(self) -> list[TuningResult]:
        """Those of all trials and quantisations; listed once and read together."""
        found = self.storage.read_many(name for name in self.storage.names() if _TUNING_RESULT.fullmatch(name))
        return [self._parsed(path, text, TuningResult) for path, text in found.items()]

    def write_tuning_result(self, result: TuningResult) -> None:
        """Writes the result of a tuning, which comes last; a checkpoint has then done its work."""
        folder = result.trial_id
        self.storage.write(f"{folder}/tuned-{result.key}.json", result.model_dump_json(indent=1).encode())
        if result.status == "done":
            self.storage.remove(f"{folder}/tuning-{result.key}.npz")

    def forget_tuning(self, trial_id: str, key: str) -> None:
        """Removes the result of a tuning, so that it continues from its last checkpoint."""
        self.storage.remove(f"{trial_id}/tuned-{key}.json")

    def load_decoder(self, trial_id: str, *, rung: int | None = None) -> Decoder:
        """The trained decoder, of the last finished rung or of `rung`.

        Raises:
            TinyTimbreError: the trial has not finished a rung.
        """
        from tinytimbre.decoders import build_decoder

        if rung is None:
            rung = max((result.rung for result in self.results(trial_id) if result.status == "done"), default=0)
        weights = self.weights(trial_id, rung=rung)
        if weights is None:
            raise TinyTimbreError("a model needs a trial that finished a rung", got=f"trial {trial_id}: none finished")
        decoder = build_decoder(self.trial(trial_id).decoder)
        decoder.set_weights(weights)
        return decoder

    def curve(self, trial_id: str) -> list[dict[str, float]]:
        """Learning curve: rows with ``step``, ``train_loss`` and, at the ends of rungs, ``validation_loss``.

        The first rows of a student have ``control_distance`` instead of ``train_loss``.
        """
        return self.curves([trial_id]).get(trial_id, [])

    def curves(self, trial_ids: Iterable[str]) -> dict[str, list[dict[str, float]]]:
        """The learning curves of those trials that have one; read together."""
        paths = {f"{trial_id}/{CURVE}": trial_id for trial_id in trial_ids}
        found = self.storage.read_many(paths)
        return {paths[path]: [json.loads(line) for line in text.splitlines()] for path, text in found.items()}

    def write_curve(self, trial_id: str, rows: list[dict[str, float]]) -> None:
        """Replaces the learning curve."""
        self.storage.write(f"{trial_id}/{CURVE}", "".join(json.dumps(row) + "\n" for row in rows).encode())

    def locked(self, trial_ids: Iterable[str]) -> set[str]:
        """Those that a process has."""
        return self.storage.locked(trial_ids)

    def lock(self, *trial_ids: str) -> AbstractContextManager[None]:
        """Holds trials against other processes; waits while one of them has any.

        Raises:
            LostLockError: inside, from what writes the trials: another process has taken over.
        """
        return self.storage.lock(*trial_ids)

    def _results(self, names: Iterable[str]) -> dict[str, list[RungResult]]:
        found = self.storage.read_many(name for name in names if _RESULT.fullmatch(name))
        results: dict[str, list[RungResult]] = {}
        for path, text in found.items():
            results.setdefault(path.partition("/")[0], []).append(self._parsed(path, text, RungResult))
        return {trial_id: sorted(own, key=lambda result: result.rung) for trial_id, own in results.items()}

    def _parsed(self, path: str, text: bytes, kind: type[Result]) -> Result:
        try:
            return kind.model_validate_json(text)
        except pydantic.ValidationError as error:
            raise self._damaged(path) from error

    def _read_arrays(self, path: str) -> dict[str, np.ndarray] | None:
        content = self.storage.read(path)
        if content is None:
            return None
        try:
            with np.load(io.BytesIO(content)) as arrays:
                return {name: arrays[name] for name in arrays.files}
        except (ValueError, EOFError, zipfile.BadZipFile) as error:
            raise self._damaged(path) from error

    def _write_arrays(self, path: str, arrays: Mapping[str, np.ndarray]) -> None:
        content = io.BytesIO()
        np.savez(content, **arrays)  # type: ignore[arg-type]
        self.storage.write(path, content.getvalue())

    def _damaged(self, path: str) -> TinyTimbreError:
        return TinyTimbreError(
            "the files of a trial must be whole",
            got=f"{self.address}/{path}",
            cause="a copy that was cut short, or a machine that lost power",
            remedy=f"delete the folder {path.partition('/')[0]} beside the other trials and run again: "
            "only this one starts anew",
        )
