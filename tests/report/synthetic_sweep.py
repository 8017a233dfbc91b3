"""A small sweep as it might come out: tables with plausible numbers, sounds synthesised here."""

from __future__ import annotations

import itertools
import pathlib

import numpy as np
import pandas as pd
import soundfile

from tinytimbre.config import GateConfig
from tinytimbre.quality.gates import METRICS, judge
from tinytimbre.report.tables import AudioClip, SweepTables, candidates_of, metric_means, roles

RATE = 16_000
BYTES_PER_WEIGHT = {"float32": 4, "float16": 2, "uint8": 1}


def sweep_tables(
    folder: pathlib.Path,
    *,
    instruments: tuple[str, ...] = ("flute", "violin"),
    trials: int = 24,
    takes: int = 12,
    seconds: float = 3.0,
    seed: int = 0,
) -> SweepTables:
    parts = [_instrument(name, trials=trials, takes=takes, seed=seed + index) for index, name in enumerate(instruments)]
    all_trials, candidates, clips, curves = (
        pd.concat(tables, ignore_index=True) for tables in zip(*parts, strict=True)
    )
    verdicts = {
        name: judge(candidates_of(candidates, instrument=name), clips, gates=GateConfig(bootstrap_draws=400), seed=0)
        for name in instruments
    }
    audio = [
        clip
        for index, name in enumerate(instruments)
        for clip in _sounds(folder, name, roles(candidates, verdicts[name]), seconds=seconds, hz=262.0 * (index + 1))
    ]
    return SweepTables(all_trials, candidates, clips, curves, verdicts, audio)


def _instrument(name: str, *, trials: int, takes: int, seed: int) -> list[pd.DataFrame]:
    generator = np.random.default_rng(seed)
    table = _trials(name, count=trials, generator=generator)
    finalists = table[(table["status"] == "done")]
    candidates = _candidates(finalists)
    clips = _clips(candidates, takes=takes, generator=generator)
    candidates = candidates.join(metric_means(clips), on="candidate_id")
    return [table, candidates.assign(status="evaluated"), clips, _curves(table, generator=generator)]


