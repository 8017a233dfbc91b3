"""Both synthesisers against ddsp's own processors, and against each other."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tinytimbre.ddsp_door import import_ddsp
from tinytimbre.synthesis import Synthesiser, batched, noise, oscillators, synthesise

SAMPLE_RATE_HZ = 16_000


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20)


def random_controls(rng: np.random.Generator, *, frames: int, harmonics: int, bands: int) -> np.ndarray:
    """Controls as exp_sigmoid gives them: positive, spread over decades."""
    values = 10.0 ** rng.uniform(-4, -0.5, size=(frames, 1 + harmonics + bands))
    return values.astype(np.float32)


def ddsp_harmonic(controls: np.ndarray, f0_hz: np.ndarray, *, harmonics: int, samples: int) -> np.ndarray:
    synth = import_ddsp().synths.Harmonic(
        n_samples=samples, sample_rate=SAMPLE_RATE_HZ, scale_fn=None, use_angular_cumsum=True
    )
    amplitude, distribution = controls[None, :, :1], controls[None, :, 1 : 1 + harmonics]
    return synth(amplitude, distribution, f0_hz[None, :, None])[0].numpy()


@pytest.mark.parametrize(("hop", "harmonics"), [(320, 60), (256, 31), (160, 60), (64, 100)])
def test_harmonics_equal_ddsp(rng: np.random.Generator, hop: int, harmonics: int) -> None:
    frames = 8_000 // hop
    f0_hz = np.geomspace(180, 900, frames).astype(np.float32)
    controls = random_controls(rng, frames=frames, harmonics=harmonics, bands=9)
    controls[:, 1 + harmonics :] = 0.0
    ours = synthesise(controls, f0_hz, harmonics=harmonics, noise_bands=9, hop=hop, sample_rate_hz=SAMPLE_RATE_HZ)
    theirs = ddsp_harmonic(controls, f0_hz, harmonics=harmonics, samples=frames * hop)
    # ddsp accumulates phase in float32 over chunks of 1,000 samples: an error of about 1e-5 cycles at the fundamental,
    # up to 100 times that at the top harmonic; 3e-3 of the peak bounds it with room for the sum.
    assert np.abs(ours - theirs).max() < 3e-3 * np.abs(theirs).max()


def test_noise_equals_ddsp(rng: np.random.Generator) -> None:
    bands, hop, frames = 65, 320, 25
    magnitudes = (10.0 ** rng.uniform(-3, 0, size=(frames, bands))).astype(np.float32)
    white = noise.white_noise(3, first_frame=0, frames=frames, hop=hop)
    theirs = import_ddsp().core.frequency_filter(white.reshape(1, -1), magnitudes[None], window_size=0)[0].numpy()
    controls = np.concatenate([np.zeros((frames, 2), np.float32), magnitudes], axis=1)
    f0_hz = np.full(frames, 200.0, np.float32)
    ours = synthesise(
        controls, f0_hz, harmonics=1, noise_bands=bands, hop=hop, sample_rate_hz=SAMPLE_RATE_HZ, noise_seed=3
    )
    # Same algorithm in float64 here and float32 there: rounding of a 512-point transform, well under 1e-5 of the peak.
    assert np.abs(ours - theirs).max() < 1e-5 * np.abs(theirs).max()


@pytest.mark.parametrize("blocks", [[1] * 40, [7, 13, 20], [40]])
def test_blocks_leave_no_seam(rng: np.random.Generator, blocks: list[int]) -> None:
    settings = {"harmonics": 20, "noise_bands": 17, "hop": 64, "sample_rate_hz": SAMPLE_RATE_HZ, "noise_seed": 1}
    controls = random_controls(rng, frames=40, harmonics=20, bands=17)
    f0_hz = rng.uniform(100, 800, 40).astype(np.float32)
    synthesiser = Synthesiser(**settings)
    parts = [
        synthesiser.render(controls[start : start + count], f0_hz[start : start + count])
        for start, count in zip(np.cumsum([0, *blocks[:-1]]), blocks, strict=True)
    ]
    whole = synthesise(controls, f0_hz, **settings)
    assert len(whole) == 40 * 64
    # float64 inside, so only the phase's modulo may differ in its last bits before rounding to float32.
    np.testing.assert_allclose(np.concatenate([*parts, synthesiser.flush()]), whole, atol=1e-6)


def test_batched_equals_streaming(rng: np.random.Generator) -> None:
    shape = batched.ClipShape(clips=3, frames=20, hop=320, sample_rate_hz=SAMPLE_RATE_HZ)
    sizes = [(24, 9), (60, 65)]
    f0_hz = np.geomspace(300, 700, 20).astype(np.float32)
    f0_samples = oscillators.upsample_f0(f0_hz, hop=320)
    cycles = oscillators.accumulate_cycles(f0_samples, sample_rate_hz=SAMPLE_RATE_HZ)
    phases = [tf.constant(np.tile(values, (3, 1)), tf.float32) for values in (cycles, f0_samples)]
    white = noise.white_noise(0, first_frame=0, frames=20, hop=320)
    bank = batched.NoiseBank([bands for _, bands in sizes], shape=shape)
    controls = [random_controls(rng, frames=20, harmonics=h, bands=n) for h, n in sizes]
    filtered = bank.audio(
        [tf.constant(np.tile(c[:, -n:], (3, 1, 1))) for c, (_, n) in zip(controls, sizes, strict=True)],
        tf.constant(np.tile(white, (3, 1, 1))),
    )
    for index, (values, (harmonics, bands)) in enumerate(zip(controls, sizes, strict=True)):
        sound = batched.sound_controls(
            tf.constant(np.tile(values, (1, 3, 1, 1))),
            tf.constant(f0_hz),
            harmonics=harmonics,
            sample_rate_hz=SAMPLE_RATE_HZ,
        )
        audio = batched.harmonic_audio(sound.amplitudes, *phases, shape=shape)[0] + filtered[index]
        expected = synthesise(
            values, f0_hz, harmonics=harmonics, noise_bands=bands, hop=320, sample_rate_hz=SAMPLE_RATE_HZ
        )
        # float32 sines of a phase up to 60 * 2 pi carry errors of 377 * 6e-8 = 2e-5 each.
        np.testing.assert_allclose(audio.numpy(), np.tile(expected, (3, 1)), atol=1e-4 * np.abs(expected).max())


def test_phase_stays_exact_for_an_hour() -> None:
    """One hour at a frequency that is a whole number of cycles a second ends where it began."""
    cycles = 0.0
    for _ in range(3600):
        block = oscillators.accumulate_cycles(np.full(16_000, 440.0), sample_rate_hz=16_000, start=cycles)
        cycles = float(block[-1])
    # 57.6 million additions to partial sums of up to 440, each rounded to 2 ** -53 of it at worst: 2.8e-6 cycles.
    assert min(cycles, 1 - cycles) < 3e-6


def test_noise_frame_depends_on_seed_and_index_only() -> None:
    whole = noise.white_noise(5, first_frame=0, frames=10, hop=32)
    np.testing.assert_array_equal(noise.white_noise(5, first_frame=7, frames=2, hop=32), whole[7:9])
    assert np.abs(whole).max() <= 1.0
    assert not np.array_equal(whole[0], whole[1])
