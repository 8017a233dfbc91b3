"""Bundles in a browser, or in Node where there is none or it fails; what happened is said.

A browser that is missing, crashes or hangs is no fault of a bundle: Node does the rest, and each validation carries the
reason. A bundle that a runtime cannot load, or that answers otherwise than Python, has failed.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

from tinytimbre.errors import TinyTimbreError
from tinytimbre.export.node import WEB_DIR, node_executable
from tinytimbre.validation.chromium import PATIENCE_SECS, BrowserError, visit
from tinytimbre.validation.jobs import Job, Validation, judge, make_job

PAGE = "web/validation/page.html"
SCRIPT = pathlib.Path("validation") / "node.mjs"
# Loading and checking one bundle; nothing in Node waits for anything.
NODE_SECS = 300.0
SHOWN_CHARACTERS = 2000
PLAYERS = ("src/*.js", "src/engine.wasm", "validation/*", "tools/tfjs-in-node.mjs", "package-lock.json")


def validate_bundles(
    bundles: Sequence[pathlib.Path], *, web_dir: pathlib.Path = WEB_DIR, patience_secs: float = PATIENCE_SECS
) -> Iterator[tuple[int, Validation]]:
    """Index and validation of each bundle, as they come.

    Args:
        bundles: folders with model.json, weights.bin and settings.json.
        web_dir: the repository's ``web`` folder after ``npm ci``.
        patience_secs: how long a browser may say nothing.

    Raises:
        TinyTimbreError: a bundle's settings cannot be read, or Node fails too.
    """
    jobs = dict(enumerate(map(make_job, bundles)))
    if not jobs:
        return
    why = ""
    try:
        for index, validation in _in_browser(jobs, web_dir=web_dir, patience_secs=patience_secs):
            yield index, validation
            del jobs[index]
    except BrowserError as error:
        why = str(error)
    if jobs:
        yield from _in_node(jobs, web_dir=web_dir, why=why or "the page ended early")


def player_files(web_dir: pathlib.Path = WEB_DIR) -> list[pathlib.Path]:
    """The files that decide, besides Python's, what is found."""
    return sorted(path for pattern in PLAYERS for path in web_dir.glob(pattern) if path.is_file())


def _in_browser(
    jobs: dict[int, Job], *, web_dir: pathlib.Path, patience_secs: float
) -> Iterator[tuple[int, Validation]]:
    found = Validation(runtime="browser")
    order = list(jobs)
    with tempfile.TemporaryDirectory(prefix="tinytimbre-jobs-") as name:
        folder = pathlib.Path(name)
        requests = [jobs[i].request(f"/bundle{i}", backends=("cpu", "wasm", "webgl")) for i in order]
        (folder / "jobs.json").write_text(json.dumps(requests))
        folders = {"web": web_dir, "jobs": folder, **{f"bundle{i}": jobs[i].bundle for i in order}}
        with contextlib.closing(visit(PAGE, folders=folders, patience_secs=patience_secs)) as messages:
            for message in messages:
                if "broken" in message:
                    raise BrowserError(f"the page could not begin: {message['broken']}")
                if "browser" in message:
                    found = found.model_copy(update={"version": _version(message["browser"])})
                else:
                    index = order[message["index"]]
                    yield index, _judged(jobs[index], message, found=found)


def _in_node(jobs: dict[int, Job], *, web_dir: pathlib.Path, why: str) -> Iterator[tuple[int, Validation]]:
    found = Validation(runtime="node", version=_node(["--version"]).strip(), why_not_browser=why)
    with tempfile.TemporaryDirectory(prefix="tinytimbre-jobs-") as name:
        plan = pathlib.Path(name) / "jobs.json"
        for index, job in jobs.items():
            plan.write_text(json.dumps([job.request(str(job.bundle.resolve()), backends=("cpu", "wasm"))]))
            lines = [line for line in _node([str(web_dir / SCRIPT), str(plan)]).splitlines() if line.startswith("{")]
            yield index, _judged(job, json.loads(lines[-1]), found=found)


def _judged(job: Job, message: dict[str, Any], *, found: Validation) -> Validation:
    if "failure" in message:
        return found.model_copy(update={"failure": message["failure"]})
    return judge(job, message["answer"], found=found)


def _node(arguments: Sequence[str]) -> str:
    command = [str(node_executable()), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=NODE_SECS, check=False)
    except subprocess.TimeoutExpired as error:
        raise _node_failed(f"nothing for {NODE_SECS:g} s") from error
    if done.returncode != 0:
        raise _node_failed(f"it ended with {done.returncode}: {done.stderr[-SHOWN_CHARACTERS:]}")
    return done.stdout


def _node_failed(got: str) -> TinyTimbreError:
    return TinyTimbreError(
        "Node must validate the exported models where no browser does",
        got=got,
        remedy="if the packages are damaged: npm ci in web/",
    )


def _version(user_agent: str) -> str:
    """Such as "Chromium 150.0.0.0", out of what a browser says of itself."""
    match = re.search(r"Chrome/([\d.]+)", user_agent)
    return f"Chromium {match.group(1)}" if match else user_agent
