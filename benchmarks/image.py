"""The Dockerfile's steps carried out without Docker, in plain folders: whether they work, and how much each one adds.

    debootstrap --variant=minbase bookworm base http://deb.debian.org/debian
    python -m benchmarks.image --base base --to built -- smoke

Every stage is a copy of `base`, every RUN a shell in a chroot of its own with an empty environment, every COPY takes
files that git knows. What comes after ``--`` is handed to the entry point at the end, as the image's own user. Needs
root. What it cannot show: that the registry has the base image, and what Docker itself adds.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import pathlib
import shlex
import shutil
import subprocess
import sys

from dockerfile_parse import DockerfileParser

ROOT = pathlib.Path(__file__).resolve().parents[1]
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
RESOLVER = pathlib.Path("/etc/resolv.conf")
MOUNTS = "mount -t proc proc {root}/proc && mount --rbind /dev {root}/dev && mount -t tmpfs tmpfs {root}/tmp"


@dataclasses.dataclass(frozen=True)
class Step:
    """One instruction of a Dockerfile; ``value`` with its continued lines joined."""

    instruction: str
    value: str


@dataclasses.dataclass(frozen=True)
class Site:
    """What of this machine the steps see too: paths, and variables as ``name=value``."""

    paths: list[str]
    variables: list[str]


@dataclasses.dataclass
class Stage:
    """A folder that stands for a stage, and what ENV, WORKDIR and USER have said so far."""

    root: pathlib.Path
    environment: dict[str, str] = dataclasses.field(default_factory=lambda: {"PATH": PATH})
    folder: str = "/"
    user: str = "0"

    def run(self, command: list[str], *, site: Site) -> None:
        """Runs a command inside."""
        binds = [_bind(self.root, path) for path in site.paths]
        home = "/root" if self.user == "0" else "/home/tinytimbre"
        values = [f"{name}={value}" for name, value in {"HOME": home, **self.environment}.items()] + site.variables
        inside = shlex.join(["env", "-i", *values, "/bin/sh", "-c", f"cd {self.folder} && exec {shlex.join(command)}"])
        outside = " && ".join([MOUNTS.format(root=self.root), f"chmod 1777 {self.root}/tmp", *binds])
        script = f"{outside} && exec chroot --userspec={self.user}:{self.user} {self.root} {inside}"
        subprocess.run(["unshare", "--mount", "--pid", "--fork", "/bin/sh", "-c", script], check=True)


def read_steps(dockerfile: pathlib.Path) -> list[Step]:
    """All instructions in order, without comments."""
    parser = DockerfileParser(fileobj=dockerfile.open("rb"))
    return [Step(s["instruction"], s["value"]) for s in parser.structure if s["instruction"] != "COMMENT"]


def words(value: str) -> list[str]:
    """Of an instruction in shell or in JSON form."""
    return list(json.loads(value)) if value.startswith("[") else shlex.split(value)


def build(steps: list[Step], *, base: pathlib.Path, to: pathlib.Path, site: Site) -> tuple[Stage, list[str]]:
    """Carries out all steps; gives the last stage and the words of its entry point."""
    stages: dict[str, Stage] = {}
    entry: list[str] = []
    stage = Stage(to)
    for step in steps:
        before = 0 if step.instruction == "FROM" else n_bytes(stage.root)
        if step.instruction == "FROM":
            name = step.value.partition(" AS ")[2] or "last"
            stage = stages[name] = Stage(to / name)
            _begin(stage, base=base)
        elif step.instruction == "RUN":
            stage.run(["/bin/sh", "-c", step.value], site=site)
        elif step.instruction == "COPY":
            _copy(step.value, stage=stage, stages=stages)
        elif step.instruction == "ENTRYPOINT":
            entry = words(step.value)
        else:
            _set(step, stage)
        added = n_bytes(stage.root) - before
        print(f"{added / 1e6:9.1f} MB  {step.instruction} {step.value[:90]}", flush=True)
    print(f"{(n_bytes(stage.root) - n_bytes(base)) / 1e6:9.1f} MB  the last stage without its base")
    return stage, entry


def n_bytes(folder: pathlib.Path) -> int:
    """On the disk, hard links counted once."""
    done = subprocess.run(["du", "--summarize", "--block-size=1", str(folder)], check=True, capture_output=True)
    return int(done.stdout.split()[0])


def _begin(stage: Stage, *, base: pathlib.Path) -> None:
    subprocess.run(["cp", "--archive", f"{base}/.", _made(stage.root)], check=True)
    shutil.copyfile(RESOLVER, stage.root / "etc" / "resolv.conf")


def _set(step: Step, stage: Stage) -> None:
    if step.instruction == "ENV":
        assigned = dict(word.split("=", 1) for word in words(step.value))
        stage.environment |= {
            name: value.replace("$PATH", stage.environment["PATH"]) for name, value in assigned.items()
        }
    elif step.instruction == "WORKDIR":
        stage.folder = step.value
        _made(stage.root / step.value.lstrip("/"))
    elif step.instruction == "USER":
        stage.user = step.value


def _copy(value: str, *, stage: Stage, stages: dict[str, Stage]) -> None:
    *sources, target = words(value)
    place = stage.root / (target if target.startswith("/") else f"{stage.folder}/{target}").lstrip("/")
    if sources[0].startswith("--from="):
        origin = stages[sources[0].removeprefix("--from=")].root
        for source in sources[1:]:
            subprocess.run(["cp", "--archive", f"{origin / source.lstrip('/')}/.", _made(place)], check=True)
        return
    for source in sources:
        _copy_tracked(ROOT / source, place, into=target.endswith("/"))


def _copy_tracked(source: pathlib.Path, place: pathlib.Path, *, into: bool) -> None:
    """A file of the repository, or what git knows of a folder."""
    if source.is_file():
        shutil.copy2(source, (_made(place) if into else _made(place.parent)) / (source.name if into else place.name))
        return
    for name in tracked(source):
        _made((place / name).parent)
        shutil.copy2(source / name, place / name)


def tracked(folder: pathlib.Path) -> list[str]:
    """Files below `folder` that git knows, relative to it."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=folder, check=True, capture_output=True, text=True)
    return [name for name in done.stdout.split("\0") if name]


def _bind(root: pathlib.Path, path: str) -> str:
    inside = root / path.lstrip("/")
    if pathlib.Path(path).is_dir():
        return f"mkdir -p {inside} && mount --rbind {path} {inside}"
    return f"mkdir -p {inside.parent} && touch {inside} && mount --bind {path} {inside}"


def _made(folder: pathlib.Path) -> pathlib.Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def main() -> None:
    """Builds, and runs the entry point."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--base", type=pathlib.Path, required=True, help="what debootstrap made; stays as it is")
    parser.add_argument("--to", type=pathlib.Path, required=True, help="a new folder for the stages")
    parser.add_argument("--share", nargs="*", default=[], metavar="PATH", help="of this machine, such as certificates")
    parser.add_argument("--env", nargs="*", default=[], metavar="NAME=VALUE", help="such as SSL_CERT_FILE and a mirror")
    parser.add_argument("arguments", nargs="*", help="for the entry point")
    args = parser.parse_args()
    if args.to.exists():
        sys.exit(f"--to must be new, got {args.to}")
    steps, site = read_steps(ROOT / "Dockerfile"), Site(args.share, args.env)
    stage, entry = build(steps, base=args.base.resolve(), to=args.to.resolve(), site=site)
    stage.run([*entry, *args.arguments], site=Site([], []))


if __name__ == "__main__":
    main()
