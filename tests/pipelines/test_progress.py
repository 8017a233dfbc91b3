from __future__ import annotations

import io
import logging
import os
import pathlib
import subprocess
import sys

import pytest
import rich.console

from pipelines.progress import ProgressLines, progress_handler, title
from pipelines.terminal import terminal
from tinytimbre.progress import ProgressEvent, report, track


@pytest.fixture
def lines() -> io.StringIO:
    return io.StringIO()


def _listen(lines: io.StringIO, *, is_terminal: bool, events: list[ProgressEvent]) -> str:
    console = rich.console.Console(file=lines, force_terminal=is_terminal, width=120)
    logger = logging.getLogger("tinytimbre.progress")
    logger.setLevel(logging.INFO)
    with progress_handler(console) as handler:
        logger.addHandler(handler)
        try:
            for event in events:
                report(event)
        finally:
            logger.removeHandler(handler)
    return lines.getvalue()


def test_a_pipe_gets_few_lines(lines: io.StringIO) -> None:
    events = [ProgressEvent("features", done, 100, "recordings") for done in range(101)]
    shown = _listen(lines, is_terminal=False, events=events).splitlines()
    assert shown[0] == "Extracting features: 0 of 100 recordings"
    assert shown[-1].startswith("Extracting features: 100 of 100 recordings, ")
    # Between them one at most every ten seconds; none where the machine is not very slow.
    assert len(shown) < 10


def test_time_left_is_extrapolated(lines: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 30.0])
    monkeypatch.setattr("pipelines.progress.time.monotonic", lambda: next(clock))
    handler = ProgressLines(rich.console.Console(file=lines))
    for done in (0, 25):
        record = logging.LogRecord("x", logging.INFO, "", 0, "", None, None)
        record.progress = ProgressEvent("training rung 1", done, 100, "steps")
        handler.emit(record)
    # 25 of 100 took 30 s, so 75 take 90 s.
    assert lines.getvalue().splitlines()[-1] == "Training, rung 2: 25 of 100 steps, about 90 s left"


def test_a_terminal_gets_bars(lines: io.StringIO) -> None:
    events = [ProgressEvent("quality", done, 4, "models") for done in range(5)]
    shown = _listen(lines, is_terminal=True, events=events)
    assert "Measuring quality" in shown
    assert "4/4" in shown


def test_what_has_nothing_to_count_is_not_drawn(lines: io.StringIO) -> None:
    assert not list(track([], label="quality"))
    assert _listen(lines, is_terminal=False, events=[ProgressEvent("quality", 0, 0)]) == ""


def test_stages_have_names() -> None:
    assert title("training rung 0") == "Training, rung 1"
    assert title("tune tuned3") == "Fine-tuning for 3 bits"
    assert title("takes of violin") == "Comparing takes of violin"
    assert title("something new") == "something new"


def test_chatter_of_any_origin_lands_in_the_log(tmp_path: pathlib.Path) -> None:
    probe = (
        "import logging, os, pathlib, subprocess, sys, warnings\n"
        "from pipelines.terminal import terminal\n"
        "with terminal(verbose=False, log=pathlib.Path(sys.argv[1]) / 'logs' / 'a.log') as screen:\n"
        "    print('python'); warnings.warn('warned'); os.write(2, b'native\\n')\n"
        "    subprocess.run(['sh', '-c', 'echo child; echo child >&2'])\n"
        "    screen.results.print('result'); screen.messages.print('message')\n"
        "    logging.getLogger('tinytimbre.x').warning('careful')\n"
        "print('after')\n"
    )
    root = pathlib.Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-c", probe, str(tmp_path)], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout == "result\nafter\n"
    assert done.stderr == "message\nnote: careful\n"
    log = (tmp_path / "logs" / "a.log").read_text()
    assert all(word in log for word in ("python", "warned", "native", "child"))


def test_a_full_disk_does_not_fail_whoever_prints() -> None:
    # Every write to /dev/full fails for want of room. Beam prints an error before it reports it: had printing
    # raised, the run would have waited for ever.
    with terminal(verbose=False, log=pathlib.Path("/dev/full")):
        print("line by line\n" * 10_000, file=sys.stderr, flush=True)  # noqa: T201
        print("and to stdout", flush=True)  # noqa: T201


def test_verbose_leaves_everything_where_it_is(capfd: pytest.CaptureFixture[str]) -> None:
    with terminal(verbose=True):
        os.write(2, b"native\n")
    assert "native" in capfd.readouterr().err


def test_bars_do_not_show_what_others_write(lines: io.StringIO) -> None:
    console = rich.console.Console(file=lines, force_terminal=True, width=120)
    with progress_handler(console):
        sys.stderr.write("chatter\n")
        sys.stdout.write("chatter\n")
    assert "chatter" not in lines.getvalue()
