"""SweepTrainer: one shard of one rung; `Features`, `SweepPlan` and survivors → `Trials`."""

from __future__ import annotations

from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.executor_spec import ExecutorClassSpec
from tfx.orchestration.data_types import RuntimeParameter
from tfx.types.channel import BaseChannel, Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.artifacts import Features, SweepPlan, Trials
from components.scope import BUDGET_SCALE, scoped
from components.sweep_trainer.executor import Executor
from components.versions import code_version
from tinytimbre.config import SweepConfig

PACKAGES = ("decoders", "features", "kernels", "sweep", "synthesis", "training")


class SweepTrainerSpec(ComponentSpec):
    """What the executor is given and what it makes."""

    PARAMETERS = {  # noqa: RUF012
        "rung": ExecutionParameter(type=int),
        "shard": ExecutionParameter(type=int),
        "shards": ExecutionParameter(type=int),
        "store": ExecutionParameter(type=str),
        "boards": ExecutionParameter(type=str),
        "config": ExecutionParameter(type=str),
        BUDGET_SCALE: ExecutionParameter(type=float, optional=True),
        "code_version": ExecutionParameter(type=str),
    }
    INPUTS = {  # noqa: RUF012
        "features": ChannelParameter(type=Features),
        "plan": ChannelParameter(type=SweepPlan),
        "survivors": ChannelParameter(type=Trials, optional=True),
    }
    OUTPUTS = {"trials": ChannelParameter(type=Trials)}  # noqa: RUF012


class SweepTrainer(BaseComponent):
    """Trains every ``shards``-th trial to the end of a rung, or every such student, continuing from the trial store.

    Inputs:
        features: `components.Features`.
        plan: `components.SweepPlan`.
        survivors: `components.Trials` of the rung before, or the students; rung 0 has none and trains all.

    Outputs:
        trials: `components.Trials`.
    """

    SPEC_CLASS = SweepTrainerSpec
    EXECUTOR_SPEC = ExecutorClassSpec(Executor)

    def __init__(
        self,
        *,
        features: BaseChannel,
        plan: BaseChannel,
        survivors: BaseChannel | None,
        rung: int,
        shard: int,
        shards: int,
        store: str,
        boards: str,
        config: SweepConfig,
        budget_scale: float | RuntimeParameter | None = None,
    ) -> None:
        """Builds the node; `store` is the directory of the trial store, which outlives runs, `boards` TensorBoard's."""
        packages = [f"tinytimbre.{name}" for name in PACKAGES]
        super().__init__(
            SweepTrainerSpec(
                features=features,
                plan=plan,
                survivors=survivors,
                rung=rung,
                shard=shard,
                shards=shards,
                store=store,
                boards=boards,
                budget_scale=budget_scale,
                config=scoped(config, "seed", "audio", "features", "training", "budget"),
                code_version=code_version(*packages, "components.sweep_trainer"),
                trials=Channel(type=Trials),
            )
        )
