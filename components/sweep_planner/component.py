"""SweepPlanner: `Features` → `SweepPlan`."""

from __future__ import annotations

from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.executor_spec import ExecutorClassSpec
from tfx.orchestration.data_types import RuntimeParameter
from tfx.types.channel import BaseChannel, Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.artifacts import Features, SweepPlan
from components.scope import BUDGET_SCALE, scoped
from components.sweep_planner.executor import Executor
from components.versions import code_version
from tinytimbre.config import SweepConfig


class SweepPlannerSpec(ComponentSpec):
    """What the executor is given and what it makes."""

    PARAMETERS = {  # noqa: RUF012
        "config": ExecutionParameter(type=str),
        BUDGET_SCALE: ExecutionParameter(type=float, optional=True),
        "code_version": ExecutionParameter(type=str),
    }
    INPUTS = {"features": ChannelParameter(type=Features)}  # noqa: RUF012
    OUTPUTS = {"plan": ChannelParameter(type=SweepPlan)}  # noqa: RUF012


class SweepPlanner(BaseComponent):
    """Expands the search space into trials with content-addressed ids, sizes and strata.

    Inputs:
        features: `components.Features`; their fingerprints are part of the trials' ids.

    Outputs:
        plan: `components.SweepPlan`.
    """

    SPEC_CLASS = SweepPlannerSpec
    EXECUTOR_SPEC = ExecutorClassSpec(Executor)

    def __init__(
        self, *, features: BaseChannel, config: SweepConfig, budget_scale: float | RuntimeParameter | None = None
    ) -> None:
        super().__init__(
            SweepPlannerSpec(
                features=features,
                budget_scale=budget_scale,
                config=scoped(config, "name", "seed", "audio", "features", "search", "training", "budget"),
                code_version=code_version("tinytimbre.sweep", "tinytimbre.decoders", "components.sweep_planner"),
                plan=Channel(type=SweepPlan),
            )
        )
