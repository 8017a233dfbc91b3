"""The compiled file as Kubeflow's own schema, Argo's rules and TFX's run time see it."""

from __future__ import annotations

import json
import pathlib
import re
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp.components import load_component_from_file
from kfp.pipeline_spec import pipeline_spec_pb2 as pb
from kubeflow_server import KubeflowServer, serving
from tfx.orchestration.kubeflow.v2 import compiler_utils
from tfx.utils import import_utils

from benchmarks.kubeflow import sizes
from components.resources import BEAM_VARIABLE, surroundings
from pipelines.cli import main
from pipelines.kubeflow.compiler import MAX_BYTES, MAX_TASKS, CompiledPipeline, check_image, compile_pipeline
from pipelines.kubeflow.names import renamed
from tinytimbre.config import SweepConfig, load_config
from tinytimbre.errors import TinyTimbreError
from tinytimbre.sweep.plan import plan_sweep

CONFIGS = pathlib.Path(__file__).resolve().parents[2] / "configs"
SMOKE = load_config(CONFIGS / "smoke.yaml")
IMAGE = "registry.example.org:5000/music/tinytimbre:0.1.0"
# As Argo checks the names of tasks; its paramOrArtifactNameFmt also allows underscores.
ARGO_TASK = re.compile("[a-zA-Z0-9][-a-zA-Z0-9]*")


def changed(config: SweepConfig, **sections: Any) -> SweepConfig:
    return SweepConfig.model_validate({**config.model_dump(), **sections})


def spec_of(compiled: CompiledPipeline) -> pb.PipelineSpec:
    return json_format.ParseDict(compiled.pipeline, pb.PipelineSpec())


def executors_of(compiled: CompiledPipeline) -> dict[str, pb.PipelineDeploymentConfig.ExecutorSpec]:
    deployment = json_format.ParseDict(compiled.pipeline["deploymentSpec"], pb.PipelineDeploymentConfig())
    return dict(deployment.executors)


@pytest.fixture(scope="module")
def compiled() -> CompiledPipeline:
    return compile_pipeline(SMOKE, image=IMAGE, shards=3)


def test_both_documents_parse_with_kubeflows_schema(compiled: CompiledPipeline) -> None:
    pipeline, platform = yaml.safe_load_all(compiled.to_yaml())
    spec = json_format.ParseDict(pipeline, pb.PipelineSpec())
    assert spec.schema_version == "2.1.0"
    executors = json_format.ParseDict(platform, pb.PlatformSpec()).platforms["kubernetes"].deployment_spec.executors
    assert set(executors) == set(executors_of(compiled))
    assert len(executors) == compiled.n_tasks == 3 + 2 * (3 + 1) + 4


def test_kubeflows_own_loader_takes_the_file(compiled: CompiledPipeline, tmp_path: pathlib.Path) -> None:
    """The one that its client submits with."""
    (tmp_path / "pipeline.yaml").write_bytes(compiled.to_yaml())
    loaded = load_component_from_file(str(tmp_path / "pipeline.yaml"))
    assert set(loaded.component_spec.inputs) == {"recordings", "recordings_digest", "publish_to", "budget_scale"}
    assert loaded.component_spec.inputs["budget_scale"].default == 1.0
    assert not loaded.component_spec.inputs["recordings_digest"].optional
    assert loaded.platform_spec.platforms["kubernetes"].deployment_spec.executors


def test_compiling_again_gives_the_same_bytes(compiled: CompiledPipeline) -> None:
    assert compile_pipeline(SMOKE, image=IMAGE, shards=3).to_yaml() == compiled.to_yaml()


def test_every_reference_leads_somewhere(compiled: CompiledPipeline) -> None:
    spec, executors = spec_of(compiled), executors_of(compiled)
    tasks = spec.root.dag.tasks
    assert len(spec.components) == len(executors) == len(tasks)
    for name, task in tasks.items():
        assert ARGO_TASK.fullmatch(name)
        assert task.task_info.name == name
        assert spec.components[task.component_ref.name].executor_label in executors
        assert set(task.dependent_tasks) <= set(tasks)
        for source in task.inputs.artifacts.values():
            output = source.task_output_artifact
            assert output.producer_task in task.dependent_tasks
            made = spec.components[tasks[output.producer_task].component_ref.name].output_definitions.artifacts
            assert output.output_artifact_key in made


