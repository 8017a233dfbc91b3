"""The reference synthesiser: numpy, streaming, bounded memory.

    synthesiser = Synthesiser(harmonics=60, noise_bands=65, hop=320, sample_rate_hz=16000)
    audio = synthesiser.render(controls, f0_hz)   # call again with the next frames: no seam

Feeding the frames in blocks gives what feeding them at once gives, one frame later at each seam: the last frame of a
block fades into the first of the next, so it waits for it. `flush` renders what waits.
"""

from __future__ import annotations

import numpy as np

from tinytimbre.synthesis import noise, oscillators
from tinytimbre.synthesis.reverb import Reverb, StreamingReverb

BLOCK_FRAMES = 16
"""So that the waves of a block stay in the processor's cache."""


class Synthesiser:
    """Harmonics plus filtered noise with the phase, the pending frame and the noise tail carried along.

    Args:
        harmonics: number of harmonics H in the controls.
        noise_bands: number of noise magnitudes N in the controls.
        hop: samples per frame.
        sample_rate_hz: of the audio.
        noise_seed: the same seed gives the same noise.
    """

    def __init__(self, *, harmonics: int, noise_bands: int, hop: int, sample_rate_hz: int, noise_seed: int = 0) -> None:
        self.harmonics, self.noise_bands = harmonics, noise_bands
        self.hop, self.sample_rate_hz, self.noise_seed = hop, sample_rate_hz, noise_seed
        self._size = noise.fft_size(noise_bands, hop=hop)
        self._gains = noise.gain_matrix(noise_bands, size=self._size)
        self._cycles = 0.0
        self._frame = 0
        self._pending: tuple[np.ndarray, np.ndarray] | None = None
        self._tail = np.zeros(self._size)
        self._to_skip = noise.delay_samples(noise_bands)
        self._harmonic_queue = np.zeros(0)

    def render(self, controls: np.ndarray, f0_hz: np.ndarray) -> np.ndarray:
        """Audio of the frames whose successor is known.

        Args:
            controls: float32 [frames, 1 + H + N] as a decoder gives them.
            f0_hz: float32 [frames], > 0.

        Returns:
            float32 [samples]; over all calls and `flush` together, ``frames * hop``.
        """
        controls, f0_hz = self._with_pending(controls, f0_hz)
        blocks = []
        for start in range(0, len(f0_hz) - 1, BLOCK_FRAMES):
            stop = min(start + BLOCK_FRAMES, len(f0_hz) - 1)
            blocks.append(self._render_block(controls[start : stop + 1], f0_hz[start : stop + 1]))
        self._pending = (controls[-1:], f0_hz[-1:]) if len(f0_hz) else None
        return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)

    def flush(self) -> np.ndarray:
        """Ends the stream: the last frame held for one hop, and the rest of the noise."""
        if self._pending is None:
            return np.zeros(0, np.float32)
        controls, f0_hz = self._pending
        audio = self._render_block(np.repeat(controls, 2, axis=0), np.repeat(f0_hz, 2))
        rest = self._harmonic_queue + self._tail[: len(self._harmonic_queue)]
        self._pending = None
        return np.concatenate([audio, rest.astype(np.float32)])

    def _with_pending(self, controls: np.ndarray, f0_hz: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self._pending is None:
            return controls, f0_hz
        return np.concatenate([self._pending[0], controls]), np.concatenate([self._pending[1], f0_hz])

    def _render_block(self, controls: np.ndarray, f0_hz: np.ndarray) -> np.ndarray:
        """Audio of all frames but the last, which only says where they fade to."""
        harmonic = np.concatenate([self._harmonic_queue, self._harmonic(controls, f0_hz)])
        filtered = self._noise(controls[:-1, 1 + self.harmonics :])
        ready = min(len(harmonic), len(filtered))
        self._harmonic_queue = harmonic[ready:]
        return (harmonic[:ready] + filtered[:ready]).astype(np.float32)

    def _harmonic(self, controls: np.ndarray, f0_hz: np.ndarray) -> np.ndarray:
        amplitudes = oscillators.harmonic_amplitudes(
            controls.astype(np.float64), f0_hz, harmonics=self.harmonics, sample_rate_hz=self.sample_rate_hz
        )
        f0_samples = oscillators.upsample_f0(f0_hz[:-1], hop=self.hop, last_hz=float(f0_hz[-1]))
        cycles = oscillators.accumulate_cycles(f0_samples, sample_rate_hz=self.sample_rate_hz, start=self._cycles)
        self._cycles = float(cycles[-1])
        # Harmonics above half the sample rate in the whole block need not be made to be silenced.
        audible = min(self.harmonics, int(self.sample_rate_hz / 2 / f0_samples.min()))
        numbers = np.arange(1, audible + 1)
        waves = np.sin(2 * np.pi * cycles[:, None] * numbers)
        waves[f0_samples[:, None] * numbers >= self.sample_rate_hz / 2] = 0.0
        waves = waves.reshape(len(f0_hz) - 1, self.hop, audible)
        falling, rising = oscillators.hann_ramps(self.hop)
        ends = np.stack([amplitudes[:-1, :audible], amplitudes[1:, :audible]], axis=-1)
        parts = waves @ ends
        return (parts[..., 0] * falling + parts[..., 1] * rising).reshape(-1)

    def _noise(self, magnitudes: np.ndarray) -> np.ndarray:
        """Filtered noise that is complete, with the filter's delay cut off once at the start."""
        frames = len(magnitudes)
        white = noise.white_noise(self.noise_seed, first_frame=self._frame, frames=frames, hop=self.hop)
        spectra = noise.noise_spectra(white, noise_bands=self.noise_bands, size=self._size)
        filtered = np.fft.irfft(magnitudes @ self._gains * spectra, n=self._size, axis=-1)
        self._frame += frames
        mixed = np.concatenate([self._tail, np.zeros(frames * self.hop)])
        for index, frame in enumerate(filtered):
            mixed[index * self.hop : index * self.hop + self._size] += frame
        self._tail = mixed[frames * self.hop :]
        skipped = min(self._to_skip, frames * self.hop)
        self._to_skip -= skipped
        return mixed[skipped : frames * self.hop]


def synthesise(
    controls: np.ndarray,
    f0_hz: np.ndarray,
    *,
    harmonics: int,
    noise_bands: int,
    hop: int,
    sample_rate_hz: int,
    noise_seed: int = 0,
    reverb: Reverb | None = None,
) -> np.ndarray:
    """All the audio of a sequence: float32 [frames * hop]; see `Synthesiser` for the arguments.

    With a `reverb` it is played in that room; what rings on after the last frame is cut off.
    """
    synthesiser = Synthesiser(
        harmonics=harmonics, noise_bands=noise_bands, hop=hop, sample_rate_hz=sample_rate_hz, noise_seed=noise_seed
    )
    dry = np.concatenate([synthesiser.render(controls, f0_hz), synthesiser.flush()])
    return dry if reverb is None else StreamingReverb(reverb, sample_rate_hz=sample_rate_hz).process(dry)
