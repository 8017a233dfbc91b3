"""FeatureExtractor: `Recordings` → `Features`, through Beam."""

from __future__ import annotations

from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.executor_spec import ExecutorClassSpec
from tfx.types.channel import BaseChannel, Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.artifacts import Features, Recordings
from components.feature_extractor.executor import Executor
from components.scope import scoped
from components.versions import code_version
from tinytimbre.config import SweepConfig


class FeatureExtractorSpec(ComponentSpec):
    """What the executor is given and what it makes."""

    PARAMETERS = {  # noqa: RUF012
        "cache": ExecutionParameter(type=str),
        "config": ExecutionParameter(type=str),
        "code_version": ExecutionParameter(type=str),
    }
    INPUTS = {"recordings": ChannelParameter(type=Recordings)}  # noqa: RUF012
    OUTPUTS = {"features": ChannelParameter(type=Features)}  # noqa: RUF012


class FeatureExtractor(BaseComponent):
    """Extracts the control features of every accepted recording, in parallel over recordings.

    Inputs:
        recordings: `components.Recordings`.

    Outputs:
        features: `components.Features`.
    """

    SPEC_CLASS = FeatureExtractorSpec
    EXECUTOR_SPEC = ExecutorClassSpec(Executor)

    def __init__(self, *, recordings: BaseChannel, cache: str, config: SweepConfig) -> None:
        """Builds the node; `cache` is a directory that all workers of the Beam engine reach; it outlives runs."""
        super().__init__(
            FeatureExtractorSpec(
                recordings=recordings,
                cache=cache,
                config=scoped(config, "audio", "features"),
                code_version=code_version("tinytimbre.features", "components.feature_extractor"),
                features=Channel(type=Features),
            )
        )
