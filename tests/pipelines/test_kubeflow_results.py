"""Fetching from a pipeline root; runs are those of a server that speaks Kubeflow's API over HTTP."""

from __future__ import annotations

import pathlib
import shutil
import uuid
from collections.abc import Iterator

import pytest
from kubeflow_server import KubeflowServer, serving
from test_kubeflow_server import start

from pipelines.cli import main
from tests.object_store import ObjectServer, Request, always
from tinytimbre.config import SearchConfig, SweepConfig
from tinytimbre.decoders import DecoderSpec, build_decoder
from tinytimbre.export.bundle import export_bundle
from tinytimbre.export.publish import publish_bundle, read_index
from tinytimbre.export.settings import DataLicence, make_settings
from tinytimbre.features.statistics import Distribution, InstrumentStatistics
from tinytimbre.storage import open_storage


@pytest.fixture
def server() -> Iterator[KubeflowServer]:
    kubeflow = KubeflowServer()
    with serving(kubeflow):
        yield kubeflow


def pushed_artifact(folder: pathlib.Path) -> pathlib.Path:
    """What ModelPusher leaves: the report, and a published model with card and sample."""
    space = {"decoder": ["gru"], "input": ["loudness"], "harmonics": [8], "noise_bands": [9], "width": [4]}
    spec = DecoderSpec(kind="gru", input="loudness", harmonics=8, noise_bands=9, width=4, depth=0, kernel_size=3)
    around = Distribution(mean=0.0, std=1.0, min=-2.0, max=2.0, quantiles={"p05": -1.6, "p50": 0.0, "p95": 1.6})
    statistics = InstrumentStatistics(
        pitch_midi=around, loudness_db=around, rms_energy_db=around, seconds=9.0, voiced_seconds=8.0, takes=3
    )
    settings = make_settings(
        config=SweepConfig(name="smoke", search=SearchConfig(space=space)),
        decoder=spec,
        instrument="reed",
        trial_id="t0123",
        statistics=statistics,
        features_fingerprint="f00d",
        data=(DataLicence(source="made in the test", licence="CC0-1.0", attribution="nobody"),),
    )
    export_bundle(build_decoder(spec), settings=settings, quantisations=("float32",), output=folder / "bundle")
    sample = folder / "take.flac"
    sample.write_bytes(b"fLaC and so on")
    publish_bundle(folder / "bundle" / "float32", card="# Reed\n", to=folder / "pushed" / "models", instrument="reed",
                   extra_files={"samples/take.flac": sample})  # fmt: skip
    (folder / "pushed" / "report.html").write_text("<!doctype html><title>TinyTimbre: smoke</title>")
    (folder / "pushed" / "published.json").write_text('{"reed": "/workspace/models/reed/0003-aaaaaaaaaa"}')
    return folder / "pushed"


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return pushed_artifact(tmp_path_factory.mktemp("artifact"))


def finished_run(server: KubeflowServer, pushed: pathlib.Path, root: pathlib.Path) -> tuple[str, pathlib.Path]:
    """A run whose pipeline root is a folder of this machine, which object stores resemble."""
    run_id = start(server, pipeline_root=str(root))
    server.start_run(run_id, {"modelpusher": "SUCCEEDED"}, state="SUCCEEDED")
    place = root / "tinytimbre" / run_id / "modelpusher" / str(uuid.uuid4()) / "pushed"
    shutil.copytree(pushed, place)
    return run_id, place


