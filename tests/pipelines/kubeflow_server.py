"""A server that speaks the API v2beta1 of Kubeflow Pipelines over HTTP, as far as a client can tell.

What it answers is made of kfp's own models and serialised by kfp; what it is sent is read by them, and a field they do
not know, or a value that does not survive the reading, is refused with 400. Runs are checked as ``api_converter.go``
and ``run_server.go`` check them. Pods do not run: a test says what became of them, in the nodes that Argo would have.
"""

from __future__ import annotations

import contextlib
import datetime
import email.parser
import email.policy
import http.server
import json
import re
import threading
import urllib.parse
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import kfp_server_api as api
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2 as pb

EPOCH = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
NEVER = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
LOGIN = b"<!doctype html><title>Log in to Your Account</title>"
READER = api.ApiClient()


class RefusalError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class Body:
    """As kfp's client is handed an answer."""

    def __init__(self, data: bytes) -> None:
        self.data = data


def read(data: bytes, kind: str) -> Any:
    """The model that a body says; whatever kfp's class has no place for is refused."""
    model = READER.deserialize(Body(data), kind)
    if without_empty(READER.sanitize_for_serialization(model)) != without_empty(json.loads(data)):
        raise RefusalError(400, f"{kind} cannot hold {data.decode()}")
    return model


def without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_empty(inner) for key, inner in value.items() if inner not in (None, "")}
    return value


