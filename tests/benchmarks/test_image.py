"""The program that carries out the Dockerfile, as far as that goes without root."""

from __future__ import annotations

import pathlib

import pytest

from benchmarks.image import ROOT, Site, Step, build, n_bytes, words

BASE = ("FROM", "debian:12.12-slim AS build")


@pytest.fixture
def base(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "base" / "etc").mkdir(parents=True)
    return tmp_path / "base"


def carried_out(base: pathlib.Path, *steps: tuple[str, str]) -> tuple[pathlib.Path, list[str]]:
    built = [Step(*step) for step in (BASE, *steps)]
    stage, entry = build(built, base=base, to=base.parent / "built", site=Site([], []))
    return stage.root, entry


def test_copies_go_where_docker_puts_them(base: pathlib.Path) -> None:
    root, _ = carried_out(
        base,
        ("WORKDIR", "/opt/product"),
        ("COPY", "LICENSE setup.py ./"),
        ("COPY", "web/package.json web/"),
        ("COPY", "configs configs"),
        ("FROM", "debian:12.12-slim"),
        ("COPY", "--from=build /opt/product /srv"),
    )
    found = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()} - {"etc/resolv.conf"}
    configs = {f"srv/configs/{path.name}" for path in (ROOT / "configs").iterdir()}
    assert found == {"srv/LICENSE", "srv/setup.py", "srv/web/package.json", *configs}
    assert (root / "srv" / "setup.py").read_bytes() == (ROOT / "setup.py").read_bytes()


def test_only_files_that_git_knows_are_copied(base: pathlib.Path) -> None:
    root, _ = carried_out(base, ("COPY", "web/src /src"))
    assert (root / "src" / "index.js").is_file()
    assert not list(root.rglob("node_modules"))


def test_settings_are_those_of_the_last_stage(base: pathlib.Path) -> None:
    built = [Step(*step) for step in (
        BASE, ("ENV", "PATH=/venv/bin:$PATH NAME='a b'"), ("USER", "10001"), ("WORKDIR", "/home"),
        ("ENTRYPOINT", '["tinytimbre", "smoke"]'), ("CMD", '["--help"]'),
    )]  # fmt: skip
    stage, entry = build(built, base=base, to=base.parent / "built", site=Site([], []))
    assert entry == ["tinytimbre", "smoke"]
    assert stage.environment["PATH"].startswith("/venv/bin:/usr/local/sbin:")
    assert (stage.environment["NAME"], stage.user, stage.folder) == ("a b", "10001", "/home")
    assert (stage.root / "home").is_dir()


def test_words_of_both_forms() -> None:
    assert words('["a b", "c"]') == words("'a b' c") == ["a b", "c"]


def test_sizes_are_those_on_the_disk(tmp_path: pathlib.Path) -> None:
    empty = n_bytes(tmp_path)
    (tmp_path / "file").write_bytes(b"x" * 100_000)
    (tmp_path / "link").hardlink_to(tmp_path / "file")
    assert 100_000 <= n_bytes(tmp_path) - empty < 110_000
