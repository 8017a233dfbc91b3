"""Calls `tinytimbre.sweep.promote`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfx.dsl.components.base.base_executor import BaseExecutor

from components.channels import Artifacts, folder, only, shard_folders
from components.trial_results import load_results, save_results, save_survivors
from tinytimbre.config import config_from_json
from tinytimbre.errors import TinyTimbreError
from tinytimbre.sweep import RungResult, SweepPlan, promote


class Executor(BaseExecutor):
    """Shards of `Trials` → `Trials` with the survivors."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Mapping[str, Any]) -> None:  # noqa: N802
        """Merges the results and writes who goes on."""
        plan, rung = SweepPlan.load(folder(input_dict, "plan")), exec_properties["rung"]
        results = load_results(shard_folders(input_dict))
        if rung == len(plan.rungs) - 1:
            done = {result.trial_id for result in results if result.status == "done"}
            survivors = [trial.trial_id for trial in plan.trials if trial.trial_id in done]
        else:
            survivors = promote(plan, results, budget=config_from_json(exec_properties["config"]).budget)
        if not survivors:
            raise _nobody_left(results, rung=rung)
        save_results(results, folder(output_dict, "survivors"))
        save_survivors(survivors, folder(output_dict, "survivors"))
        only(output_dict, "survivors").set_int_custom_property("rung", rung)
        only(output_dict, "survivors").set_int_custom_property("n_survivors", len(survivors))


def _nobody_left(results: list[RungResult], *, rung: int) -> TinyTimbreError:
    reasons = sorted({result.reason for result in results if result.status == "failed"})
    return TinyTimbreError(
        "at least one trial must finish each rung",
        got=f"none of {len(results)} finished rung {rung}",
        cause="; ".join(reasons[:3]),
        remedy="remove the cause (a smaller training.learning_rate, less memory per trial) and run again",
    )
