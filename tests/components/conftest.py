"""One whole sweep, node by node, for all tests of the components."""

from __future__ import annotations

import pytest
from bench import SMOKE, Bench, Finished, make_recordings
from tfx.types.artifact import Artifact

from tinytimbre.config import load_config


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("bench")
    make_recordings(folder / "recordings" / "reed")
    bench = Bench(folder, load_config(SMOKE))
    made: dict[str, dict[str, Artifact]] = {}
    made["RecordingExampleGen"] = bench.run("RecordingExampleGen", {})
    made["FeatureExtractor"] = bench.run("FeatureExtractor", made["RecordingExampleGen"])
    made["SweepPlanner"] = bench.run("SweepPlanner", made["FeatureExtractor"])
    common = {**made["FeatureExtractor"], **made["SweepPlanner"]}
    survivors: dict[str, Artifact] = {}
    for rung in (0, 1):
        names = [f"SweepTrainer_rung{rung}_shard{shard:02d}" for shard in range(bench.shards)]
        made |= {name: bench.run(name, {**common, **survivors}) for name in names}
        shards = {f"trials_{shard:02d}": made[name]["trials"] for shard, name in enumerate(names)}
        survivors = made[f"RungPromoter_rung{rung}"] = bench.run(
            f"RungPromoter_rung{rung}", {"plan": common["plan"], **shards}
        )
    made["TfjsExporter"] = bench.run(
        "TfjsExporter", {**common, **made["RecordingExampleGen"], "finalists": survivors["survivors"]}
    )
    made["QualityEvaluator"] = bench.run("QualityEvaluator", {**common, **made["TfjsExporter"]})
    made["ModelSelector"] = bench.run("ModelSelector", {**made["QualityEvaluator"], **made["RecordingExampleGen"]})
    made["ModelPusher"] = bench.run(
        "ModelPusher", {**made["ModelSelector"], **made["TfjsExporter"], **made["RecordingExampleGen"]}
    )
    return Finished(bench, made)
