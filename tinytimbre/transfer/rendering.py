"""From a transfer plan to audio, block by block."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinytimbre.features.scaling import scale_inputs
from tinytimbre.progress import track
from tinytimbre.synthesis import StreamingReverb, Synthesiser
from tinytimbre.transfer.model import DecoderStream, TransferModel
from tinytimbre.transfer.plan import TransferPlan

BLOCK_FRAMES = 500
KNEE, CEILING = 0.8, 0.98


def render_plan(
    plan: TransferPlan, *, model: TransferModel, n_samples: int, block_frames: int = BLOCK_FRAMES
) -> Iterator[np.ndarray]:
    """Blocks of float32 audio within +-0.98, ``n_samples`` of them together."""
    dry = _faded(_synthesised(plan, model=model, block_frames=block_frames), gain=plan.gain, hop=model.hop)
    left = n_samples
    for block in _in_room(dry, model=model):
        yield limit(block[:left])
        left -= len(block[:left])


def limit(audio: np.ndarray) -> np.ndarray:
    """Soft limiter: identity up to 0.8, then a tanh that never reaches 0.98; no memory, so blocks do not show."""
    magnitude = np.abs(audio)
    room = CEILING - KNEE
    bent = KNEE + room * np.tanh((magnitude - KNEE) / room)
    return np.where(magnitude <= KNEE, audio, np.sign(audio) * bent).astype(np.float32)


def _synthesised(plan: TransferPlan, *, model: TransferModel, block_frames: int) -> Iterator[np.ndarray]:
    spec = model.decoder.spec
    stream = DecoderStream(model.decoder)
    synthesiser = Synthesiser(
        harmonics=spec.harmonics,
        noise_bands=spec.noise_bands,
        hop=model.hop,
        sample_rate_hz=model.sample_rate_hz,
        noise_seed=model.noise_seed,
    )
    for start in track(range(0, len(plan.f0_hz), block_frames), label="render", unit="blocks"):
        f0_hz = plan.f0_hz[start : start + block_frames]
        inputs = scale_inputs(f0_hz, plan.level_db[start : start + block_frames])
        yield synthesiser.render(stream.decode(inputs), f0_hz)
    yield synthesiser.flush()


def _faded(blocks: Iterator[np.ndarray], *, gain: np.ndarray, hop: int) -> Iterator[np.ndarray]:
    """Applies the frames' gains, linear in between: frame ``i`` stands at sample ``i * hop``."""
    position = 0
    instants = np.arange(len(gain)) * hop
    for block in blocks:
        yield block * np.interp(position + np.arange(len(block)), instants, gain).astype(np.float32)
        position += len(block)


def _in_room(blocks: Iterator[np.ndarray], *, model: TransferModel) -> Iterator[np.ndarray]:
    """After the fades, so that a note rings on when the source falls silent."""
    reverb = model.decoder.reverb
    room = None if reverb is None else StreamingReverb(reverb, sample_rate_hz=model.sample_rate_hz)
    return blocks if room is None else (room.process(block) for block in blocks)
