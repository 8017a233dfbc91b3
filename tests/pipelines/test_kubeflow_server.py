"""Submission, status and fetching against a server that speaks Kubeflow's API over HTTP."""

from __future__ import annotations

import argparse
import contextlib
import http.server
import pathlib
import socket
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import kfp_server_api as api
import pytest
import yaml
from kubeflow_server import EPOCH, KubeflowServer, RefusalError, node, serving

from pipelines.cli import main
from pipelines.kubeflow import connection
from pipelines.kubeflow.address import RunAddress, find_run
from pipelines.kubeflow.connection import connect
from pipelines.kubeflow.submission import Order, submit
from tinytimbre.errors import TinyTimbreError

SMOKE = pathlib.Path(__file__).resolve().parents[2] / "configs" / "smoke.yaml"
ROOT = "s3://bucket/tinytimbre"
UNKNOWN = str(uuid.UUID(int=7))


def content(image: str = "tinytimbre:0.1.0") -> bytes:
    """A pipeline with our parameters and one task; the whole one takes TFX, see test_kubeflow_compiler.py."""
    text, number = {"parameterType": "STRING"}, {"parameterType": "NUMBER_DOUBLE", "defaultValue": 1.0}
    parameters = {"recordings_digest": text, "budget_scale": number}
    parameters |= {name: {**text, "defaultValue": f"/workspace/{name}"} for name in ("recordings", "publish_to")}
    task = {"taskInfo": {"name": "modelpusher"}, "componentRef": {"name": "comp-modelpusher"}}
    pipeline = {
        "pipelineInfo": {"name": "tinytimbre"},
        "schemaVersion": "2.1.0",
        "root": {"inputDefinitions": {"parameters": parameters}, "dag": {"tasks": {"modelpusher": task}}},
        "components": {"comp-modelpusher": {"executorLabel": "exec-modelpusher"}},
        "deploymentSpec": {"executors": {"exec-modelpusher": {"container": {"image": image}}}},
    }
    return yaml.safe_dump_all([pipeline, {"platforms": {"kubernetes": {}}}]).encode()


def order(**changes: Any) -> Order:
    given = {"name": "first", "experiment": "e", "sweep": "smoke", "pipeline_root": ROOT, **changes}
    return Order(parameters={"recordings_digest": "1", **given.pop("parameters", {})}, **given)


