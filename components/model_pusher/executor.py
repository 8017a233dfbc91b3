"""Calls `tinytimbre.export.publish` for every chosen model.

What was published is also in the artifact, with the report: from there a run on a cluster is fetched, whatever the
place it publishes to and whoever can reach that.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from typing import Any

from tfx.dsl.components.base.base_executor import BaseExecutor

from components.channels import Artifacts, folder, only
from components.model_pusher.publishing import FinishedSweep, publish_candidate
from components.names import PUBLISHED_MODELS, REPORT
from tinytimbre.audio.recording import RecordingSet
from tinytimbre.report.tables import SweepTables

PUBLISHED = "published.json"


class Executor(BaseExecutor):
    """`Selection`, `ModelBlessing`, `WebModels`, `Recordings` → `PushedModel`."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Mapping[str, Any]) -> None:  # noqa: N802
        """Publishes what is blessed and says where."""
        sweep = FinishedSweep(
            tables=SweepTables.load(folder(input_dict, "selection")),
            models_dir=folder(input_dict, "models"),
            recordings=RecordingSet.load(folder(input_dict, "recordings")),
        )
        chosen: dict[str, str] = {}
        if only(input_dict, "blessing").get_int_custom_property("blessed"):
            chosen = {name: verdict.chosen for name, verdict in sweep.tables.verdicts.items() if verdict.chosen}
        published = {
            instrument: publish_candidate(candidate_id, sweep=sweep, to=exec_properties["publish_to"])
            for instrument, candidate_id in sorted(chosen.items())
        }
        pushed = folder(output_dict, "pushed")
        for candidate_id in chosen.values():
            publish_candidate(candidate_id, sweep=sweep, to=str(pushed / PUBLISHED_MODELS))
        shutil.copyfile(folder(input_dict, "selection") / REPORT, pushed / REPORT)
        (pushed / PUBLISHED).write_text(json.dumps(published, indent=1))
        artifact = only(output_dict, "pushed")
        artifact.set_string_custom_property("published", json.dumps(published, sort_keys=True))
        artifact.set_string_custom_property("candidates", json.dumps(chosen, sort_keys=True))
