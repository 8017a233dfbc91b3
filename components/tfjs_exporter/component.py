"""TfjsExporter: finalists → `WebModels`."""

from __future__ import annotations

from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.executor_spec import ExecutorClassSpec
from tfx.orchestration.data_types import RuntimeParameter
from tfx.types.channel import BaseChannel, Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.artifacts import Features, Recordings, SweepPlan, Trials, WebModels
from components.scope import BUDGET_SCALE, scoped
from components.tfjs_exporter.executor import Executor
from components.versions import code_version
from tinytimbre.config import SweepConfig


class TfjsExporterSpec(ComponentSpec):
    """What the executor is given and what it makes."""

    PARAMETERS = {  # noqa: RUF012
        "store": ExecutionParameter(type=str),
        "config": ExecutionParameter(type=str),
        BUDGET_SCALE: ExecutionParameter(type=float, optional=True),
        "code_version": ExecutionParameter(type=str),
    }
    INPUTS = {  # noqa: RUF012
        "recordings": ChannelParameter(type=Recordings),
        "features": ChannelParameter(type=Features),
        "plan": ChannelParameter(type=SweepPlan),
        "finalists": ChannelParameter(type=Trials),
    }
    OUTPUTS = {"models": ChannelParameter(type=WebModels)}  # noqa: RUF012


class TfjsExporter(BaseComponent):
    """Exports every finalist in every quantisation, fine-tuned where it asks for that, and measures its bytes.

    Inputs:
        recordings: `components.Recordings`, for licences and attribution.
        features: `components.Features`, for the statistics of timbre transfer and for fine-tuning.
        plan: `components.SweepPlan`.
        finalists: `components.Trials` of the last rung, and of the students where there are any.

    Outputs:
        models: `components.WebModels`; what could not be fine-tuned is listed beside them with the reason.
    """

    SPEC_CLASS = TfjsExporterSpec
    EXECUTOR_SPEC = ExecutorClassSpec(Executor)

    def __init__(
        self,
        *,
        recordings: BaseChannel,
        features: BaseChannel,
        plan: BaseChannel,
        finalists: BaseChannel,
        store: str,
        config: SweepConfig,
        budget_scale: float | RuntimeParameter | None = None,
    ) -> None:
        """Builds the node; `store` is the trial store."""
        super().__init__(
            TfjsExporterSpec(
                recordings=recordings,
                features=features,
                plan=plan,
                finalists=finalists,
                store=store,
                budget_scale=budget_scale,
                config=scoped(config, "name", "seed", "audio", "features", "training", "budget", "export"),
                code_version=code_version(
                    "tinytimbre.export",
                    "tinytimbre.decoders",
                    "tinytimbre.kernels",
                    "tinytimbre.sweep.tuning",
                    "tinytimbre.synthesis",
                    "tinytimbre.training",
                    "components.tfjs_exporter",
                ),
                models=Channel(type=WebModels),
            )
        )
