"""RecordingExampleGen: a folder of recordings → `Recordings`."""

from __future__ import annotations

from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.executor_spec import ExecutorClassSpec
from tfx.orchestration.data_types import RuntimeParameter
from tfx.types.channel import Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.artifacts import Recordings
from components.recording_example_gen.executor import Executor
from components.scope import scoped
from components.versions import code_version
from tinytimbre.config import SweepConfig


class RecordingExampleGenSpec(ComponentSpec):
    """What the executor is given and what it makes."""

    PARAMETERS = {  # noqa: RUF012 (TFX wants plain dictionaries)
        "folder": ExecutionParameter(type=str),
        "content_digest": ExecutionParameter(type=str),
        "cache": ExecutionParameter(type=str),
        "config": ExecutionParameter(type=str),
        "code_version": ExecutionParameter(type=str),
    }
    INPUTS: dict[str, ChannelParameter] = {}  # noqa: RUF012
    OUTPUTS = {"recordings": ChannelParameter(type=Recordings)}  # noqa: RUF012


class RecordingExampleGen(BaseComponent):
    """Reads and checks every file of a folder (a subfolder per instrument, or a manifest).

    Outputs:
        recordings: `components.Recordings`.
    """

    SPEC_CLASS = RecordingExampleGenSpec
    EXECUTOR_SPEC = ExecutorClassSpec(Executor)

    def __init__(
        self, *, folder: str | RuntimeParameter, content_digest: str | RuntimeParameter, cache: str, config: SweepConfig
    ) -> None:
        """Builds the node.

        Args:
            folder: with the recordings.
            content_digest: changes when the folder's content does; the cache cannot see into folders.
            cache: directory that outlives runs; checked files are not checked again.
            config: the sweep.
        """
        super().__init__(
            RecordingExampleGenSpec(
                folder=folder,
                content_digest=content_digest,
                cache=cache,
                config=scoped(config, "instruments", "audio", "split", "features"),
                code_version=code_version(
                    "tinytimbre.audio", "tinytimbre.features", "components.recording_example_gen"
                ),
                recordings=Channel(type=Recordings),
            )
        )
