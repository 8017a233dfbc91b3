"""Calls `tinytimbre.sweep.plan_students`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfx.dsl.components.base.base_executor import BaseExecutor

from components.channels import Artifacts, folder, only
from components.scope import configuration
from components.trial_results import load_results, save_results, save_survivors
from tinytimbre.sweep import SweepPlan, plan_students


class Executor(BaseExecutor):
    """`SweepPlan`, finalists → `SweepPlan`, `Trials`."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Mapping[str, Any]) -> None:  # noqa: N802
        """Writes the plan with students, and who they are."""
        results = load_results([folder(input_dict, "finalists")])
        config = configuration(exec_properties)
        plan = plan_students(SweepPlan.load(folder(input_dict, "plan")), results, config=config)
        plan.save(folder(output_dict, "plan_with_students"))
        save_results([], folder(output_dict, "students"))
        save_survivors([student.trial_id for student in plan.students], folder(output_dict, "students"))
        extended = only(output_dict, "plan_with_students")
        extended.set_int_custom_property("n_trials", len(plan.trials))
        extended.set_string_custom_property("instruments", ",".join(plan.instruments))
        only(output_dict, "students").set_int_custom_property("n_survivors", len(plan.students))
