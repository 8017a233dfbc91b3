"""The contracts as TFX sees them."""

from __future__ import annotations

import pathlib
import re

import pytest
from tfx.dsl.compiler import compiler
from tfx.orchestration.pipeline import Pipeline
from tfx.utils import import_utils

import components
from pipelines.pipeline import Places, create_pipeline
from tinytimbre.config import SweepConfig, load_config
from tinytimbre.errors import TinyTimbreError

SMOKE = pathlib.Path(__file__).resolve().parents[2] / "configs" / "smoke.yaml"


def _pipeline(*, shards: int = 1, config: SweepConfig | None = None) -> Pipeline:
    places = Places(
        recordings="/r", root="/a", trials="/t", cache="/c", boards="/b", publish_to="/p", metadata="/m.sqlite"
    )
    return create_pipeline(config or load_config(SMOKE), places=places, recordings_digest="0", shards=shards)


@pytest.mark.parametrize("name", components.__all__)
def test_artifact_types_are_importable_by_their_name(name: str) -> None:
    kind = getattr(components, name)
    assert import_utils.import_class_by_path(kind.TYPE_NAME) is kind
    # Kubeflow's compiler wants this pattern, and no declared properties.
    assert re.match(r"^[a-z][a-z0-9-_]{2,20}[.][A-Z]", kind.TYPE_NAME)
    assert not kind.PROPERTIES


def test_an_unknown_type_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Recording"):
        _ = components.Recording


def test_the_pipeline_compiles_and_every_executor_is_importable() -> None:
    compiled = compiler.Compiler().compile(_pipeline())
    ids = [node.pipeline_node.node_info.id for node in compiled.nodes]
    assert ids[:3] == ["RecordingExampleGen", "FeatureExtractor", "SweepPlanner"]
    assert ids[-4:] == ["TfjsExporter", "QualityEvaluator", "ModelSelector", "ModelPusher"]
    for component in _pipeline().components:
        import_utils.import_class_by_path(component.executor_spec.class_path)


def test_a_rung_is_as_wide_as_its_shards() -> None:
    ids = [component.id for component in _pipeline(shards=3).components]
    assert sum(name.startswith("SweepTrainer_rung1_") for name in ids) == 3
    promoter = next(c for c in _pipeline(shards=3).components if c.id == "RungPromoter_rung0")
    assert [key for key in promoter.inputs if key.startswith("trials_")] == ["trials_00", "trials_01", "trials_02"]


@pytest.mark.parametrize("shards", [0, 65])
def test_more_shards_than_inputs_are_refused(shards: int) -> None:
    with pytest.raises(TinyTimbreError, match="shards must be 1 to 64"):
        _pipeline(shards=shards)


def test_parameters_change_only_where_a_section_matters() -> None:
    config = load_config(SMOKE)
    looser = config.model_copy(update={"gates": config.gates.model_copy(update={"loudness_db": 9.0})})
    before, after = _parameters(_pipeline(config=config)), _parameters(_pipeline(config=looser))
    assert [name for name in before if before[name] != after[name]] == ["ModelSelector"]


def _parameters(pipeline: Pipeline) -> dict[str, dict[str, object]]:
    return {component.id: dict(component.exec_properties) for component in pipeline.components}