def start(server: KubeflowServer, *, namespace: str | None = None, pods: bytes | None = None, **changes: Any) -> str:
    return submit(connect(server.address, namespace=namespace), pods or content(), order(**changes))


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the variables that decide where, and as whom."""
    for name in ("KF_PIPELINES_ENDPOINT", "KFP_NAMESPACE", "KUBERNETES_SERVICE_HOST", "KF_PIPELINES_SA_TOKEN_PATH",
                 connection.TOKEN, connection.COOKIES, connection.AUTHORITIES):  # fmt: skip
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[KubeflowServer]:
    kubeflow = KubeflowServer()
    with serving(kubeflow):
        yield kubeflow


@pytest.fixture
def run_id(server: KubeflowServer) -> str:
    return start(server)


def test_a_run_is_started_as_ordered(server: KubeflowServer) -> None:
    chosen = {"recordings": "/workspace/violins", "budget_scale": 0.5}
    run_id = start(server, parameters=chosen)
    [run], [pipeline], [version], [experiment] = server.runs, server.pipelines, server.versions, server.experiments
    assert run.run_id == run_id
    assert (pipeline.display_name, experiment.display_name, run.display_name) == ("tinytimbre", "e", "first")
    assert run.experiment_id == experiment.experiment_id
    assert run.pipeline_version_reference.pipeline_version_id == version.pipeline_version_id
    assert run.runtime_config.pipeline_root == ROOT
    assert run.runtime_config.parameters == {"recordings_digest": "1", **chosen}
    sent, platform = yaml.safe_load_all(content())
    assert version.pipeline_spec == {"pipeline_spec": sent, "platform_spec": platform}


def test_what_is_there_already_is_used_on_whatever_page(server: KubeflowServer, run_id: str) -> None:
    """Another pipeline and other versions come before; one entry a page."""
    [pipeline], [version] = server.pipelines, server.versions
    server.pipelines.insert(0, api.V2beta1Pipeline(pipeline_id=UNKNOWN, display_name="another"))
    others = [api.V2beta1PipelineVersion(pipeline_id=pipeline.pipeline_id, display_name=f"smoke-{n}") for n in range(3)]
    server.versions += others
    server.page_limit = 1
    again = start(server)
    assert server.pipelines[1:] == [pipeline]
    assert server.versions == [version, *others]
    assert [run.pipeline_version_reference.pipeline_version_id for run in server.runs] == [
        version.pipeline_version_id
    ] * 2
    assert again != run_id
    start(server, pods=content("tinytimbre:0.2.0"))
    assert len(server.versions) == 5


def test_two_submissions_at_once_share_what_the_faster_one_made(server: KubeflowServer) -> None:
    """Between our look and our request another one makes the pipeline, then the version."""
    rehearsal = KubeflowServer()
    with serving(rehearsal):
        start(rehearsal)

    def faster(method: str, path: str) -> None:
        if method == "POST" and path.endswith("/pipelines"):
            server.pipelines = list(rehearsal.pipelines)
        if method == "POST" and path.endswith("/upload_version"):
            server.versions = list(rehearsal.versions)

    server.before = faster
    start(server)
    assert len(server.pipelines) == len(server.versions) == len(server.runs) == 1


def test_a_token_that_expires_on_the_way_is_told_and_the_same_command_goes_on(
    server: KubeflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def expire(method: str, path: str) -> None:
        if method == "POST" and path.endswith("/runs"):
            server.token = "second"

    server.token, server.before = "first", expire
    monkeypatch.setenv(connection.TOKEN, "first")
    with pytest.raises(TinyTimbreError, match="must accept the token") as caught:
        start(server)
    assert "the token has expired" in caught.value.got
    assert "KFP_EXISTING_TOKEN" in caught.value.remedy
    assert (len(server.versions), server.runs) == (1, [])
    monkeypatch.setenv(connection.TOKEN, "second")
    start(server)
    assert (len(server.versions), len(server.runs)) == (1, 1)


def test_a_token_in_a_file_may_be_renewed_while_a_command_runs(
    server: KubeflowServer, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    file = tmp_path / "token"
    file.write_text("first")

    def renew(method: str, path: str) -> None:
        if method == "POST" and path.endswith("/upload_version"):
            server.token = "second"

    server.token, server.before = "first", renew
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(file))
    with pytest.raises(TinyTimbreError, match="must accept the token"):
        start(server)
    file.write_text("third")
    server.token, server.before = "third", lambda *_: None
    client = connect(server.address, namespace=None)
    server.token = "fourth"
    file.write_text("fourth")
    submit(client, content(), order())
    assert len(server.runs) == 1


def test_cookies_let_in_and_a_login_page_is_recognised(server: KubeflowServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.cookie = "authservice_session=abc"
    with pytest.raises(TinyTimbreError, match="must be the API of Kubeflow Pipelines") as caught:
        start(server)
    assert "a login page that is shown without a valid cookie" in caught.value.cause
    assert connection.COOKIES in caught.value.remedy
    monkeypatch.setenv(connection.COOKIES, "authservice_session=abc")
    start(server)


def test_users_with_namespaces_must_name_theirs(
    server: KubeflowServer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    server.multi_user = True
    with pytest.raises(TinyTimbreError, match="where users have namespaces, one must be named"):
        start(server)
    start(server, namespace="anna")
    start(server, namespace="anna", name="second")
    assert {experiment.namespace for experiment in server.experiments} == {"anna"}
    assert len(server.pipelines) == 1
    monkeypatch.setenv("KFP_NAMESPACE", "anna")
    assert main(["status", "--host", server.address]) == 0
    assert "second" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("status", "message"),
    [(403, "whoever asks must be allowed to"), (500, "must carry out what it is asked"), (400, "must carry out")],
)
def test_refusals_are_told_in_one_line(
    status: int, message: str, server: KubeflowServer, capfd: pytest.CaptureFixture[str]
) -> None:
    def refuse(method: str, path: str) -> None:
        raise RefusalError(status, "a reason\n  that has\n lines")

    server.before = refuse
    assert main(["status", "--host", server.address]) == 2
    errors = capfd.readouterr().err
    assert message in errors
    assert f"{status} from {server.address}: a reason that has lines" in errors


def test_hosts_that_are_none(server: KubeflowServer, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}"
        assert main(["status", "--host", nobody]) == 2
    assert "must be reachable" in capfd.readouterr().err
    assert main(["status", "--host", server.address + "/wrong/path"]) == 2
    assert "must be the API of Kubeflow Pipelines" in capfd.readouterr().err
    assert main(["status", "--host", server.address.replace("http://", "https://")]) == 2
    assert "certificate" in capfd.readouterr().err
    assert main(["status"]) == 2
    assert "--host must say where" in capfd.readouterr().err


@contextlib.contextmanager
def answering(answers: dict[str, bytes], *, kind: str) -> Iterator[str]:
    """Another service: content for some paths, 404 for the others."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path in answers else 404)
            self.send_header("content-type", kind)
            self.end_headers()
            self.wfile.write(answers.get(self.path, b""))

        def log_message(self, *_: object) -> None:
            pass

    other = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=other.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"http://127.0.0.1:{other.server_port}"
    other.shutdown()
    other.server_close()


