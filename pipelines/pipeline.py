"""The pipeline, wired once for every runner.

    pipeline = create_pipeline(config, places=places, recordings_digest=digest, shards=1)

Successive halving is a chain of stages: per rung the shards of SweepTrainer, then a RungPromoter. Where distillation is
on, a StudentPlanner and one more such stage follow.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tfx.dsl.components.base.base_component import BaseComponent
from tfx.orchestration.data_types import RuntimeParameter
from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tfx.orchestration.pipeline import Pipeline
from tfx.types.channel import BaseChannel

from components.channels import MAX_SHARDS
from components.feature_extractor.component import FeatureExtractor
from components.model_pusher.component import ModelPusher
from components.model_selector.component import ModelSelector
from components.names import PIPELINE_NAME
from components.quality_evaluator.component import QualityEvaluator
from components.recording_example_gen.component import RecordingExampleGen
from components.rung_promoter.component import RungPromoter
from components.student_planner.component import StudentPlanner
from components.sweep_planner.component import SweepPlanner
from components.sweep_trainer.component import SweepTrainer
from components.tfjs_exporter.component import TfjsExporter
from tinytimbre.config import SweepConfig
from tinytimbre.errors import TinyTimbreError


@dataclasses.dataclass(frozen=True)
class Places:
    """Where a run reads and writes; paths that every node can reach, or parameters that a run on Kubeflow fills in.

    Attributes:
        recordings: folder with the recordings.
        root: for the components' outputs.
        trials: the trial store.
        cache: for work of other components that outlives runs.
        boards: for TensorBoard's event files.
        publish_to: where models are published.
        metadata: file of the MLMD database; None where the orchestrator keeps its own.
    """

    recordings: str | RuntimeParameter
    root: str
    trials: str
    cache: str
    boards: str
    publish_to: str | RuntimeParameter
    metadata: str | None = None


def create_pipeline(
    config: SweepConfig,
    *,
    places: Places,
    recordings_digest: str | RuntimeParameter,
    shards: int = 1,
    budget_scale: RuntimeParameter | None = None,
    browser: bool = True,
) -> Pipeline:
    """The whole way from recordings to published models.

    Args:
        config: the sweep.
        places: where everything lies.
        recordings_digest: changes when the recordings do.
        shards: nodes per rung.
        budget_scale: multiplies the steps of every rung; None where the configuration alone says how many.
        browser: whether exported models can be expected to meet a browser where they are evaluated.

    Raises:
        TinyTimbreError: `shards` is not 1 to 64.
    """
    if not 1 <= shards <= MAX_SHARDS:
        raise TinyTimbreError(f"shards must be 1 to {MAX_SHARDS}", got=str(shards))
    recordings = RecordingExampleGen(
        folder=places.recordings,
        content_digest=recordings_digest,
        cache=f"{places.cache}/recordings",
        config=config,
    )
    features = FeatureExtractor(
        recordings=recordings.outputs["recordings"], cache=f"{places.cache}/features", config=config
    )
    planner = SweepPlanner(features=features.outputs["features"], config=config, budget_scale=budget_scale)
    training = _Training(config, features.outputs["features"], places, shards=shards, budget_scale=budget_scale)
    rungs = training.rungs(planner.outputs["plan"])
    plan, finalists = planner.outputs["plan"], rungs[-1].outputs["survivors"]
    students = training.students(plan, finalists) if config.distillation.enabled else []
    if students:
        plan, finalists = students[0].outputs["plan_with_students"], students[-1].outputs["survivors"]
    tail = _evaluation(
        config,
        places=places,
        recordings=recordings,
        features=features,
        plan=plan,
        finalists=finalists,
        budget_scale=budget_scale,
        browser=browser,
    )
    metadata = sqlite_metadata_connection_config(places.metadata) if places.metadata else None
    return Pipeline(
        pipeline_name=PIPELINE_NAME,
        pipeline_root=places.root,
        components=[recordings, features, planner, *rungs, *students, *tail],
        enable_cache=True,
        metadata_connection_config=metadata,
    )


@dataclasses.dataclass(frozen=True, eq=False)
class _Training:
    """Makes the nodes that train."""

    config: SweepConfig
    features: BaseChannel
    places: Places
    shards: int
    budget_scale: RuntimeParameter | None

    def rungs(self, plan: BaseChannel) -> list[BaseComponent]:
        """Trainers and promoters of all rungs; the last one is the promoter whose survivors are the finalists."""
        nodes: list[BaseComponent] = []
        survivors: BaseChannel | None = None
        for rung in range(len(self.config.budget.rung_steps)):
            trainers = self._trainers(f"rung{rung}", plan=plan, survivors=survivors, rung=rung)
            trained = [trainer.outputs["trials"] for trainer in trainers]
            promoter = self._promoter(f"rung{rung}", plan=plan, trials=trained, rung=rung)
            survivors = promoter.outputs["survivors"]
            nodes += [*trainers, promoter]
        return nodes

    def students(self, plan: BaseChannel, finalists: BaseChannel) -> list[BaseComponent]:
        """The planner of students first, last the promoter whose survivors are finalists and students."""
        planner = StudentPlanner(plan=plan, finalists=finalists, config=self.config, budget_scale=self.budget_scale)
        extended, rung = planner.outputs["plan_with_students"], len(self.config.budget.rung_steps) - 1
        trainers = self._trainers("distil", plan=extended, survivors=planner.outputs["students"], rung=rung)
        trained = [finalists, *(trainer.outputs["trials"] for trainer in trainers)]
        return [planner, *trainers, self._promoter("distil", plan=extended, trials=trained, rung=rung)]

    def _trainers(
        self, stage: str, *, plan: BaseChannel, survivors: BaseChannel | None, rung: int
    ) -> list[BaseComponent]:
        return [
            SweepTrainer(
                features=self.features,
                plan=plan,
                survivors=survivors,
                rung=rung,
                shard=shard,
                shards=self.shards,
                store=self.places.trials,
                boards=self.places.boards,
                config=self.config,
                budget_scale=self.budget_scale,
            ).with_id(f"SweepTrainer_{stage}_shard{shard:02d}")
            for shard in range(self.shards)
        ]

    def _promoter(self, stage: str, *, plan: BaseChannel, trials: Sequence[BaseChannel], rung: int) -> BaseComponent:
        promoter = RungPromoter(plan=plan, trials=trials, rung=rung, config=self.config)
        return promoter.with_id(f"RungPromoter_{stage}")


def _evaluation(
    config: SweepConfig,
    *,
    places: Places,
    recordings: BaseComponent,
    features: BaseComponent,
    plan: BaseChannel,
    finalists: BaseChannel,
    budget_scale: RuntimeParameter | None,
    browser: bool,
) -> list[BaseComponent]:
    """From finalists to published models."""
    exporter = TfjsExporter(
        recordings=recordings.outputs["recordings"],
        features=features.outputs["features"],
        plan=plan,
        finalists=finalists,
        store=places.trials,
        config=config,
        budget_scale=budget_scale,
    )
    evaluator = QualityEvaluator(
        features=features.outputs["features"],
        plan=plan,
        models=exporter.outputs["models"],
        store=places.trials,
        cache=f"{places.cache}/evaluations",
        boards=places.boards,
        config=config,
        browser=browser,
    )
    selector = ModelSelector(
        report=evaluator.outputs["report"], recordings=recordings.outputs["recordings"], config=config
    )
    pusher = ModelPusher(
        selection=selector.outputs["selection"],
        blessing=selector.outputs["blessing"],
        models=exporter.outputs["models"],
        recordings=recordings.outputs["recordings"],
        publish_to=places.publish_to,
    )
    return [exporter, evaluator, selector, pusher]