def test_executors_and_artifact_types_are_importable(compiled: CompiledPipeline) -> None:
    for executor in executors_of(compiled).values():
        arguments = list(executor.container.args)
        import_utils.import_class_by_path(arguments[arguments.index("--executor_class_path") + 1])
    seen = set()
    for component in spec_of(compiled).components.values():
        for artifact in [
            *component.input_definitions.artifacts.values(),
            *component.output_definitions.artifacts.values(),
        ]:
            title = yaml.safe_load(artifact.artifact_type.instance_schema)["title"]
            import_utils.import_class_by_path(compiler_utils.TITLE_TO_CLASS_PATH.get(title, title))
            seen.add(title)
    assert {"components.Trials", "tfx.ModelBlessing", "tfx.PushedModel"} <= seen


def test_pods_get_what_the_configuration_says() -> None:
    trainer = {"cpus": 7, "memory_gb": 12.5, "accelerator": "nvidia.com/gpu", "accelerators": 2}
    kubeflow = {
        "pods": {"sweep_trainer": trainer, "feature_extractor": {"cpus": 3}},
        "retries": 4,
        "volume_claim": "claim",
        "mount_path": "/mnt/data",
        "secrets": [{"name": "store", "key": "id", "variable": "AWS_ACCESS_KEY_ID"}],
        "tolerations": [{"key": "gpu"}, {"key": "team", "value": "music", "effect": "NoExecute"}],
    }
    found = compile_pipeline(changed(SMOKE, kubeflow=kubeflow), image=IMAGE, shards=1)
    executors = executors_of(found)
    container = executors["exec-sweeptrainer-rung0-shard00"].container
    assert container.image == IMAGE
    assert (container.resources.cpu_limit, container.resources.memory_limit) == (7, 12.5)
    assert (container.resources.cpu_request, container.resources.memory_request) == (7, 12.5)
    assert (container.resources.accelerator.type, container.resources.accelerator.count) == ("nvidia.com/gpu", 2)
    assert {variable.name: variable.value for variable in container.env} == surroundings(jobs=7, beam=[])
    extractor = executors["exec-featureextractor"].container
    assert {variable.name: variable.value for variable in extractor.env} == surroundings(jobs=3, beam=[])
    assert not executors["exec-modelpusher"].container.resources.HasField("accelerator")
    assert {task.retry_policy.max_retry_count for task in spec_of(found).root.dag.tasks.values()} == {4}
    (pod,) = {
        json.dumps(pod) for pod in found.platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values()
    }
    assert json.loads(pod) == {
        "pvcMount": [
            {
                "constant": "claim",
                "mountPath": "/mnt/data",
                "pvcNameParameter": {"runtimeValue": {"constant": "claim"}},
            }
        ],
        "secretAsEnv": [
            {
                "secretName": "store",
                "keyToEnv": [{"secretKey": "id", "envVar": "AWS_ACCESS_KEY_ID"}],
                "optional": False,
                "secretNameParameter": {"runtimeValue": {"constant": "store"}},
            }
        ],
        "tolerations": [
            {"key": "gpu", "effect": "NoSchedule", "operator": "Exists"},
            {"key": "team", "effect": "NoExecute", "operator": "Equal", "value": "music"},
        ],
    }
    store = spec_of(found).root.dag.tasks["sweeptrainer-rung0-shard00"].inputs.parameters["store"]
    assert store.runtime_value.constant.string_value == "/mnt/data/trials"


def test_trials_may_be_in_an_object_store() -> None:
    config = changed(SMOKE, kubeflow={"trial_store": "minio://bucket/trials/"})
    found = spec_of(compile_pipeline(config, image=IMAGE, shards=1))
    tasks = ("sweeptrainer-rung0-shard00", "tfjsexporter", "qualityevaluator")
    for name in tasks:
        store = found.root.dag.tasks[name].inputs.parameters["store"]
        assert store.runtime_value.constant.string_value == "minio://bucket/trials"
    for wrong in ("bucket/trials", "s3://user:word@bucket/trials"):
        with pytest.raises(TinyTimbreError, match="object store") as caught:
            changed(SMOKE, kubeflow={"trial_store": wrong})
        assert "word" not in str(caught.value)


