"""A decoder heard on takes, without a bundle around it: what the benchmarks of training and tuning share."""

from __future__ import annotations

import pathlib

import numpy as np

from components.quality_evaluator.evaluation import decoder_inputs
from tinytimbre.config import SweepConfig
from tinytimbre.decoders import Decoder
from tinytimbre.features.examples import TakeFeatures
from tinytimbre.synthesis import synthesise


def newest_features(workspace: pathlib.Path) -> pathlib.Path:
    """The folder of the features that were extracted last."""
    folders = (workspace / "artifacts" / "FeatureExtractor" / "features").iterdir()
    return max(folders, key=lambda path: int(path.name))


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