def files(folder: pathlib.Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_fetch_brings_report_and_models(
    server: KubeflowServer, pushed: pathlib.Path, tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run_id, _ = finished_run(server, pushed, tmp_path / "store")
    workspace = tmp_path / "workspace"
    fetch = ["fetch", run_id, "--host", server.address, "--workspace", str(workspace)]
    assert main(fetch) == 0
    shown = capfd.readouterr().out
    [version] = (workspace / "models" / "reed").iterdir()
    assert f"published: reed → {version}\nreport: {workspace / 'report.html'}\n" in shown
    [origin] = (pushed / "models" / "reed").iterdir()
    assert version.name == origin.name
    assert files(version) == files(origin)
    assert (workspace / "report.html").read_bytes() == (pushed / "report.html").read_bytes()
    before = files(workspace)
    assert main(fetch) == 0
    assert files(workspace) == before
    assert main([*fetch, "--publish-to", str(tmp_path / "elsewhere")]) == 0
    assert list(read_index(tmp_path / "elsewhere")["instruments"]) == ["reed"]


def test_fetch_reads_an_object_store_that_fails_now_and_then(
    server: KubeflowServer, pushed: pathlib.Path, tmp_path: pathlib.Path, s3: ObjectServer, bucket: str
) -> None:
    root = f"s3://{bucket}/runs"
    run_id = start(server, pipeline_root=root)
    server.start_run(run_id, {"modelpusher": "SUCCEEDED"}, state="SUCCEEDED")
    store = open_storage(f"{root}/tinytimbre/{run_id}/modelpusher/{uuid.uuid4()}/pushed")
    for name, content in files(pushed).items():
        store.write(name, content)
    s3.calm()
    # Every third request is refused, and the weights break off half way the first time.
    broken: list[str] = []

    def fault(request: Request) -> str | None:
        if request.path.endswith("/weights.bin") and request.method == "GET" and not broken:
            broken.append(request.path)
            return "cut"
        return "503" if request.number % 3 == 2 else None

    s3.fault = fault
    workspace = tmp_path / "workspace"
    assert main(["fetch", run_id, "--host", server.address, "--workspace", str(workspace)]) == 0
    assert broken
    [version] = (workspace / "models" / "reed").iterdir()
    [origin] = (pushed / "models" / "reed").iterdir()
    assert files(version) == files(origin)


def test_fetch_tells_when_an_object_store_refuses_the_credentials(
    server: KubeflowServer, s3: ObjectServer, bucket: str, tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run_id = start(server, pipeline_root=f"s3://{bucket}/runs")
    server.start_run(run_id, {"modelpusher": "SUCCEEDED"}, state="SUCCEEDED")
    s3.fault = always("403")
    assert main(["fetch", run_id, "--host", server.address, "--workspace", str(tmp_path)]) == 2
    told = capfd.readouterr().err
    assert bucket in told
    assert "Traceback" not in told


def test_an_interrupted_fetch_reads_only_what_is_missing(
    server: KubeflowServer, pushed: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    run_id, place = finished_run(server, pushed, tmp_path / "store")
    fetch = ["fetch", run_id, "--host", server.address, "--workspace", str(tmp_path / "workspace")]
    assert main(fetch) == 0
    local = tmp_path / "workspace" / "runs" / run_id / "modelpusher" / place.parent.name / "pushed"
    [weights] = local.glob("models/reed/*/weights.bin")
    whole = weights.read_bytes()
    weights.unlink()
    (local / "published.json").unlink()
    untouched = local / "report.html"
    before = untouched.stat()
    assert main(fetch) == 0
    assert weights.read_bytes() == whole
    assert (local / "published.json").is_file()
    assert (untouched.stat().st_ino, untouched.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_run_that_published_nothing_still_has_a_report(
    server: KubeflowServer, pushed: pathlib.Path, tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run_id, place = finished_run(server, pushed, tmp_path / "store")
    shutil.rmtree(place / "models")
    assert main(["fetch", run_id, "--host", server.address, "--workspace", str(tmp_path / "workspace")]) == 3
    assert "published nothing" in capfd.readouterr().out
    assert (tmp_path / "workspace" / "report.html").is_file()


def test_what_cannot_be_fetched_is_told(
    server: KubeflowServer, pushed: pathlib.Path, tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run_id, place = finished_run(server, pushed, tmp_path / "store")
    fetch = ["fetch", run_id, "--host", server.address, "--workspace", str(tmp_path / "workspace")]
    shutil.rmtree(place)
    assert main(fetch) == 2
    assert "no report.html below" in capfd.readouterr().err
    assert main([*fetch, "--pipeline-root", "nosuchscheme://bucket"]) == 2
    assert "a place in an object store is s3://, gs:// or minio://" in capfd.readouterr().err
    server.runs[-1].runtime_config.pipeline_root = None
    assert main(fetch) == 2
    assert "the pipeline root of the run must be known" in capfd.readouterr().err
    server.start_run(run_id, {"sweepplanner": "FAILED"}, state="FAILED", error="pod deleted")
    assert main(fetch) == 2
    errors = capfd.readouterr().err
    assert f"{run_id}: FAILED: sweepplanner" in errors
    assert "pod deleted" in errors
    server.start_run(run_id, {"sweepplanner": "RUNNING"}, state="RUNNING")
    assert main(fetch) == 2
    assert "way out: wait for it" in capfd.readouterr().err
    assert main(["fetch", "workspaces/quickstart", "--workspace", str(tmp_path)]) == 2
    assert "fetch needs a run on Kubeflow" in capfd.readouterr().err
