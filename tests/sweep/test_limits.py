"""Memory of machine and process, against files laid out as the kernel does and against psutil."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import psutil
import pytest

from tinytimbre.sweep.limits import cgroup_limits, machine_bytes, resident_bytes


def write(path: pathlib.Path, text: str) -> pathlib.Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_resident_memory_is_what_the_system_says() -> None:
    # The test process may take or free a little between the two looks.
    assert resident_bytes() == pytest.approx(psutil.Process().memory_info().rss, rel=0.02)


def test_the_machine_is_not_larger_than_it_is() -> None:
    assert 0 < machine_bytes() <= psutil.virtual_memory().total


@pytest.mark.parametrize(
    ("own", "files", "limits"),
    [
        ("0::/a/b\n", {"a/b/memory.max": "300\n", "a/memory.max": "200\n"}, [300, 200]),
        ("0::/a\n", {"a/memory.max": "max\n"}, []),
        ("0::/gone\n", {"memory.max": "100\n"}, [100]),  # in a container: its own group is the root it sees
        ("4:memory:/a\n3:cpu:/\n", {"memory/a/memory.limit_in_bytes": "500\n", "cpu/memory.max": "1\n"}, [500]),
    ],
)
def test_control_groups(tmp_path: pathlib.Path, own: str, files: dict[str, str], limits: list[int]) -> None:
    for name, text in files.items():
        write(tmp_path / "cgroup" / name, text)
    found = cgroup_limits(root=tmp_path / "cgroup", own=write(tmp_path / "own", own))
    assert list(found) == limits


def test_a_process_that_outgrows_its_limit_is_told() -> None:
    script = (
        "import os, time\nfrom tinytimbre.sweep.limits import resident_bytes, watch_memory\n"
        "watch_memory(resident_bytes() + 50_000_000, exceeded=lambda: os._exit(12))\n"
        "small = bytearray(10_000_000)\ntime.sleep(0.3)\nprint('still here', flush=True)\n"
        "large = bytearray(b'x' * 100_000_000)\ntime.sleep(60)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (12, "still here\n")
