"""The command's first and last moments: interrupts before it can answer them, and output that nobody reads."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "pipelines"]


def test_an_interrupt_during_the_imports_shows_no_traceback() -> None:
    """The interrupt comes while `pipelines.cli` is being imported, whatever the machine's speed."""
    script = (
        "import os, signal, sys\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'pipelines.commands':\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "from pipelines.start import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGINT
    assert done.stderr == ""


@pytest.mark.parametrize("arguments", [["--help"], ["plan", "configs/smoke.yaml", "--recordings"]])
def test_output_that_nobody_reads_shows_no_traceback(arguments: list[str], tmp_path: pathlib.Path) -> None:
    (tmp_path / "reed").mkdir()
    (tmp_path / "reed" / "unread.wav").touch()
    reading, writing = os.pipe()
    os.close(reading)
    command = [*COMMAND, *arguments, *([str(tmp_path)] if "plan" in arguments else [])]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, cwd=ROOT, check=False)
    os.close(writing)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_fault(closed: str, tmp_path: pathlib.Path) -> None:
    """Nor does a file that is opened later take the place of a closed one."""
    script = (
        f"import sys\nfrom pipelines.cli import main\ncode = main(['status', {str(tmp_path)!r}])\n"
        f"file = open({str(tmp_path / 'file')!r}, 'w')\nassert file.fileno() > 2\nsys.exit(code)\n"
    )
    (tmp_path / "script.py").write_text(script)
    shell = f'"{sys.executable}" "{tmp_path}/script.py" {closed}'
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 2  # not a workspace, said or not
    assert "Traceback" not in done.stderr