@pytest.mark.parametrize(
    ("answers", "kind", "message"),
    [
        ({"/apis/v1beta1/healthz": b'{"commit_sha": "1"}'}, "application/json", "speaks v1beta1 only"),
        ({"/apis/v2beta1/healthz": b'"fine"'}, "application/json", "something else than the API"),
        ({"/apis/v2beta1/healthz": b"<html>"}, "text/html", "something else than the API"),
        ({}, "text/plain", "knows no /apis/v2beta1/healthz"),
    ],
)
def test_servers_that_are_another_kind(
    answers: dict[str, bytes], kind: str, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with answering(answers, kind=kind) as address:
        assert main(["status", "--host", address]) == 2
    assert message in capfd.readouterr().err


def test_a_silent_server_is_given_up(
    server: KubeflowServer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is silent until the test is over, so however slow the machine, the client is the one to give up."""
    over = threading.Event()
    server.before = lambda *_: over.wait() and None
    monkeypatch.setattr(connection, "PATIENCE_SECS", 0.2)
    try:
        assert main(["status", "--host", server.address]) == 2
    finally:
        over.set()
    assert "is silent" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pipeline_root": ""}, "a run needs a pipeline root"),
        ({"pipeline_root": "bucket/folder"}, "artifacts must lie below"),
        ({"parameters": {"recordings": "recordings"}}, "must be folders on the mounted volume"),
        ({"parameters": {"budget_scale": 0.0}}, "--budget-scale must be above 0"),
        ({"parameters": {"pitch": "a"}}, "must carry out what it is asked"),
    ],
)
def test_orders_that_nobody_could_carry_out_start_nothing(
    changes: dict[str, Any], message: str, server: KubeflowServer
) -> None:
    with pytest.raises(TinyTimbreError, match=message):
        start(server, **changes)
    assert server.runs == []


def test_submit_tells_a_wrong_token_before_it_compiles(
    server: KubeflowServer, capfd: pytest.CaptureFixture[str]
) -> None:
    server.token = "right"
    pods = ["submit", str(SMOKE), "--image", "tinytimbre:0.1.0", "--recordings-digest", "1"]
    assert main([*pods, "--host", server.address, "--pipeline-root", ROOT]) == 2
    errors = capfd.readouterr().err
    assert "401" in errors
    assert "Traceback" not in errors
    assert server.requests == []


def test_status_shows_the_stages_as_of_a_local_run(
    server: KubeflowServer, run_id: str, capfd: pytest.CaptureFixture[str]
) -> None:
    capfd.readouterr()
    states = {
        "recordingexamplegen": "CACHED", "featureextractor": "SUCCEEDED", "sweepplanner": "FAILED",
        "sweeptrainer-rung0-shard00": "RUNNING", "sweeptrainer-rung0-shard01": "PENDING",
    }  # fmt: skip
    server.start_run(run_id, states, state="RUNNING")
    assert main(["status", f"{server.address}/#/runs/details/{run_id}"]) == 0
    shown = capfd.readouterr().out
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown.splitlines() if line.startswith("│")]
    assert rows == [
        ["recordingexamplegen", "done before", ""],
        ["featureextractor", "done", "30"],
        ["sweepplanner", "failed", "30"],
        ["sweeptrainer-rung0-shard00", "running", ""],
        ["sweeptrainer-rung0-shard01", "waiting", ""],
    ]
    assert "Run first: running" in shown
    pod = "tinytimbre-x7f2q-executor-4"
    assert f"sweepplanner: main: Error (exit code 2); log: kubectl logs {pod}" in shown


def test_status_of_a_run_that_has_not_begun_or_has_ended(
    server: KubeflowServer, run_id: str, capfd: pytest.CaptureFixture[str]
) -> None:
    status = ["status", run_id, "--host", server.address]
    assert main(status) == 0
    assert "first: waiting" in capfd.readouterr().out
    server.start_run(run_id, {"modelpusher": "SUCCEEDED"}, state="SUCCEEDED")
    assert main(status) == 0
    assert f"next: tinytimbre fetch {run_id} --host {server.address} --workspace DIR" in capfd.readouterr().out
    server.start_run(run_id, {"sweepplanner": "FAILED"}, state="FAILED", error="pod deleted")
    assert main(status) == 0
    assert "the run: pod deleted" in capfd.readouterr().out


def test_status_of_a_backend_that_lists_nothing_but_tasks(
    server: KubeflowServer, run_id: str, capfd: pytest.CaptureFixture[str]
) -> None:
    tasks = [node("root", "RUNNING", 0), node("modelpusher", "CACHED", 2), node("sweepplanner", "PAUSED", 1)]
    server.run(run_id).run_details = api.V2beta1RunDetails(task_details=tasks)
    assert main(["status", run_id, "--host", server.address]) == 0
    shown = capfd.readouterr().out
    assert shown.index("sweepplanner") < shown.index("modelpusher") < shown.index("done before")
    assert "paused" in shown
    assert "root" not in shown


def test_status_lists_the_runs_of_our_pipeline_from_all_pages(
    server: KubeflowServer, run_id: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = api.V2beta1Run(run_id=UNKNOWN, display_name="foreign", created_at=EPOCH, state="FAILED")
    start(server, name="newest")
    server.runs.insert(1, foreign)
    server.page_limit = 1
    capfd.readouterr()
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", server.address)
    assert main(["status"]) == 0
    shown = capfd.readouterr().out
    assert shown.index("newest") < shown.index("first")
    assert "2026-01-02 00:00" in shown
    assert run_id in shown
    assert "foreign" not in shown


def test_status_of_a_server_without_runs(server: KubeflowServer, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--host", server.address]) == 0
    assert capfd.readouterr().out == "no run yet\n"


@pytest.mark.parametrize("command", [["status"], ["fetch", "--workspace", "w"]])
def test_unknown_runs_are_told(
    command: list[str], server: KubeflowServer, capfd: pytest.CaptureFixture[str], tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main([*command, UNKNOWN, "--host", server.address]) == 2
    assert f"no run {UNKNOWN}" in capfd.readouterr().err
    assert main([*command, "smoke", "--host", server.address]) == 2
    assert "named by its id or by the address of its page" in capfd.readouterr().err


def test_what_names_a_run(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    bare = argparse.Namespace(host=None, namespace=None)
    page = f"https://kubeflow.example.org/_/pipeline/#/runs/details/{UNKNOWN}?ns=anna"
    assert find_run(page, args=bare) == RunAddress("https://kubeflow.example.org/pipeline", UNKNOWN)
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", "http://localhost:8888")
    assert find_run(UNKNOWN, args=bare) == RunAddress("http://localhost:8888", UNKNOWN)
    assert find_run("workspaces/quickstart", args=bare) is None
    monkeypatch.chdir(tmp_path)
    (tmp_path / UNKNOWN).mkdir()
    assert find_run(UNKNOWN, args=bare) is None  # a workspace may have any name
