"""From a configuration to what Kubeflow Pipelines runs: the pipeline, and what Kubernetes gives its pods.

    compiled = compile_pipeline(config, image="registry.example.org/tinytimbre:0.1.0", shards=4)
    write_whole(path, compiled.to_yaml())

TFX compiles; what open-source Kubeflow Pipelines asks for beyond that is added here: names that Argo accepts, defaults
of parameters, retries, the number of processes per pod, the platform document.
"""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

import yaml
from kfp.pipeline_spec import pipeline_spec_pb2 as pb
from tfx.dsl.components.base.base_component import BaseComponent
from tfx.orchestration.data_types import RuntimeParameter
from tfx.orchestration.kubeflow.v2.kubeflow_v2_dag_runner import KubeflowV2DagRunner, KubeflowV2DagRunnerConfig
from tfx.orchestration.pipeline import Pipeline

from components.channels import MAX_SHARDS
from components.resources import surroundings
from components.scope import BUDGET_SCALE
from pipelines.estimate import PIPELINE_BYTES, largest_group
from pipelines.kubeflow.names import renamed
from pipelines.kubeflow.platform import platform_document
from pipelines.pipeline import Places, create_pipeline
from tinytimbre.config import TUNED_BITS, SweepConfig
from tinytimbre.errors import TinyTimbreError
from tinytimbre.kubeflow_config import KubeflowConfig, PodConfig
from tinytimbre.sweep.plan import plan_sweep

MAX_TASKS = 32
MAX_BYTES = 512 * 1024
"""Argo keeps a run in one object of etcd, 1.5 MiB at most, in which every task appears several times."""

MAX_ARGUMENT_BYTES = 96 * 1024
"""Linux passes at most 128 KiB in one argument; the launcher adds URIs and metadata to a task's parameters."""

