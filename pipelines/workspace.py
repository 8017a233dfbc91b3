"""A workspace: everything one or more sweeps leave behind, and the lock that keeps two runs apart.

<root>/config.yaml         the resolved configuration of the last run
       metadata.sqlite     MLMD: every execution and artifact
       artifacts/          the components' outputs
       trials/             the trial store
       cache/              checked recordings, features, evaluations; safe to delete
       tensorboard/        event files, one run per trial
       models/             published models, unless published elsewhere
       report.html         of the last run
       logs/               what TensorFlow, Beam and TFX had to say
       tmp/                temporary files of the run at work
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import shutil
from collections.abc import Iterator

import yaml

from tinytimbre.config import SweepConfig
from tinytimbre.durable import write_whole
from tinytimbre.errors import TinyTimbreError
from tinytimbre.storage import is_address, open_storage

MIN_FREE_BYTES = 300_000_000
BYTES_PER_RECORDED_SECOND = 250_000
"""Checked audio (24-bit FLAC, hard-linked) some 40 kB, features 70 kB and again compressed, evaluations; rounded up."""

SOURCE_BYTES_PER_SECOND = 30_000
"""Between an MP3 (16 kB) and a mono wav (88 kB)."""

BYTES_PER_TRIAL = 200_000
BYTES_PER_PARAMETER = 32
"""Float32 weights, their average, two moments and one copy per rung."""


class Workspace:
    """Paths below `root`."""

    def __init__(self, root: str | pathlib.Path) -> None:
        self.root = pathlib.Path(root).resolve()
        self.artifacts = self.root / "artifacts"
        self.trials = self.root / "trials"
        self.cache = self.root / "cache"
        self.metadata = self.root / "metadata.sqlite"
        self.report = self.root / "report.html"
        self.config = self.root / "config.yaml"
        self.logs = self.root / "logs"
        self.models = self.root / "models"
        self.boards = self.root / "tensorboard"
        self.temporary = self.root / "tmp"

    def require(self) -> Workspace:
        """The workspace itself, if a run has been started in it.

        Raises:
            TinyTimbreError: it has not.
        """
        if not self.metadata.is_file():
            raise TinyTimbreError(
                "a workspace is a folder in which `tinytimbre run` has been started",
                got=str(self.root),
                cause="" if self.root.is_dir() else "no such folder",
                remedy="the default is workspaces/<name of the configuration>",
            )
        return self

    def record(self, config: SweepConfig) -> None:
        """Writes the resolved configuration."""
        text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
        write_whole(self.config, text.encode())

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the workspace; a process that dies lets go of it.

        A POSIX lock: unlike `fcntl.flock` it is not inherited by the training processes, so one that is left over
        from a killed run does not block the next.

        Raises:
            TinyTimbreError: another run has it, or it cannot be made.
        """
        make_folder(self.root, purpose="a workspace")
        with (self.root / ".lock").open("a+") as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                file.seek(0)
                raise TinyTimbreError(
                    "one run at a time can use a workspace",
                    got=f"{self.root} is in use by process {file.read().strip() or 'unknown'}",
                    remedy="wait for it, end it, or give another --workspace",
                ) from error
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield

    def is_locked(self) -> bool:
        """Whether a run is at work here."""
        path = self.root / ".lock"
        if not path.is_file():
            return False
        with path.open("a+") as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return True
        return False

    def check_room(self, *, needed_bytes: int) -> None:
        """Refuses to start what cannot end.

        Raises:
            TinyTimbreError: less than `needed_bytes` free.
        """
        free = shutil.disk_usage(self.root).free
        if free < needed_bytes:
            raise TinyTimbreError(
                "a sweep needs room on the disk for audio, features and checkpoints",
                got=f"{free / 1e9:.2f} GB free at {self.root}, about {needed_bytes / 1e9:.2f} GB needed",
                remedy="free some space or give a --workspace on another disk",
            )


def check_folder(folder: pathlib.Path, *, purpose: str) -> None:
    """As `make_folder`, but makes nothing: whether the folder is there, or could be made, and written.

    Raises:
        TinyTimbreError: a part of the path is a file, or may not be written.
    """
    existing = next(path for path in (folder, *folder.resolve().parents) if os.path.lexists(path))
    if not existing.is_dir():
        raise _no_folder(folder, purpose=purpose, reason=f"{existing} is a file")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise _no_folder(folder, purpose=purpose, reason=f"no permission to write in {existing}")


def check_place(place: str, instrument: str, *, purpose: str) -> None:
    """As `check_folder` of an instrument's folder, and for an address of an object store whether it can be used."""
    if is_address(place):
        open_storage(place).check()
    else:
        check_folder(pathlib.Path(place) / instrument, purpose=purpose)


def make_place(place: str, *, purpose: str) -> None:
    """As `make_folder`, and for an address of an object store whether it can be used."""
    if is_address(place):
        open_storage(place).check()
    else:
        make_folder(pathlib.Path(place), purpose=purpose)


def make_folder(folder: pathlib.Path, *, purpose: str) -> None:
    """Makes the folder where it does not exist.

    Args:
        folder: to be written to later, perhaps after hours.
        purpose: what it is, for the message.

    Raises:
        TinyTimbreError: it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        reason = "" if os.access(folder, os.W_OK | os.X_OK) else "no permission to write there"
    except OSError as error:
        reason = str(error.strerror)
    if reason:
        raise _no_folder(folder, purpose=purpose, reason=reason)


def _no_folder(folder: pathlib.Path, *, purpose: str, reason: str) -> TinyTimbreError:
    return TinyTimbreError(
        f"{purpose} must be a folder that can be written",
        got=f"{folder}: {reason}",
        remedy="choose another folder, or change its owner or permissions",
    )


def needed_bytes(*, recorded_bytes: int, n_trials: int, parameters: int) -> int:
    """A rough upper estimate of what a run writes.

    Args:
        recorded_bytes: size of the recordings.
        n_trials: of all instruments.
        parameters: of all trials together.
    """
    seconds = recorded_bytes / SOURCE_BYTES_PER_SECOND
    work = BYTES_PER_RECORDED_SECOND * seconds + BYTES_PER_TRIAL * n_trials + BYTES_PER_PARAMETER * parameters
    return MIN_FREE_BYTES + int(work)
