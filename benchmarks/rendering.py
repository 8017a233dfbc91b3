"""A decoder heard on takes, without a bundle around it: what the benchmarks of training and tuning share."""

from __future__ import annotations

import pathlib

import numpy as np

from components.quality_evaluator.evaluation import decoder_inputs
from pipelines.lineage import History
from pipelines.workspace import Workspace
from tinytimbre.config import SweepConfig
from tinytimbre.decoders import Decoder
from tinytimbre.errors import TinyTimbreError
from tinytimbre.features.examples import TakeFeatures
from tinytimbre.synthesis import synthesise


def newest_features(workspace: pathlib.Path) -> pathlib.Path:
    """The folder of the features whose extraction was finished last.

    Raises:
        TinyTimbreError: this is no workspace, or no features were extracted in it.
    """
    found = History.read(Workspace(workspace).require().metadata).latest("Features")
    if found is None:
        raise TinyTimbreError(
            "features must have been extracted in the workspace",
            got=f"none in {workspace}",
            remedy="run `tinytimbre run` to its end; `tinytimbre status` shows how far it got",
        )
    return pathlib.Path(str(found["uri"]))


def rendered(decoder: Decoder, take: TakeFeatures, *, config: SweepConfig) -> np.ndarray:
    """Float32 [frames * hop]: the take's pitch and level as the decoder plays them, in its room where it has one."""
    spec = decoder.spec
    controls = decoder(decoder_inputs(take, kind=spec.input)[np.newaxis]).numpy()[0]
    return synthesise(
        controls,
        take.f0_hz,
        harmonics=spec.harmonics,
        noise_bands=spec.noise_bands,
        hop=config.hop,
        sample_rate_hz=config.audio.sample_rate_hz,
        reverb=decoder.reverb,
    )
