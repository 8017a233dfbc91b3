"""Names as Argo and Kubeflow accept them: TFX's ids hold underscores, which Argo refuses in the names of tasks."""

from __future__ import annotations

import copy
import re
from typing import Any


def task_name(node_id: str) -> str:
    """``SweepTrainer_rung0_shard00`` → ``sweeptrainer-rung0-shard00``."""
    return re.sub(r"[^a-z0-9]+", "-", node_id.lower()).strip("-")


def component_name(node_id: str) -> str:
    """As Kubeflow's own compiler names components."""
    return f"comp-{task_name(node_id)}"


def executor_name(node_id: str) -> str:
    """As Kubeflow's own compiler names executors."""
    return f"exec-{task_name(node_id)}"


def renamed(spec: dict[str, Any]) -> dict[str, Any]:
    """A PipelineSpec of TFX with every task, component and executor renamed.

    Args:
        spec: in proto's JSON; a task and its component are called alike, the executor ``<task>_executor``.

    Raises:
        ValueError: two nodes would get the same name.
    """
    result = copy.deepcopy(spec)
    tasks = result["root"]["dag"]["tasks"]
    if len({task_name(node_id) for node_id in tasks}) < len(tasks):
        raise ValueError(f"two of {sorted(tasks)} differ in case and punctuation only")
    executors = result["deploymentSpec"]["executors"]
    result["root"]["dag"]["tasks"] = {task_name(node_id): _task(node_id, task) for node_id, task in tasks.items()}
    result["components"] = {
        component_name(node_id): {**component, "executorLabel": executor_name(node_id)}
        for node_id, component in result["components"].items()
    }
    result["deploymentSpec"]["executors"] = {
        executor_name(label.removesuffix("_executor")): executor for label, executor in executors.items()
    }
    return result


def _task(node_id: str, task: dict[str, Any]) -> dict[str, Any]:
    """Kubeflow's driver finds the outputs of a task by the name in its ``taskInfo``."""
    task["taskInfo"]["name"] = task_name(node_id)
    task["componentRef"]["name"] = component_name(node_id)
    if "dependentTasks" in task:
        task["dependentTasks"] = [task_name(other) for other in task["dependentTasks"]]
    for source in task["inputs"].get("artifacts", {}).values():
        output = source["taskOutputArtifact"]
        output["producerTask"] = task_name(output["producerTask"])
    return task
