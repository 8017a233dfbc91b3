"""ModelSelector: `SweepReport`, `Recordings` → `Selection` and `ModelBlessing`."""

from __future__ import annotations

from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.executor_spec import ExecutorClassSpec
from tfx.types.channel import BaseChannel, Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.types.standard_artifacts import ModelBlessing

from components.artifacts import Recordings, Selection, SweepReport
from components.model_selector.executor import Executor
from components.scope import scoped
from components.versions import code_version
from tinytimbre.config import SweepConfig


class ModelSelectorSpec(ComponentSpec):
    """What the executor is given and what it makes."""

    PARAMETERS = {  # noqa: RUF012
        "config": ExecutionParameter(type=str),
        "code_version": ExecutionParameter(type=str),
    }
    INPUTS = {  # noqa: RUF012
        "report": ChannelParameter(type=SweepReport),
        "recordings": ChannelParameter(type=Recordings),
    }
    OUTPUTS = {  # noqa: RUF012
        "selection": ChannelParameter(type=Selection),
        "blessing": ChannelParameter(type=ModelBlessing),
    }


class ModelSelector(BaseComponent):
    """Chooses, per instrument, the smallest model that passes every gate, or none; writes the report.

    Inputs:
        report: `components.SweepReport`.
        recordings: `components.Recordings`, for the report to say what was left out.

    Outputs:
        selection: `components.Selection`: the tables with verdicts and sounds, and ``report.html``.
        blessing: `ModelBlessing`; its custom property ``blessed`` is 1 where at least one instrument has a model.
    """

    SPEC_CLASS = ModelSelectorSpec
    EXECUTOR_SPEC = ExecutorClassSpec(Executor)

    def __init__(self, *, report: BaseChannel, recordings: BaseChannel, config: SweepConfig) -> None:
        super().__init__(
            ModelSelectorSpec(
                report=report,
                recordings=recordings,
                config=scoped(config, "name", "seed", "gates"),
                code_version=code_version(
                    "tinytimbre.quality",
                    "tinytimbre.report",
                    "tinytimbre.sweep.agreement",
                    "components.model_selector",
                    "components.sweep_report",
                ),
                selection=Channel(type=Selection),
                blessing=Channel(type=ModelBlessing),
            )
        )
