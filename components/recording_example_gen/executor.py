"""Calls `tinytimbre.audio.ingest`."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

from tfx.dsl.components.base.base_executor import BaseExecutor

from components.channels import Artifacts, folder, only
from components.resources import jobs
from tinytimbre.audio.ingest import ingest
from tinytimbre.config import config_from_json


class Executor(BaseExecutor):
    """A folder → `Recordings`."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Mapping[str, Any]) -> None:  # noqa: N802
        """Ingests the folder."""
        recordings = ingest(
            exec_properties["folder"],
            config=config_from_json(exec_properties["config"]),
            output=folder(output_dict, "recordings"),
            jobs=jobs(),
            cache=pathlib.Path(exec_properties["cache"]),
        )
        artifact = only(output_dict, "recordings")
        artifact.set_string_custom_property("instruments", ",".join(recordings.instruments))
        artifact.set_int_custom_property("accepted", len(recordings.accepted()))
        artifact.set_int_custom_property("rejected", len(recordings.rejected()))
