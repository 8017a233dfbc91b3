"""Calls `tinytimbre.quality.gates.judge` per instrument and `tinytimbre.report.html.write_report`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from tfx.dsl.components.base.base_executor import BaseExecutor

from components.channels import Artifacts, folder, only
from components.names import REPORT
from components.sweep_report import audio_clips
from tinytimbre.audio.recording import RecordingSet
from tinytimbre.config import SweepConfig, config_from_json
from tinytimbre.quality.gates import judge
from tinytimbre.quality.verdict import Verdict
from tinytimbre.report.html import write_report
from tinytimbre.report.opinion import visqol_by_candidate
from tinytimbre.report.tables import OPINION_COLUMN, SweepTables, candidates_of


class Executor(BaseExecutor):
    """`SweepReport`, `Recordings` → `Selection`, `ModelBlessing`."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Mapping[str, Any]) -> None:  # noqa: N802
        """Judges, and writes tables and page."""
        config, source = config_from_json(exec_properties["config"]), folder(input_dict, "report")
        tables = SweepTables.load(source)
        verdicts = _verdicts(tables, config=config)
        clips = [clip for verdict in verdicts.values() for clip in audio_clips(source, tables=tables, verdict=verdict)]
        output = folder(output_dict, "selection")
        opinion = tables.candidates["candidate_id"].map(visqol_by_candidate(clips)).astype(float)
        candidates = tables.candidates.assign(**{OPINION_COLUMN: opinion})
        judged = dataclasses.replace(tables, candidates=candidates, verdicts=verdicts, audio=clips)
        judged.save(output)
        recordings = RecordingSet.load(folder(input_dict, "recordings"))
        write_report(judged, output=output / REPORT, title=f"TinyTimbre: {config.name}", recordings=recordings)
        chosen = {name: verdict.chosen for name, verdict in verdicts.items() if verdict.chosen}
        only(output_dict, "selection").set_string_custom_property("chosen", json.dumps(chosen, sort_keys=True))
        blessing = only(output_dict, "blessing")
        blessing.set_int_custom_property("blessed", int(bool(chosen)))
        (folder(output_dict, "blessing") / ("BLESSED" if chosen else "NOT_BLESSED")).touch()


def _verdicts(tables: SweepTables, *, config: SweepConfig) -> dict[str, Verdict]:
    """By instrument; one without a single exported model has none."""
    candidates = {name: candidates_of(tables.candidates, instrument=name) for name in tables.instruments}
    return {
        name: judge(own, tables.clips, gates=config.gates, seed=config.seed) for name, own in candidates.items() if own
    }