class KubeflowServer:
    """State of the server; ``address`` is where it listens.

    Attributes:
        token: what every request must carry, if set.
        cookie: the same for cookies; without it a login page is shown.
        multi_user: whether users have namespaces.
        page_limit: entries of a page at most, whatever was asked for.
        requests: all that were answered, as ("GET", path).
        before: called with method and path before each; what it raises is the answer.
    """

    def __init__(self) -> None:
        self.token: str | None = None
        self.cookie: str | None = None
        self.multi_user = False
        self.page_limit = 100
        self.requests: list[tuple[str, str]] = []
        self.before: Callable[[str, str], None] = lambda *_: None
        self.pipelines: list[api.V2beta1Pipeline] = []
        self.versions: list[api.V2beta1PipelineVersion] = []
        self.experiments: list[api.V2beta1Experiment] = []
        self.runs: list[api.V2beta1Run] = []
        self.address = ""

    def start_run(self, run_id: str, tasks: Mapping[str, str], *, state: str, error: str = "") -> None:
        """Sets the state of a run and of its tasks; CACHED means that the pod was skipped."""
        run = self.run(run_id)
        run.state = state
        run.error = api.GoogleRpcStatus(code=13, message=error) if error else None
        around = {"tinytimbre-x7f2q": "RUNNING", "root-driver": "SUCCEEDED", "root": "RUNNING"}
        nodes = [node(name, own, 0) for name, own in around.items()]
        for second, (name, task_state) in enumerate(tasks.items(), start=2):
            nodes += task_nodes(name, task_state, second)
        # The backend sorts them by ids that mean nothing.
        run.run_details = api.V2beta1RunDetails(task_details=sorted(nodes, key=lambda n: n.task_id))

    def run(self, run_id: str) -> api.V2beta1Run:
        for run in self.runs:
            if run.run_id == run_id:
                return run
        raise RefusalError(404, f"Failed to get a run: ResourceNotFoundError: Run {run_id} not found")

    def answer(self, method: str, path: str, query: Mapping[str, str], data: bytes, kind: str) -> Any:
        """The model that answers a request."""
        for (wanted, pattern), handler in ROUTES.items():
            match = re.fullmatch(pattern, path)
            if match and wanted == method:
                return handler(self, query=query, data=data, kind=kind, **match.groupdict())
        raise RefusalError(404, "Not Found")

    def health(self, **_: Any) -> Any:
        return api.V2beta1GetHealthzResponse(multi_user=self.multi_user)

    def list_pipelines(self, *, query: Mapping[str, str], **_: Any) -> Any:
        self._check_namespace(query.get("namespace"))
        page, token = self._page(self.pipelines, query)
        return api.V2beta1ListPipelinesResponse(pipelines=page, total_size=len(self.pipelines), next_page_token=token)

    def create_pipeline(self, *, data: bytes, **_: Any) -> Any:
        pipeline = read(data, "V2beta1Pipeline")
        self._check_namespace(pipeline.namespace)
        if pipeline.display_name in [other.display_name for other in self.pipelines]:
            raise RefusalError(409, f"Already exist error: Pipeline {pipeline.display_name}")
        pipeline.pipeline_id, pipeline.created_at = str(uuid.uuid4()), EPOCH
        self.pipelines.append(pipeline)
        return pipeline

    def list_versions(self, *, query: Mapping[str, str], pipeline_id: str, **_: Any) -> Any:
        own = [version for version in self.versions if version.pipeline_id == pipeline_id]
        page, token = self._page(own[::-1], query)
        return api.V2beta1ListPipelineVersionsResponse(
            pipeline_versions=page, total_size=len(own), next_page_token=token
        )

    def upload_version(self, *, query: Mapping[str, str], data: bytes, kind: str, **_: Any) -> Any:
        if query["pipelineid"] not in [pipeline.pipeline_id for pipeline in self.pipelines]:
            raise RefusalError(404, "Pipeline not found")
        if query["name"] in [version.display_name for version in self.versions]:
            raise RefusalError(409, f"Already exist error: pipeline version {query['name']}")
        pipeline, platform = yaml.safe_load_all(uploaded(data, kind))
        json_format.ParseDict(pipeline, pb.PipelineSpec())
        json_format.ParseDict(platform, pb.PlatformSpec())
        version = api.V2beta1PipelineVersion(
            pipeline_id=query["pipelineid"],
            pipeline_version_id=str(uuid.uuid4()),
            display_name=query["name"],
            created_at=EPOCH,
            pipeline_spec={"pipeline_spec": pipeline, "platform_spec": platform},
        )
        self.versions.append(version)
        return version

    def list_experiments(self, *, query: Mapping[str, str], **_: Any) -> Any:
        self._check_namespace(query.get("namespace"))
        [wanted] = json.loads(query["filter"])["predicates"]
        assert (wanted["operation"], wanted["key"]) == (1, "display_name")
        found = [experiment for experiment in self.experiments if experiment.display_name == wanted["stringValue"]]
        return api.V2beta1ListExperimentsResponse(experiments=found or None, total_size=len(found))

    def create_experiment(self, *, data: bytes, **_: Any) -> Any:
        experiment = read(data, "V2beta1Experiment")
        self._check_namespace(experiment.namespace)
        experiment.experiment_id, experiment.created_at = str(uuid.uuid4()), EPOCH
        self.experiments.append(experiment)
        return experiment

    def create_run(self, *, data: bytes, **_: Any) -> Any:
        run = read(data, "V2beta1Run")
        if run.experiment_id not in [experiment.experiment_id for experiment in self.experiments]:
            raise RefusalError(404, "Experiment not found")
        reference = run.pipeline_version_reference
        [version] = [v for v in self.versions if v.pipeline_version_id == reference.pipeline_version_id]
        declared = version.pipeline_spec["pipeline_spec"]["root"]["inputDefinitions"]["parameters"]
        given = run.runtime_config.parameters
        if unknown := set(given) - set(declared):
            raise RefusalError(400, f"Unknown parameters {sorted(unknown)}")
        if missing := {name for name, one in declared.items() if "defaultValue" not in one} - set(given):
            raise RefusalError(400, f"parameters {sorted(missing)} have neither a default nor a value")
        run.run_id, run.created_at, run.state = str(uuid.uuid4()), EPOCH + datetime.timedelta(len(self.runs)), "PENDING"
        self.runs.append(run)
        return run

    def get_run(self, *, run_id: str, **_: Any) -> Any:
        return self.run(run_id)

    def list_runs(self, *, query: Mapping[str, str], **_: Any) -> Any:
        self._check_namespace(query.get("namespace"))
        assert query["sort_by"] == "created_at desc"
        page, token = self._page(self.runs[::-1], query)
        return api.V2beta1ListRunsResponse(runs=page or None, total_size=len(self.runs), next_page_token=token)

    def _check_namespace(self, namespace: str | None) -> None:
        if self.multi_user != bool(namespace):
            raise RefusalError(400, f"Invalid input error: namespace {namespace!r}")

    def _page(self, entries: list[Any], query: Mapping[str, str]) -> tuple[list[Any], str | None]:
        start = int(query.get("page_token") or 0)
        end = start + min(self.page_limit, int(query["page_size"]))
        return entries[start:end], str(end) if end < len(entries) else None


