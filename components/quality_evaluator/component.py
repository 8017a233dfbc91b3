"""QualityEvaluator: `WebModels` on held-out takes → `SweepReport`."""

from __future__ import annotations

from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.executor_spec import ExecutorClassSpec
from tfx.types.channel import BaseChannel, Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.artifacts import Features, SweepPlan, SweepReport, WebModels
from components.quality_evaluator.executor import Executor
from components.scope import scoped
from components.versions import code_version
from tinytimbre.config import SweepConfig
from tinytimbre.export.node import reader_files
from tinytimbre.validation.bundles import player_files

# Of quality what measures; what decides may change without measuring anew.
PACKAGES = (
    "audio",
    "decoders",
    "export",
    "features",
    "kernels",
    "quality.baseline",
    "quality.evaluate",
    "quality.metrics",
    "quality.sanity",
    "quality.verdict",
    "quality.voice",
    "synthesis",
    "transfer",
)
TABLES = (
    "tinytimbre.report.tables",
    "tinytimbre.report.tensorboard",
    "tinytimbre.sweep.plan",
    "tinytimbre.sweep.store",
    "components.sweep_report",
    "components.web_models",
)


class QualityEvaluatorSpec(ComponentSpec):
    """What the executor is given and what it makes."""

    PARAMETERS = {  # noqa: RUF012
        "store": ExecutionParameter(type=str),
        "cache": ExecutionParameter(type=str),
        "boards": ExecutionParameter(type=str),
        "config": ExecutionParameter(type=str),
        "code_version": ExecutionParameter(type=str),
        "tables_version": ExecutionParameter(type=str),
        "validation_version": ExecutionParameter(type=str),
        "browser": ExecutionParameter(type=int),
    }
    INPUTS = {  # noqa: RUF012
        "features": ChannelParameter(type=Features),
        "plan": ChannelParameter(type=SweepPlan),
        "models": ChannelParameter(type=WebModels),
    }
    OUTPUTS = {"report": ChannelParameter(type=SweepReport)}  # noqa: RUF012


class QualityEvaluator(BaseComponent):
    """Runs the exported bundles in TensorFlow.js on validation and test takes and measures what comes out.

    Each is then validated in headless Chromium, or in Node where there is none.

    Inputs:
        features: `components.Features`.
        plan: `components.SweepPlan`.
        models: `components.WebModels`.

    Outputs:
        report: `components.SweepReport`: tables without verdicts, and renderings to listen to.
    """

    SPEC_CLASS = QualityEvaluatorSpec
    EXECUTOR_SPEC = ExecutorClassSpec(Executor)

    def __init__(
        self,
        *,
        features: BaseChannel,
        plan: BaseChannel,
        models: BaseChannel,
        store: str,
        cache: str,
        boards: str,
        config: SweepConfig,
        browser: bool,
    ) -> None:
        """Builds the node.

        Args:
            features: see above.
            plan: see above.
            models: see above.
            store: the trial store.
            cache: keeps evaluations of single models across runs.
            boards: where TensorBoard looks.
            config: of the sweep.
            browser: whether a browser is expected where the node runs. It looks for itself; but with one that came
                since the last run, TFX's cache must not serve.
        """
        packages = [f"tinytimbre.{name}" for name in PACKAGES]
        super().__init__(
            QualityEvaluatorSpec(
                features=features,
                plan=plan,
                models=models,
                store=store,
                cache=cache,
                boards=boards,
                config=scoped(config, "audio", "features"),
                code_version=code_version(*packages, "components.quality_evaluator", files=reader_files()),
                # Apart, because evaluations are kept by the version of what measures.
                tables_version=code_version(*TABLES),
                # Apart too, and kept by it.
                validation_version=code_version("tinytimbre.validation", *packages, files=player_files()),
                browser=int(browser),
                report=Channel(type=SweepReport),
            )
        )