def test_pods_and_engine_do_not_change_what_is_cached(compiled: CompiledPipeline) -> None:
    pods = {"rung_promoter": {"cpus": 9}, "feature_extractor": {"cpus": 9}}
    flags = ["--runner=FlinkRunner", "--flink_master=flink:8081"]
    other = compile_pipeline(changed(SMOKE, kubeflow={"retries": 9, "pods": pods}, beam=flags), image=IMAGE, shards=3)
    for name, executor in executors_of(compiled).items():
        container = executors_of(other)[name].container
        assert json.loads({variable.name: variable.value for variable in container.env}[BEAM_VARIABLE]) == flags
        # Kubeflow's cache keys hold these, and not the environment.
        assert (container.command, container.args) == (executor.container.command, executor.container.args)
    for name, task in spec_of(compiled).root.dag.tasks.items():
        assert spec_of(other).root.dag.tasks[name].inputs == task.inputs
        assert task.caching_options.enable_cache == (name != "modelpusher")
        assert len(task.inputs.parameters["code_version"].runtime_value.constant.string_value) == 12


def test_one_file_serves_many_runs(compiled: CompiledPipeline) -> None:
    spec = spec_of(compiled)
    defaults = {
        name: json_format.MessageToDict(parameter.default_value) if parameter.HasField("default_value") else None
        for name, parameter in spec.root.input_definitions.parameters.items()
    }
    assert defaults == {
        "recordings": "/workspace/recordings",
        "recordings_digest": None,
        "publish_to": "/workspace/models",
        "budget_scale": 1.0,
    }
    used = [
        (name, key, parameter.component_input_parameter)
        for name, task in spec.root.dag.tasks.items()
        for key, parameter in task.inputs.parameters.items()
        if parameter.component_input_parameter
    ]
    scaled = {"sweepplanner", "tfjsexporter", *(f"sweeptrainer-rung{r}-shard0{s}" for r in (0, 1) for s in (0, 1, 2))}
    assert {name for name, key, source in used if source == "budget_scale" == key} == scaled
    assert {entry for entry in used if entry[2] != "budget_scale"} == {
        ("recordingexamplegen", "folder", "recordings"),
        ("recordingexamplegen", "content_digest", "recordings_digest"),
        ("modelpusher", "publish_to", "publish_to"),
    }


@pytest.mark.parametrize("method", ["grid", "sobol"])
def test_thousands_of_trials_compile_into_as_little(method: str, compiled: CompiledPipeline) -> None:
    space = {
        "decoder": ["gru"], "harmonics": list(range(10, 60)), "noise_bands": list(range(9, 59)),
        "input": ["loudness", "rms_energy"], "width": [8],
    }  # fmt: skip
    search = {"method": method, "trials": 5_000, "space": space}
    config = changed(SMOKE, search=search)
    assert len(plan_sweep(config, fingerprints={"reed": ""}).trials) == 5_000
    large = compile_pipeline(config, image=IMAGE, shards=3)
    assert large.n_tasks == compiled.n_tasks <= MAX_TASKS
    assert len(large.to_yaml()) < min(MAX_BYTES, len(compiled.to_yaml()) + 4_000)


def test_the_benchmark_tells_the_sizes_of_such_files(compiled: CompiledPipeline) -> None:
    rows = list(sizes(SMOKE, shards=3))
    assert [(row["trials"], row["tasks"]) for row in rows] == [(n, compiled.n_tasks) for n in (32, 243, 5_000)]
    assert max(row["bytes"] for row in rows) - min(row["bytes"] for row in rows) < 100


def test_a_configuration_that_no_argument_can_hold_is_refused() -> None:
    listed = [{"decoder": "gru", "width": 4 + number} for number in range(5_000)]
    with pytest.raises(TinyTimbreError, match="parameters of a task must fit") as caught:
        compile_pipeline(changed(SMOKE, search={"space": {"width": [8]}, "include": listed}), image=IMAGE, shards=1)
    assert "sweepplanner" in caught.value.got


def test_too_many_tasks_are_refused_with_the_number_that_is_not() -> None:
    with pytest.raises(TinyTimbreError, match="at most 32 tasks") as caught:
        compile_pipeline(SMOKE, image=IMAGE, shards=12)
    most = int(re.findall(r"--shards (\d+)", caught.value.remedy)[0])
    assert compile_pipeline(SMOKE, image=IMAGE, shards=most).n_tasks <= MAX_TASKS
    with pytest.raises(TinyTimbreError, match="at most 32 tasks"):
        compile_pipeline(SMOKE, image=IMAGE, shards=most + 1)


