"""Executors run by hand, on real data, each on what the one before it made."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping

import numpy as np
import soundfile
from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.types.artifact import Artifact

from pipelines.pipeline import Places, create_pipeline
from tinytimbre.config import SweepConfig

SMOKE = pathlib.Path(__file__).resolve().parents[2] / "configs" / "smoke.yaml"
RATE = 16_000
NOTES = 8


@dataclasses.dataclass
class Bench:
    """Runs single nodes of a pipeline; outputs lie in `folder`, a new directory at each run."""

    folder: pathlib.Path
    config: SweepConfig
    shards: int = 2
    runs: int = 0

    def components(self) -> dict[str, BaseComponent]:
        places = Places(
            recordings=str(self.folder / "recordings"),
            root=str(self.folder / "artifacts"),
            trials=str(self.folder / "trials"),
            cache=str(self.folder / "cache"),
            boards=str(self.folder / "tensorboard"),
            publish_to=str(self.folder / "models"),
        )
        pipeline = create_pipeline(self.config, places=places, recordings_digest="0", shards=self.shards)
        return {component.id: component for component in pipeline.components}

    def run(self, node: str, inputs: Mapping[str, Artifact]) -> dict[str, Artifact]:
        """Runs a node's executor as a launcher would: directories exist, parameters are the component's."""
        component = self.components()[node]
        self.runs += 1
        outputs = {key: channel.type() for key, channel in component.outputs.items()}
        for key, artifact in outputs.items():
            artifact.uri = str(self.folder / "artifacts" / node / key / str(self.runs))
            pathlib.Path(artifact.uri).mkdir(parents=True)
        component.executor_spec.executor_class(BaseExecutor.Context()).Do(
            {key: [artifact] for key, artifact in inputs.items()},
            {key: [artifact] for key, artifact in outputs.items()},
            dict(component.exec_properties),
        )
        return outputs


@dataclasses.dataclass(frozen=True)
class Finished:
    """A whole sweep, node by node: outputs by node."""

    bench: Bench
    outputs: dict[str, dict[str, Artifact]]

    def folder(self, node: str, key: str) -> pathlib.Path:
        return pathlib.Path(self.outputs[node][key].uri)


def make_recordings(folder: pathlib.Path) -> None:
    """Notes of one instrument: eight harmonics, an envelope, a little breath; and a file that is no audio."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for index in range(NOTES):
        time = np.arange(round((0.9 + 0.05 * index) * RATE)) / RATE
        f0_hz = 220 * 2 ** (2 * index / 12)
        tone = sum(0.8**k * np.sin(2 * np.pi * k * f0_hz * time + k) for k in range(1, 9))
        envelope = np.minimum(1, time / 0.05) * np.minimum(1, (time[-1] - time) / 0.2)
        audio = 0.15 * envelope * (tone + 0.01 * rng.standard_normal(len(time)))
        soundfile.write(folder / f"{index}.wav", audio.astype(np.float32), RATE)
    (folder / "notes.wav").write_bytes(b"not audio at all")
