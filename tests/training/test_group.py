"""Models side by side: none depends on who is trained beside it, not even by rounding."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import tensorflow as tf

from tinytimbre.config import TrainingConfig
from tinytimbre.decoders import DecoderSpec, InputRange
from tinytimbre.features.examples import TakeFeatures
from tinytimbre.sweep.worker import keep_graphs
from tinytimbre.synthesis.batched import ClipShape
from tinytimbre.training.clips import ClipPool
from tinytimbre.training.group import ModelGroup

SPECS = (
    DecoderSpec(kind="gru", input="loudness", harmonics=20, noise_bands=9, width=8),
    DecoderSpec(kind="cnn", input="rms_energy", harmonics=45, noise_bands=33, width=6, depth=2),
    DecoderSpec(kind="gru", input="loudness", harmonics=30, noise_bands=9, width=40, depth=1),
)


@pytest.fixture(scope="module")
def pool() -> ClipPool:
    rng, frames, hop = np.random.default_rng(0), 200, 320
    level_db = np.linspace(-40, -10, frames).astype(np.float32)
    take = TakeFeatures(
        recording_id="r", take_id="t", instrument="i", audio=0.1 * rng.normal(size=frames * hop).astype(np.float32),
        f0_hz=np.geomspace(200, 600, frames).astype(np.float32), f0_confidence=np.ones(frames, np.float32),
        loudness_db=level_db, rms_energy_db=level_db,
    )  # fmt: skip
    return ClipPool([take], shape=ClipShape(clips=3, frames=20, hop=hop, sample_rate_hz=16_000), warmup_frames=5)


def trained(pool: ClipPool, indices: list[int]) -> dict[int, tuple[np.ndarray, dict[str, np.ndarray]]]:
    group = ModelGroup(
        [SPECS[i] for i in indices], seeds=indices, input_ranges=[InputRange()] * len(indices),
        learning_rates=[3e-3] * len(indices), total_steps=10,
        shape=pool.shape, config=TrainingConfig(fft_sizes=(512, 64)),
    )  # fmt: skip
    losses = np.array([group.train_step(pool.training_batch(seed=0, step=step), step=step) for step in range(3)])
    return {i: (losses[:, at], group.optimisers[at].averaged_weights()) for at, i in enumerate(indices)}


@pytest.fixture
def graphs_as_in_workers() -> Iterator[None]:
    options = tf.config.optimizer.get_experimental_options()
    keep_graphs()
    yield
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False, **options})


@pytest.mark.usefixtures("graphs_as_in_workers")
def test_company_changes_nothing(pool: ClipPool) -> None:
    alone = {index: trained(pool, [index])[index] for index in range(3)}
    for company in ([0, 1, 2], [2, 0], [1, 2]):
        for index, (losses, weights) in trained(pool, company).items():
            np.testing.assert_array_equal(losses, alone[index][0])
            for name, values in weights.items():
                np.testing.assert_array_equal(values, alone[index][1][name])


def test_training_lowers_the_loss(pool: ClipPool) -> None:
    group = ModelGroup(
        SPECS, seeds=[0, 0, 0], input_ranges=[InputRange()] * 3, learning_rates=[1e-2] * 3, total_steps=60,
        shape=pool.shape, config=TrainingConfig(fft_sizes=(512, 64)),
    )  # fmt: skip
    validation = pool.validation_batches(max_batches=1)
    before = group.validation_losses(validation)
    for step in range(30):
        group.train_step(pool.training_batch(seed=0, step=step), step=step)
    # Noise at a rising level is easy to imitate: the level alone, wrong by 20 dB at first, is worth a third.
    assert np.all(group.validation_losses(validation) < 0.67 * before)
