"""RungPromoter: the shards of a rung → `Trials` with the survivors."""

from __future__ import annotations

from collections.abc import Sequence

from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.executor_spec import ExecutorClassSpec
from tfx.types.channel import BaseChannel, Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.artifacts import SweepPlan, Trials
from components.channels import MAX_MERGED, shard_key
from components.rung_promoter.executor import Executor
from components.scope import scoped
from components.versions import code_version
from tinytimbre.config import SweepConfig


class RungPromoterSpec(ComponentSpec):
    """What the executor is given and what it makes; TFX has no variable number of inputs, hence the optional ones."""

    PARAMETERS = {  # noqa: RUF012
        "rung": ExecutionParameter(type=int),
        "config": ExecutionParameter(type=str),
        "code_version": ExecutionParameter(type=str),
    }
    INPUTS = {  # noqa: RUF012
        "plan": ChannelParameter(type=SweepPlan),
        **{shard_key(shard): ChannelParameter(type=Trials, optional=True) for shard in range(MAX_MERGED)},
    }
    OUTPUTS = {"survivors": ChannelParameter(type=Trials)}  # noqa: RUF012


class RungPromoter(BaseComponent):
    """Merges the shards of a rung and keeps the best of every size stratum; after the last rung, all that finished.

    Inputs:
        plan: `components.SweepPlan`.
        trials_00 … trials_64: `components.Trials` of the shards; where students were trained, of the finalists too.

    Outputs:
        survivors: `components.Trials`.
    """

    SPEC_CLASS = RungPromoterSpec
    EXECUTOR_SPEC = ExecutorClassSpec(Executor)

    def __init__(self, *, plan: BaseChannel, trials: Sequence[BaseChannel], rung: int, config: SweepConfig) -> None:
        super().__init__(
            RungPromoterSpec(
                plan=plan,
                rung=rung,
                config=scoped(config, "budget"),
                code_version=code_version("tinytimbre.sweep", "components.rung_promoter", "components.trial_results"),
                survivors=Channel(type=Trials),
                **{shard_key(shard): channel for shard, channel in enumerate(trials)},
            )
        )
