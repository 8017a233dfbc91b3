"""A command in a session of its own, which is ended as a whole and leaves nothing behind (Linux)."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pathlib
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence

PR_SET_PDEATHSIG = 1
GONE_WITHIN_SECS = 20.0


class Session:
    """A running command and all that it has started."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def wait(self, *, timeout_secs: float) -> int | None:
        """The exit code, None while it runs after that time."""
        try:
            return self.process.wait(timeout=max(0.0, timeout_secs))
        except subprocess.TimeoutExpired:
            return None

    def members(self) -> list[int]:
        """Ids of the living processes of the session."""
        return [pid for pid, state, session in _processes() if session == self.process.pid and state != "Z"]

    def kill_group(self) -> int:
        """SIGKILL to the process group; gives the number of processes that were alive before."""
        count = len(self.members())
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        return count

    def survivors(self) -> list[int]:
        """Processes of the session that are still there some time after it was ended."""
        deadline = time.monotonic() + GONE_WITHIN_SECS
        while (left := self.members()) and time.monotonic() < deadline:
            time.sleep(0.1)
        return left


@contextlib.contextmanager
def session(
    command: Sequence[str], *, log: pathlib.Path, env: dict[str, str], cwd: pathlib.Path | None = None
) -> Iterator[Session]:
    """Starts a command; on leaving, whatever is left of its session is killed.

    Args:
        command: program and arguments.
        log: what it writes is appended to this file.
        env: its environment.
        cwd: where it starts; here, if None.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=env, cwd=cwd,
            start_new_session=True, preexec_fn=_end_with_parent,
        )  # fmt: skip
    running = Session(process)
    try:
        yield running
    finally:
        if process.poll() is None:
            running.kill_group()
        for pid in running.members():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _end_with_parent() -> None:
    """Runs in the child: should this program be killed itself, its command must not go on alone."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _processes() -> Iterator[tuple[int, str, int]]:
    """Id, state and session of every process."""
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name in parentheses may hold anything; the fields behind it are plain.
            state, _parent, _group, session_id = path.read_text().rpartition(")")[2].split()[:4]
            yield int(path.parent.name), state, int(session_id)