ID = "[0-9a-f-]{36}"
API = "/apis/v2beta1"
ROUTES: dict[tuple[str, str], Callable[..., Any]] = {
    ("GET", f"{API}/healthz"): KubeflowServer.health,
    ("GET", f"{API}/pipelines"): KubeflowServer.list_pipelines,
    ("POST", f"{API}/pipelines"): KubeflowServer.create_pipeline,
    ("GET", f"{API}/pipelines/(?P<pipeline_id>{ID})/versions"): KubeflowServer.list_versions,
    ("POST", f"{API}/pipelines/upload_version"): KubeflowServer.upload_version,
    ("GET", f"{API}/experiments"): KubeflowServer.list_experiments,
    ("POST", f"{API}/experiments"): KubeflowServer.create_experiment,
    ("GET", f"{API}/runs"): KubeflowServer.list_runs,
    ("POST", f"{API}/runs"): KubeflowServer.create_run,
    ("GET", f"{API}/runs/(?P<run_id>{ID})"): KubeflowServer.get_run,
}


def node(name: str, state: str, second: int, *, seconds: int = 30, children: tuple[str, ...] = ()) -> Any:
    """A node of the workflow, as the backend tells of it."""
    started = EPOCH + datetime.timedelta(minutes=second)
    ended = state not in ("RUNNING", "PENDING")
    return api.V2beta1PipelineTaskDetail(
        task_id=str(uuid.uuid4()),
        display_name=name,
        create_time=EPOCH,
        start_time=started,
        end_time=started + datetime.timedelta(seconds=seconds) if ended else NEVER,
        state=state,
        pod_name=f"tinytimbre-x7f2q-{name}-{second}",
        child_tasks=[api.PipelineTaskDetailChildTask(pod_name=child) for child in children],
    )


def task_nodes(name: str, state: str, second: int) -> list[Any]:
    """A driver, the group and its pod; a task that waits has only the driver, one that failed says why."""
    driver = node(f"{name}-driver", "RUNNING" if state == "PENDING" else "SUCCEEDED", second, seconds=5)
    if state == "PENDING":
        return [driver]
    pod = node("executor", "SKIPPED" if state == "CACHED" else state, second)
    group = node(name, "SUCCEEDED" if state == "CACHED" else state, second, children=(pod.pod_name,))
    if state == "FAILED":
        failure = api.GoogleRpcStatus(code=2, message="main: Error (exit code 2)")
        group.state_history = [api.V2beta1RuntimeStatus(update_time=EPOCH, state=state, error=failure)]
    return [driver, group, pod]


def uploaded(data: bytes, kind: str) -> bytes:
    """The file of a form."""
    head = f"content-type: {kind}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + data)
    [part] = message.iter_parts()
    assert part.get_param("name", header="content-disposition") == "uploadfile"
    return part.get_payload(decode=True)


@contextlib.contextmanager
def serving(server: KubeflowServer) -> Iterator[str]:
    """Listens on a free port of this machine; gives the address."""
    http_server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(server))
    thread = threading.Thread(target=http_server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    server.address = f"http://127.0.0.1:{http_server.server_port}"
    try:
        yield server.address
    finally:
        http_server.shutdown()
        thread.join()
        http_server.server_close()


def _handler(server: KubeflowServer) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def _answer(self) -> None:
            data = self.rfile.read(int(self.headers.get("content-length", 0)))
            url = urllib.parse.urlsplit(self.path)
            try:
                server.before(self.command, url.path)
                if server.cookie and self.headers.get("cookie") != server.cookie:
                    return self._send(200, "text/html", LOGIN)
                if server.token and self.headers.get("authorization") != f"Bearer {server.token}":
                    raise RefusalError(401, "Unauthenticated: the token has expired")
                query = dict(urllib.parse.parse_qsl(url.query))
                found = server.answer(self.command, url.path, query, data, self.headers.get("content-type", ""))
                server.requests.append((self.command, url.path))
                self._json(200, READER.sanitize_for_serialization(found))
            except RefusalError as refusal:
                said = {"error": refusal.message, "code": 2, "message": refusal.message, "details": []}
                self._json(refusal.status, said)

        def _json(self, status: int, value: Any) -> None:
            self._send(status, "application/json", json.dumps(value).encode())

        def _send(self, status: int, kind: str, content: bytes) -> None:
            with contextlib.suppress(ConnectionError):
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
