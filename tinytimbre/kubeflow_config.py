"""The section ``kubeflow`` of a configuration: what its pods are given. No influence on a local run, nor on results."""

from __future__ import annotations

from typing import Literal, Self

import pydantic

from tinytimbre import ignored_settings
from tinytimbre.section import Section
from tinytimbre.storage.address import parse_address

KUBERNETES_NAME = r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$"


class PodConfig(Section):
    """What one pod of a component is given, as request and as limit; ``cpus`` is also how many processes it runs."""

    cpus: int = pydantic.Field(1, ge=1, le=256)
    memory_gb: float = pydantic.Field(4.0, gt=0, le=4_096)
    accelerator: str | None = pydantic.Field(
        None, pattern=r"^[a-z0-9.-]+/[A-Za-z0-9._-]+$", description="nvidia.com/gpu"
    )
    accelerators: int = pydantic.Field(1, ge=1)

    @pydantic.model_validator(mode="after")
    def _nothing_ignored(self) -> Self:
        ignored_settings.check_accelerators(self.accelerators, accelerator=self.accelerator)
        return self


class PodsConfig(Section):
    """The pods of every component, by the name of its folder in ``components/``."""

    recording_example_gen: PodConfig = PodConfig(cpus=2)
    feature_extractor: PodConfig = PodConfig(cpus=4, memory_gb=8)
    sweep_planner: PodConfig = PodConfig()
    sweep_trainer: PodConfig = PodConfig(cpus=4, memory_gb=8)
    rung_promoter: PodConfig = PodConfig()
    student_planner: PodConfig = PodConfig()
    tfjs_exporter: PodConfig = PodConfig(cpus=2)
    quality_evaluator: PodConfig = PodConfig(cpus=4, memory_gb=8)
    model_selector: PodConfig = PodConfig()
    model_pusher: PodConfig = PodConfig()


class SecretConfig(Section):
    """One key of a Kubernetes secret as an environment variable of every pod."""

    name: str = pydantic.Field(pattern=KUBERNETES_NAME)
    key: str = pydantic.Field(pattern=r"^[-._a-zA-Z0-9]+$")
    variable: str = pydantic.Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")


class TolerationConfig(Section):
    """A taint of nodes that every pod tolerates; without ``value`` whatever its value is."""

    key: str = pydantic.Field(min_length=1)
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] = "NoSchedule"


class KubeflowConfig(Section):
    """Where and with what the pods run."""

    volume_claim: str = pydantic.Field("tinytimbre", pattern=KUBERNETES_NAME, description="many pods must write to it")
    mount_path: str = pydantic.Field(
        "/workspace", pattern=r"^(/[A-Za-z0-9._-]+)+$", description="of the volume, in pods"
    )
    trial_store: str | None = pydantic.Field(
        None, description="address of an object store, such as s3://bucket/trials; by default on the volume"
    )
    retries: int = pydantic.Field(2, ge=0, le=10, description="of a pod that failed; trained steps are kept")
    pods: PodsConfig = PodsConfig()
    secrets: tuple[SecretConfig, ...] = ()
    tolerations: tuple[TolerationConfig, ...] = ()

    @pydantic.field_validator("trial_store")
    @classmethod
    def _check_trial_store(cls, value: str | None) -> str | None:
        """Raises what is no ValueError: pydantic would repeat the value, which may hold a password."""
        return None if value is None else str(parse_address(value))