def test_training_that_no_pod_can_hold_is_refused_with_what_it_needs() -> None:
    def with_memory(memory_gb: float, *, pod: str) -> SweepConfig:
        return changed(SMOKE, kubeflow={"pods": {pod: {"cpus": 4, "memory_gb": memory_gb}}})

    for pod in ("sweep_trainer", "tfjs_exporter"):  # the exporter fine-tunes
        with pytest.raises(TinyTimbreError, match="must fit into its memory") as caught:
            compile_pipeline(with_memory(1.5, pod=pod), image=IMAGE, shards=1)
        assert f"kubeflow.pods.{pod}" in caught.value.got
        needed_gb = float(re.findall(r"about ([\d.]+) GB", caught.value.got)[0])
        assert compile_pipeline(with_memory(needed_gb + 0.1, pod=pod), image=IMAGE, shards=1)


def test_a_search_without_a_trial_is_refused() -> None:
    search = {"space": {"width": [512]}, "constraints": {"max_parameters": 10}}
    with pytest.raises(TinyTimbreError) as caught:
        compile_pipeline(changed(SMOKE, search=search), image=IMAGE, shards=1)
    assert "search.constraints" in caught.value.remedy


def test_names_that_would_collide_are_a_fault() -> None:
    with pytest.raises(ValueError, match="case and punctuation"):
        renamed({"root": {"dag": {"tasks": {"A_b": {}, "a-B": {}}}}, "deploymentSpec": {"executors": {}}})


@pytest.mark.parametrize(
    "image",
    ["tinytimbre:1", "localhost:5000/a/b_c:x.Y-1", "ghcr.io/a/b@sha256:" + "0" * 64, "a/b:1@sha256:" + "f" * 64],
)
def test_images_that_stay(image: str) -> None:
    check_image(image)


@pytest.mark.parametrize(
    ("image", "rule"),
    [
        ("", "must name"), ("My Image:1", "must name"), ("https://ghcr.io/a:1", "must name"), ("a/B:1", "must name"),
        ("a:1:2", "must name"), ("a@sha256:12", "must name"), ("/a:1", "must name"),
        ("ghcr.io/a/b", "tag of its own"), ("localhost:5000/a", "tag of its own"), ("a:latest", "tag of its own"),
    ],
)  # fmt: skip
def test_images_that_are_none_or_move(image: str, rule: str) -> None:
    with pytest.raises(TinyTimbreError, match=rule):
        check_image(image)


def test_the_command_writes_the_file(tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "pipeline.yaml"
    arguments = ["compile", str(CONFIGS / "smoke.yaml"), "--image", IMAGE, "--shards", "2", "--output", str(output)]
    assert main(arguments) == 0
    assert capfd.readouterr().out == f"{output}: 13 tasks, {output.stat().st_size / 1024:.0f} KiB\n"
    assert len(list(yaml.safe_load_all(output.read_text()))) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"--output": "{folder}/missing/pipeline.yaml"}, "the folder of --output must exist"),
        ({"--output": "{folder}/pipeline.json"}, "must end in .yaml"),
        ({"--image": "tinytimbre"}, "--image needs a tag"),
        ({"--shards": "0"}, "shards must be 1 to 64"),
        ({"--shards": "-3"}, "shards must be 1 to 64"),
    ],
)
def test_the_command_refuses(
    changes: dict[str, str], message: str, tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = {"--image": IMAGE, "--shards": "1", "--output": "{folder}/pipeline.yaml", **changes}
    arguments = [part.format(folder=tmp_path) for option in options.items() for part in option]
    assert main(["compile", str(CONFIGS / "smoke.yaml"), *arguments]) == 2
    assert message in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_submit_sends_what_compile_writes(compiled: CompiledPipeline, capfd: pytest.CaptureFixture[str]) -> None:
    server = KubeflowServer()
    pods = ["submit", str(CONFIGS / "smoke.yaml"), "--image", IMAGE, "--shards", "3", "--recordings-digest", "first"]
    with serving(server) as address:
        assert main([*pods, "--host", address, "--pipeline-root", "s3://bucket/runs", "--budget-scale", "0.5"]) == 0
    [version], [run] = server.versions, server.runs
    assert version.pipeline_spec == {"pipeline_spec": compiled.pipeline, "platform_spec": compiled.platform}
    assert run.runtime_config.parameters == {"recordings_digest": "first", "budget_scale": 0.5}
    assert capfd.readouterr().out == (
        f"run: {run.run_id}\npage: {address}/#/runs/details/{run.run_id}\n"
        f"next: tinytimbre status {run.run_id} --host {address}\n"
    )
