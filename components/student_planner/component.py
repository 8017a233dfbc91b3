"""StudentPlanner: `SweepPlan` and finalists → `SweepPlan` with students and `Trials` that name them."""

from __future__ import annotations

from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.executor_spec import ExecutorClassSpec
from tfx.orchestration.data_types import RuntimeParameter
from tfx.types.channel import BaseChannel, Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.artifacts import SweepPlan, Trials
from components.scope import BUDGET_SCALE, scoped
from components.student_planner.executor import Executor
from components.versions import code_version
from tinytimbre.config import SweepConfig


class StudentPlannerSpec(ComponentSpec):
    """What the executor is given and what it makes."""

    PARAMETERS = {  # noqa: RUF012
        "config": ExecutionParameter(type=str),
        BUDGET_SCALE: ExecutionParameter(type=float, optional=True),
        "code_version": ExecutionParameter(type=str),
    }
    INPUTS = {  # noqa: RUF012
        "plan": ChannelParameter(type=SweepPlan),
        "finalists": ChannelParameter(type=Trials),
    }
    OUTPUTS = {  # noqa: RUF012
        "plan_with_students": ChannelParameter(type=SweepPlan),
        "students": ChannelParameter(type=Trials),
    }


class StudentPlanner(BaseComponent):
    """Picks a teacher per instrument among the finalists, and the smaller ones that are trained once more as students.

    Inputs:
        plan: `components.SweepPlan` of the sweep.
        finalists: `components.Trials` of the last rung.

    Outputs:
        plan_with_students: `components.SweepPlan`, the same trials and the students.
        students: `components.Trials` without results; the students' ids stand where survivors do.
    """

    SPEC_CLASS = StudentPlannerSpec
    EXECUTOR_SPEC = ExecutorClassSpec(Executor)

    def __init__(
        self,
        *,
        plan: BaseChannel,
        finalists: BaseChannel,
        config: SweepConfig,
        budget_scale: float | RuntimeParameter | None = None,
    ) -> None:
        super().__init__(
            StudentPlannerSpec(
                plan=plan,
                finalists=finalists,
                budget_scale=budget_scale,
                config=scoped(config, "budget", "distillation"),
                code_version=code_version("tinytimbre.sweep", "components.student_planner", "components.trial_results"),
                plan_with_students=Channel(type=SweepPlan),
                students=Channel(type=Trials),
            )
        )
