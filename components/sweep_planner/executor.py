"""Calls `tinytimbre.sweep.plan_sweep`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfx.dsl.components.base.base_executor import BaseExecutor

from components.channels import Artifacts, folder, only
from components.scope import configuration
from tinytimbre.features.artifact import load_index
from tinytimbre.sweep import plan_sweep


class Executor(BaseExecutor):
    """`Features` → `SweepPlan`."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Mapping[str, Any]) -> None:  # noqa: N802
        """Writes the plan."""
        config = configuration(exec_properties)
        plan = plan_sweep(config, fingerprints=load_index(folder(input_dict, "features")).fingerprints)
        plan.save(folder(output_dict, "plan"))
        artifact = only(output_dict, "plan")
        artifact.set_int_custom_property("n_trials", len(plan.trials))
        artifact.set_string_custom_property("instruments", ",".join(plan.instruments))
