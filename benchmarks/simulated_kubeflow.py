"""Kubeflow's driver and launcher as far as a container can tell: the message it gets, where files lie, what comes back.

Every task has a file system of its own, as pods have: inputs are copied into it from the bucket before it starts,
outputs into the bucket when it has ended. Follows ``driver.go`` and ``launcher_v2.go`` of Kubeflow Pipelines: inputs
have an empty type, metadata come back with what the backend adds, outputs have URIs below the pipeline root and only
their parent folder exists.
"""

from __future__ import annotations

import json
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2 as pb

FOLDERS = {"minio": "minio", "s3": "s3", "gs": "gcs"}


class SimulatedRun:
    """One run of a compiled pipeline; tasks are started by the caller, in order.

    Args:
        compiled: the first document.
        root: for the bucket and the file systems of the pods.
        pipeline_root: such as ``minio://mlpipeline/v2/artifacts``.
        parameters: of the run; the others have their defaults.
    """

    def __init__(
        self, compiled: Mapping[str, Any], *, root: pathlib.Path, pipeline_root: str, parameters: Mapping[str, Any]
    ) -> None:
        self.spec = json_format.ParseDict(dict(compiled), pb.PipelineSpec())
        self.deployment = json_format.ParseDict(
            json_format.MessageToDict(self.spec.deployment_spec), pb.PipelineDeploymentConfig()
        )
        self.root, self.pipeline_root = root, pipeline_root
        declared = self.spec.root.input_definitions.parameters
        defaults = {name: p.default_value for name, p in declared.items() if p.HasField("default_value")}
        self.parameters = {name: json_format.MessageToDict(value) for name, value in defaults.items()} | dict(
            parameters
        )
        assert sorted(self.parameters) == sorted(declared)
        self.done: dict[str, pb.ExecutorOutput] = {}

    def pod(self, task: str) -> pathlib.Path:
        """Stands for the root of the file system of a pod."""
        return self.root / "pods" / task

    def local(self, uri: str, task: str) -> pathlib.Path:
        """Where the launcher keeps what is at `uri` in the pod of a task."""
        scheme, rest = uri.split("://")
        return self.pod(task) / FOLDERS[scheme] / rest

    def stored(self, uri: str) -> pathlib.Path:
        """Where the bucket keeps what is at `uri`."""
        return self.root / "buckets" / uri.replace("://", "/")

    def output_file(self, task: str) -> pathlib.Path:
        """Where the launcher looks for the answer."""
        return self.pod(task) / "tmp" / "kfp_outputs" / "output_metadata.json"

    def container(self, task: str) -> pb.PipelineDeploymentConfig.PipelineContainerSpec:
        """What a task runs."""
        component = self.spec.components[self.spec.root.dag.tasks[task].component_ref.name]
        return self.deployment.executors[component.executor_label].container

    def arguments(self, task: str) -> list[str]:
        """Arguments of the container, after the launcher has downloaded the inputs and made the folders."""
        message = self.message(task)
        for artifacts in message.inputs.artifacts.values():
            uri = artifacts.artifacts[0].uri
            shutil.copytree(self.stored(uri), self.local(uri, task), dirs_exist_ok=True)
        for artifacts in message.outputs.artifacts.values():
            self.local(artifacts.artifacts[0].uri, task).parent.mkdir(parents=True, exist_ok=True)
        self.output_file(task).parent.mkdir(parents=True, exist_ok=True)
        return [
            argument.replace("{{$}}", json_format.MessageToJson(message, indent=None))
            for argument in self.container(task).args
        ]

    def message(self, task: str) -> pb.ExecutorInput:
        """What the launcher tells the container."""
        spec, message = self.spec.root.dag.tasks[task], pb.ExecutorInput()
        component = self.spec.components[spec.component_ref.name]
        for name, parameter in spec.inputs.parameters.items():
            if parameter.component_input_parameter:
                value = self.parameters[parameter.component_input_parameter]
                json_format.ParseDict(value, message.inputs.parameter_values[name])
            else:
                message.inputs.parameter_values[name].CopyFrom(parameter.runtime_value.constant)
        for name, source in spec.inputs.artifacts.items():
            output = source.task_output_artifact
            made = self.done[output.producer_task].artifacts[output.output_artifact_key].artifacts[0]
            artifact = message.inputs.artifacts[name].artifacts.add(name="4711", uri=made.uri)
            artifact.type.instance_schema = ""
            artifact.metadata.CopyFrom(made.metadata)
            artifact.metadata["display_name"] = name
            artifact.metadata["store_session_info"] = json.dumps({"Provider": "minio", "Params": {"fromEnv": "true"}})
        for name, output in component.output_definitions.artifacts.items():
            artifact = message.outputs.artifacts[name].artifacts.add(uri=f"{self.pipeline_root}/{task}/{name}")
            artifact.name = name
            artifact.type.CopyFrom(output.artifact_type)
        logs = message.outputs.artifacts["executor-logs"].artifacts.add(
            uri=f"{self.pipeline_root}/{task}/executor-logs"
        )
        logs.type.schema_title = "system.Artifact"
        message.outputs.output_file = str(self.output_file(task))
        return message

    def finish(self, task: str) -> pb.ExecutorOutput:
        """Reads the answer as the launcher does and uploads the outputs; asserts that it would find them."""
        answer = json_format.Parse(self.output_file(task).read_text(), pb.ExecutorOutput())
        asked = self.message(task)
        for name, artifacts in answer.artifacts.items():
            uri = artifacts.artifacts[0].uri
            assert uri == asked.outputs.artifacts[name].artifacts[0].uri
            assert any(self.local(uri, task).iterdir())
            shutil.copytree(self.local(uri, task), self.stored(uri), dirs_exist_ok=True)
        self.done[task] = answer
        return answer
