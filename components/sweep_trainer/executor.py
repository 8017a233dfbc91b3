"""Calls `tinytimbre.sweep.train_rung` and writes its scalars for TensorBoard."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

from tfx.dsl.components.base.base_executor import BaseExecutor

from components.channels import Artifacts, folder, only, optional_folder
from components.resources import jobs
from components.scope import configuration
from components.trial_results import load_survivors, save_results
from tinytimbre.report.tensorboard import write_rung
from tinytimbre.sweep import SweepPlan, TrialStore, train_rung


class Executor(BaseExecutor):
    """`Features`, `SweepPlan`, survivors → `Trials`."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Mapping[str, Any]) -> None:  # noqa: N802
        """Trains the shard's trials and writes their results."""
        plan = SweepPlan.load(folder(input_dict, "plan"))
        before = optional_folder(input_dict, "survivors")
        trial_ids = load_survivors(before) if before else [trial.trial_id for trial in plan.trials]
        own, rung = trial_ids[exec_properties["shard"] :: exec_properties["shards"]], exec_properties["rung"]
        store = TrialStore(exec_properties["store"])
        results = train_rung(
            plan,
            trial_ids=own,
            rung=rung,
            features_dir=str(folder(input_dict, "features")),
            store=store,
            config=configuration(exec_properties),
            jobs=jobs(),
        )
        write_rung(plan, trial_ids=own, rung=rung, store=store, folder=pathlib.Path(exec_properties["boards"]))
        save_results(results, folder(output_dict, "trials"))
        artifact = only(output_dict, "trials")
        artifact.set_int_custom_property("rung", rung)
        for status in ("done", "failed"):
            artifact.set_int_custom_property(f"n_{status}", sum(result.status == status for result in results))
