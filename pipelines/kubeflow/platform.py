"""The second document of a compiled pipeline: what Kubernetes gives every pod beyond what a pipeline can say.

Field names are those of ``KubernetesExecutorConfig`` in Kubeflow Pipelines' ``kubernetes_executor_config.proto``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinytimbre.kubeflow_config import KubeflowConfig, SecretConfig, TolerationConfig


def platform_document(executors: Sequence[str], *, config: KubeflowConfig) -> dict[str, Any]:
    """A PlatformSpec in proto's JSON that gives every executor the volume, the secrets and the tolerations."""
    return {
        "platforms": {"kubernetes": {"deploymentSpec": {"executors": {name: _executor(config) for name in executors}}}}
    }


def _executor(config: KubeflowConfig) -> dict[str, Any]:
    executor: dict[str, Any] = {"pvcMount": [_volume(config)]}
    if config.secrets:
        executor["secretAsEnv"] = [_secret(secret) for secret in config.secrets]
    if config.tolerations:
        executor["tolerations"] = [_toleration(toleration) for toleration in config.tolerations]
    return executor


def _volume(config: KubeflowConfig) -> dict[str, Any]:
    """Names the claim twice: older backends read ``constant``, which newer ones keep as deprecated."""
    return {"constant": config.volume_claim, "mountPath": config.mount_path, **_name("pvc", config.volume_claim)}


def _secret(secret: SecretConfig) -> dict[str, Any]:
    variables = [{"secretKey": secret.key, "envVar": secret.variable}]
    return {"secretName": secret.name, "keyToEnv": variables, "optional": False, **_name("secret", secret.name)}


def _toleration(toleration: TolerationConfig) -> dict[str, Any]:
    found = {"key": toleration.key, "effect": toleration.effect}
    if toleration.value is None:
        return {**found, "operator": "Exists"}
    return {**found, "operator": "Equal", "value": toleration.value}


def _name(kind: str, value: str) -> dict[str, Any]:
    return {f"{kind}NameParameter": {"runtimeValue": {"constant": value}}}
