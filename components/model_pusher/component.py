"""ModelPusher: `Selection`, `ModelBlessing`, `WebModels`, `Recordings` → `PushedModel`."""

from __future__ import annotations

from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.executor_spec import ExecutorClassSpec
from tfx.orchestration.data_types import RuntimeParameter
from tfx.types.channel import BaseChannel, Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.types.standard_artifacts import ModelBlessing, PushedModel

from components.artifacts import Recordings, Selection, WebModels
from components.model_pusher.executor import Executor
from components.versions import code_version


class ModelPusherSpec(ComponentSpec):
    """What the executor is given and what it makes."""

    PARAMETERS = {  # noqa: RUF012
        "publish_to": ExecutionParameter(type=str),
        "code_version": ExecutionParameter(type=str),
    }
    INPUTS = {  # noqa: RUF012
        "selection": ChannelParameter(type=Selection),
        "blessing": ChannelParameter(type=ModelBlessing),
        "models": ChannelParameter(type=WebModels),
        "recordings": ChannelParameter(type=Recordings),
    }
    OUTPUTS = {"pushed": ChannelParameter(type=PushedModel)}  # noqa: RUF012


class ModelPusher(BaseComponent):
    """Publishes the chosen model of every instrument that has one; refuses where nothing is blessed.

    Inputs:
        selection: `components.Selection`.
        blessing: `ModelBlessing`.
        models: `components.WebModels`.
        recordings: `components.Recordings`, for the model card.

    Outputs:
        pushed: `PushedModel`: the report and a copy of what was published; custom property ``published`` is JSON:
            instrument → directory.
    """

    SPEC_CLASS = ModelPusherSpec
    EXECUTOR_SPEC = ExecutorClassSpec(Executor)

    def __init__(
        self,
        *,
        selection: BaseChannel,
        blessing: BaseChannel,
        models: BaseChannel,
        recordings: BaseChannel,
        publish_to: str | RuntimeParameter,
    ) -> None:
        """Builds the node; `publish_to` gets ``<instrument>/<version>/`` and ``index.json``."""
        super().__init__(
            ModelPusherSpec(
                selection=selection,
                blessing=blessing,
                models=models,
                recordings=recordings,
                publish_to=publish_to,
                code_version=code_version(
                    "tinytimbre.export", "tinytimbre.quality", "tinytimbre.report", "components.model_pusher"
                ),
                pushed=Channel(type=PushedModel),
            )
        )