COMMAND = ["python", "-m", "pipelines.kubeflow.entry_point"]
PUSHER = "ModelPusher"
RECORDINGS, RECORDINGS_DIGEST, PUBLISH_TO = "recordings", "recordings_digest", "publish_to"
DESCRIPTIONS = {
    RECORDINGS: "Folder with the recordings, on the volume.",
    RECORDINGS_DIGEST: "Any text that is another one once the recordings are: results of the same text are reused.",
    PUBLISH_TO: "Where models are published: a folder on the volume, or an s3://, gs:// or minio:// address.",
    BUDGET_SCALE: "Multiplies the steps of every rung.",
}
IMAGE = re.compile(
    r"(?:[a-zA-Z0-9.-]+(?::[0-9]+)?/)?[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
"""A reference of the container world: registry, path, tag, digest."""


@dataclasses.dataclass(frozen=True)
class CompiledPipeline:
    """The two documents of the file: PipelineSpec 2.1.0 and PlatformSpec, as dictionaries in proto's JSON."""

    pipeline: dict[str, Any]
    platform: dict[str, Any]

    @property
    def n_tasks(self) -> int:
        """Nodes, each at least one pod."""
        return len(self.pipeline["root"]["dag"]["tasks"])

    def to_yaml(self) -> bytes:
        """The file that `kfp` submits; the same input gives the same bytes."""
        return yaml.safe_dump_all([self.pipeline, self.platform], sort_keys=True, allow_unicode=True).encode()


def compile_pipeline(config: SweepConfig, *, image: str, shards: int) -> CompiledPipeline:
    """Compiles the pipeline of the local run for Kubeflow.

    Args:
        config: the sweep; its section ``kubeflow`` says what the pods are given.
        image: of the containers; it must hold this version of TinyTimbre.
        shards: pods per rung.

    Raises:
        TinyTimbreError: no such image name or number of shards; too many tasks, too large a configuration, no trial
            in it; training that does not fit into its pods.
    """
    check_image(image)
    pipeline = create_pipeline(
        config,
        places=_places(config.kubeflow),
        recordings_digest=RuntimeParameter(RECORDINGS_DIGEST, ptype=str),
        shards=shards,
        budget_scale=RuntimeParameter(BUDGET_SCALE, ptype=float, default=1.0),
    )
    _check_tasks(pipeline, shards=shards)
    spec = renamed(_specification(pipeline, image=image, config=config))
    platform = platform_document(list(spec["deploymentSpec"]["executors"]), config=config.kubeflow)
    compiled = CompiledPipeline(pipeline=spec, platform=platform)
    _check_size(compiled)
    _check_memory(config)
    return compiled


def check_image(image: str) -> None:
    """Whether `image` is the name of an image that stays the same.

    Raises:
        TinyTimbreError: it is no name of an image, or one without tag or digest, or ``latest``.
    """
    found = IMAGE.fullmatch(image)
    if found is None:
        raise TinyTimbreError(
            "--image must name a container image",
            got=repr(image),
            cause="upper-case letters, a space or a scheme" if image else "",
            remedy="such as registry.example.org/tinytimbre:0.1.0",
        )
    if not found["digest"] and found["tag"] in (None, "latest"):
        raise TinyTimbreError(
            "--image needs a tag of its own for every version, or a digest",
            got=image,
            cause="Kubeflow reuses results by the image's name; under a name that moves they would be stale",
            remedy="add a tag such as :0.1.0 or a digest @sha256:…",
        )


def _places(kubeflow: KubeflowConfig) -> Places:
    volume = kubeflow.mount_path
    return Places(
        recordings=RuntimeParameter(RECORDINGS, ptype=str, default=f"{volume}/recordings"),
        root="",  # the cluster's, or that of the submission
        trials=kubeflow.trial_store or f"{volume}/trials",
        cache=f"{volume}/cache",
        boards=f"{volume}/tensorboard",
        publish_to=RuntimeParameter(PUBLISH_TO, ptype=str, default=f"{volume}/models"),
    )


def _specification(pipeline: Pipeline, *, image: str, config: SweepConfig) -> dict[str, Any]:
    """What TFX compiles, in proto's JSON, and what it leaves out; names are still those of TFX."""
    pods = {component.id: _pod(component, config.kubeflow) for component in pipeline.components}
    for component in pipeline.components:
        _equip(component, pods[component.id])
    runner = KubeflowV2DagRunnerConfig(default_image=image, default_commands=COMMAND, use_pipeline_spec_2_1=True)
    spec: dict[str, Any] = KubeflowV2DagRunner(runner).run(pipeline, write_out=False)["pipelineSpec"]
    for task, body in spec["root"]["dag"]["tasks"].items():
        _complete(body, spec["deploymentSpec"]["executors"][f"{task}_executor"], pods[task], config)
    # Reused, it would leave nothing below the run's own id, where its report and models are fetched from.
    spec["root"]["dag"]["tasks"][PUSHER]["cachingOptions"]["enableCache"] = False
    _explain_parameters(spec, config.kubeflow)
    return spec


def _pod(component: BaseComponent, kubeflow: KubeflowConfig) -> PodConfig:
    """What the configuration gives to a component, which it calls by its folder."""
    pod = getattr(kubeflow.pods, type(component).__module__.split(".")[1])
    assert isinstance(pod, PodConfig)
    return pod


def _equip(component: BaseComponent, pod: PodConfig) -> None:
    """Requests equal limits: a pod that may take more than it asked for is the first to be evicted."""
    resources = pb.PipelineDeploymentConfig.PipelineContainerSpec.ResourceSpec(
        cpu_limit=pod.cpus, cpu_request=pod.cpus, memory_limit=pod.memory_gb, memory_request=pod.memory_gb
    )
    if pod.accelerator:
        resources.accelerator.type, resources.accelerator.count = pod.accelerator, pod.accelerators
    component.with_platform_config(resources)


def _complete(task: dict[str, Any], executor: dict[str, Any], pod: PodConfig, config: SweepConfig) -> None:
    """What TFX leaves out of a task and its executor.

    Within a container the processors of the whole machine are visible, so the number of processes is said. Kubeflow's
    cache keys hold the arguments of a container, not its environment.
    """
    environment = surroundings(jobs=pod.cpus, beam=config.beam)
    executor["container"]["env"] = [{"name": name, "value": value} for name, value in environment.items()]
    if config.kubeflow.retries:
        task["retryPolicy"] = {"maxRetryCount": config.kubeflow.retries, "backoffDuration": "30s", "backoffFactor": 2}


def _explain_parameters(spec: dict[str, Any], kubeflow: KubeflowConfig) -> None:
    """TFX declares the parameters of a run, but not their defaults."""
    places = _places(kubeflow)
    parameters = spec["root"]["inputDefinitions"]["parameters"]
    for place in (places.recordings, places.publish_to):
        assert isinstance(place, RuntimeParameter)
        parameters[place.name]["defaultValue"] = place.default
    parameters[BUDGET_SCALE]["defaultValue"] = 1.0
    for name, description in DESCRIPTIONS.items():
        parameters[name]["description"] = description


def _check_tasks(pipeline: Pipeline, *, shards: int) -> None:
    n_tasks = len(pipeline.components)
    if n_tasks <= MAX_TASKS:
        return
    n_trainers = sum(component.id.startswith("SweepTrainer_") for component in pipeline.components)
    stages = n_trainers // shards
    most = min(MAX_SHARDS, (MAX_TASKS - n_tasks + n_trainers) // stages)
    remedy = f"at most --shards {most}, with more kubeflow.pods.sweep_trainer.cpus each" if most else "use fewer rungs"
    raise TinyTimbreError(
        f"a run on Kubeflow has at most {MAX_TASKS} tasks",
        got=f"{n_tasks} with {shards} shards in each of {stages} stages",
        cause="Kubeflow Pipelines slows down and then fails with many tasks",
        remedy=remedy,
    )


def _check_size(compiled: CompiledPipeline) -> None:
    remedy = "say the search with search.space instead of listing it in search.include"
    for task, body in compiled.pipeline["root"]["dag"]["tasks"].items():
        n_bytes = len(json.dumps(body["inputs"], ensure_ascii=False).encode())
        if n_bytes > MAX_ARGUMENT_BYTES:
            raise TinyTimbreError(
                f"the parameters of a task must fit into {MAX_ARGUMENT_BYTES // 1024} KiB",
                got=f"{n_bytes / 1024:.0f} KiB for {task}",
                remedy=remedy,
            )
    n_bytes = len(compiled.to_yaml())
    if n_bytes > MAX_BYTES:
        raise TinyTimbreError(
            f"a compiled pipeline has at most {MAX_BYTES // 1024} KiB", got=f"{n_bytes / 1024:.0f} KiB", remedy=remedy
        )


def _check_memory(config: SweepConfig) -> None:
    """A pod that outgrows its limit is killed, again at every retry."""
    trials = plan_sweep(config, fingerprints={"any": ""}).trials  # alike for every instrument
    estimate = largest_group(trials, config=config)
    pods = {"sweep_trainer": config.kubeflow.pods.sweep_trainer}
    if not set(TUNED_BITS).isdisjoint(config.export.quantisations):
        pods["tfjs_exporter"] = config.kubeflow.pods.tfjs_exporter  # fine-tunes
    for name, pod in pods.items():
        needed_gb = (PIPELINE_BYTES + estimate.all_workers(pod.cpus)) / 1e9
        if needed_gb > pod.memory_gb:
            raise TinyTimbreError(
                "the processes of a pod must fit into its memory",
                got=f"about {needed_gb:.1f} GB for {pod.cpus} workers at {estimate.worker / 1e9:.1f} GB and the "
                f"pipeline, {pod.memory_gb:g} GB in kubeflow.pods.{name}",
                remedy="raise its memory_gb or lower its cpus",
            )