def _trials(name: str, *, count: int, generator: np.random.Generator) -> pd.DataFrame:
    rows = []
    for index in range(count):
        decoder, level = ("gru", "cnn")[index % 2], ("loudness", "rms_energy")[index // 2 % 2]
        width = int(2 ** generator.uniform(2, 7.5))
        status = "failed" if index % 11 == 3 else "stopped" if index % 3 == 1 else "done"
        parameters = width * (3 * width + 132) if decoder == "gru" else width * (16 * width + 128)
        rows.append(
            {
                "trial_id": f"{name}-{decoder}-{generator.integers(16**8):08x}",
                "instrument": name,
                "status": status,
                "reason": "loss became NaN at step 73" if status == "failed" else "",
                "rung": 2 if status == "done" else 0,
                "steps": 900 if status == "done" else 100,
                "stratum": min(3, int(np.log10(parameters) - 2)),
                "decoder": decoder,
                "input": level,
                "harmonics": 60,
                "noise_bands": 65,
                "width": width,
                "depth": 0 if decoder == "gru" else 4,
                "kernel_size": 3,
                "reverb_bands": 0,
                "parameters": parameters,
                "decoder_mflops": parameters * 1e-4,
                "validation_loss": np.nan
                if status == "failed"
                else 4 + 30 / np.sqrt(width) / 10 + generator.normal(0, 0.1),
                "train_seconds": generator.uniform(5, 60),
                "distillation": "",
                "teacher_id": "",
                "twin_id": "",
            }
        )
    return pd.DataFrame(rows)


def _candidates(trials: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for (_, trial), (quantisation, width) in itertools.product(trials.iterrows(), BYTES_PER_WEIGHT.items()):
        sizes = {"graph": 9000, "weights": trial["parameters"] * width, "settings": 1500}
        on_disk = {f"{part}_bytes": n for part, n in sizes.items()} | {"total_bytes": sum(sizes.values())}
        squeezed = {"graph_brotli": 1600, "weights_brotli": int(sizes["weights"] * 0.9), "settings_brotli": 500}
        rows.append(
            {
                "candidate_id": f"{trial['trial_id']}-{quantisation}",
                **trial[["trial_id", "instrument", "parameters", "decoder_mflops"]],
                "quantisation": quantisation,
                **on_disk,
                **squeezed,
                "total_brotli": sum(squeezed.values()),
                "tfjs_max_abs_error": 10.0 ** -(2 * width),
            }
        )
    return pd.DataFrame(rows)


def _clips(candidates: pd.DataFrame, *, takes: int, generator: np.random.Generator) -> pd.DataFrame:
    name = candidates["instrument"].iloc[0]
    tables = []
    level = generator.normal(0, 0.4, (2, takes))
    for _, row in candidates.iterrows():
        lost = 4.0 / np.sqrt(row["parameters"] / 300) + (0.3 if row["quantisation"] == "uint8" else 0)
        for number, split in enumerate(("validation", "test")):
            take = [f"{name}-{split}-{index}" for index in range(takes)]
            noise = generator.normal(0, 0.08, (len(METRICS), takes))
            tables.append(
                pd.DataFrame(
                    {
                        "candidate_id": row["candidate_id"],
                        "instrument": name,
                        "split": split,
                        "recording_id": take,
                        "take_id": take,
                        "log_spectral_db": 4.8 + lost + level[number] + noise[0],
                        "mel_spectral_db": 6 + 1.2 * lost + level[number] + noise[1],
                        "loudness_db": 1.2 + 0.3 * lost + noise[2],
                        "f0_accuracy_points": np.minimum(100, 97.5 - 0.5 * lost + noise[3]),
                        "f0_cents": 5 + 0.3 * lost + noise[4],
                    }
                )
            )
    return pd.concat(tables, ignore_index=True)


def _curves(trials: pd.DataFrame, *, generator: np.random.Generator) -> pd.DataFrame:
    tables = []
    for _, trial in trials[trials["status"] != "failed"].iterrows():
        step = np.arange(10, trial["steps"] + 1, 10)
        loss = trial["validation_loss"] + 6 * np.exp(-step / 60) + generator.normal(0, 0.03, len(step))
        tables.append(
            pd.DataFrame(
                {"trial_id": trial["trial_id"], "step": step, "train_loss": loss - 0.1, "validation_loss": loss}
            )
        )
    return pd.concat(tables, ignore_index=True)


def _sounds(folder: pathlib.Path, name: str, playing: dict[str, str], *, seconds: float, hz: float) -> list[AudioClip]:
    clips = []
    for take, (role, candidate) in itertools.product(range(2), {"original": "", **playing}.items()):
        partials = {"original": 16, "best": 14, "chosen": 12}.get(role, 5)
        path = folder / f"sound{len(list(folder.glob('sound*.wav')))}.wav"
        soundfile.write(path, _tune(hz=hz * 2 ** (take / 4), seconds=seconds, partials=partials), RATE)
        clips.append(AudioClip(name, f"{name}-test-{take}", role, candidate, path, RATE))  # type: ignore[arg-type]
    return clips


def _tune(*, hz: float, seconds: float, partials: int) -> np.ndarray:
    """A scale with vibrato, an envelope per note and breath."""
    time = np.arange(round(seconds * RATE)) / RATE
    notes = np.array([0, 2, 4, 5, 7, 9])[np.minimum(5, (time / seconds * 6).astype(int))]
    within = time / seconds * 6 % 1
    phase = 2 * np.pi * np.cumsum(hz * 2 ** (notes / 12) * (1 + 0.006 * np.sin(2 * np.pi * 5 * time))) / RATE
    tone = sum(np.sin(k * phase) / k**1.2 for k in range(1, partials + 1))
    breath = 0.02 * np.random.default_rng(0).standard_normal(len(time))
    return 0.25 * np.sin(np.pi * within) ** 0.5 * (tone + breath)
