"""The data of a finished sweep, in one folder: what every table, plot and page is made from.

`SweepTables.save` writes trials, candidates, clips and curves as Parquet, the verdicts and the list of sounds as
JSON, the sounds as FLAC; `SweepTables.load` reads them back.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
import shutil
from typing import Literal

import numpy as np
import pandas as pd
import soundfile

from tinytimbre.errors import TinyTimbreError
from tinytimbre.quality import wording
from tinytimbre.quality.take_values import METRICS
from tinytimbre.quality.verdict import SANITY, Candidate, Verdict
from tinytimbre.sweep.agreement import RankAgreement, rank_agreements

Role = Literal["original", "best", "chosen", "smaller"]
ROLES: tuple[Role, ...] = ("original", "best", "chosen", "smaller")
METRIC_COLUMNS = METRICS
SIZE_COLUMNS = tuple(
    f"{part}_{unit}" for unit in ("bytes", "brotli") for part in ("graph", "weights", "settings", "total")
)
TRIAL_COLUMNS = (
    "trial_id", "instrument", "status", "reason", "rung", "steps", "stratum", "decoder", "input", "harmonics",
    "noise_bands", "width", "depth", "kernel_size", "reverb_bands", "parameters", "decoder_mflops", "validation_loss",
    "train_seconds", "distillation", "teacher_id", "twin_id",
)  # fmt: skip
CANDIDATE_COLUMNS = (
    "candidate_id", "trial_id", "instrument", "quantisation", *SIZE_COLUMNS, "parameters", "decoder_mflops",
    "tfjs_max_abs_error", *METRIC_COLUMNS, "status",
)  # fmt: skip
CLIP_COLUMNS = ("candidate_id", "instrument", "split", "recording_id", "take_id", *METRIC_COLUMNS)
CURVE_COLUMNS = ("trial_id", "step", "train_loss", "validation_loss")
# Newer than the first tables that were saved: shown where they are there.
DIAGNOSTIC_CLIP_COLUMNS = ("mfcc_db",)
OPINION_COLUMN = "visqol_mos"  # of the models that are heard in the report
# `tinytimbre.validation.jobs.Validation` as JSON, and what of it is a figure for people.
VALIDATION_COLUMNS = ("validation", "real_time_factor", "load_ms")
TRIAL_DETAIL_COLUMNS = ("learning_rate", "seed")
TABLES = {"trials": TRIAL_COLUMNS, "candidates": CANDIDATE_COLUMNS, "clips": CLIP_COLUMNS, "curves": CURVE_COLUMNS}


@dataclasses.dataclass(frozen=True)
class AudioClip:
    """A sound to listen to; ``candidate_id`` is empty for the original, ``path`` a file soundfile reads."""

    instrument: str
    recording_id: str
    role: Role
    candidate_id: str
    path: pathlib.Path
    sample_rate_hz: int


@dataclasses.dataclass(frozen=True)
class SweepTables:
    """Everything a report shows. Columns at least those of `TABLES`; metric means of candidates are on test.

    ``trials.status``: "done", "stopped" (not promoted) or "failed" (then ``reason`` says why);
    ``candidates.status``: "evaluated" or "failed" (then the column ``reason``, where there is one, says why).
    ``trials.distillation``: "teacher" of its instrument, "student" (of ``teacher_id``; ``twin_id`` is the trial
    that was trained alike but on audio alone) or "".
    """

    trials: pd.DataFrame
    candidates: pd.DataFrame
    clips: pd.DataFrame
    curves: pd.DataFrame
    verdicts: dict[str, Verdict]
    audio: list[AudioClip]

    def __post_init__(self) -> None:
        for name, columns in TABLES.items():
            missing = [column for column in columns if column not in getattr(self, name).columns]
            if missing:
                raise TinyTimbreError(
                    f"the table {name!r} lacks columns",
                    got=f"missing: {', '.join(missing)}",
                    cause="the sweep was finished by an earlier version",
                    remedy="run `tinytimbre run` once more in its workspace: what was trained is kept",
                )

    @property
    def instruments(self) -> list[str]:
        """Sorted; also those that have only failed trials."""
        return sorted({*self.trials["instrument"], *self.candidates["instrument"], *self.verdicts})

    def save(self, directory: str | pathlib.Path) -> None:
        """Writes four Parquet files, ``verdicts.json``, ``audio.json`` and ``audio/*.flac``."""
        directory = pathlib.Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        for name in TABLES:
            getattr(self, name).to_parquet(directory / f"{name}.parquet", index=False)
        verdicts = {name: verdict.model_dump(mode="json") for name, verdict in self.verdicts.items()}
        _write_json(directory / "verdicts.json", verdicts)
        _write_json(directory / "audio.json", [_saved_clip(clip, directory) for clip in self.audio])

    @classmethod
    def load(cls, directory: str | pathlib.Path) -> SweepTables:
        """Reads what `save` wrote.

        Raises:
            TinyTimbreError: a file is missing, or a table lacks columns.
        """
        directory = pathlib.Path(directory)
        for name in [*(f"{table}.parquet" for table in TABLES), "verdicts.json", "audio.json"]:
            if not (directory / name).is_file():
                raise TinyTimbreError(
                    "a sweep's tables are four Parquet and two JSON files", got=f"{directory / name} is missing"
                )
        verdicts = json.loads((directory / "verdicts.json").read_text())
        clips = json.loads((directory / "audio.json").read_text())
        return cls(
            **{name: pd.read_parquet(directory / f"{name}.parquet") for name in TABLES},
            verdicts={name: Verdict.model_validate(verdict) for name, verdict in verdicts.items()},
            audio=[AudioClip(**{**clip, "path": directory / clip["path"]}) for clip in clips],
        )


def empty_table(name: str) -> pd.DataFrame:
    """A table of `TABLES` without rows."""
    return pd.DataFrame(columns=list(TABLES[name]))


def candidates_of(candidates: pd.DataFrame, *, instrument: str) -> list[Candidate]:
    """The rows of one instrument as the gates want them; failed ones too, they have no clips."""
    own = candidates[(candidates["instrument"] == instrument) & candidates["total_brotli"].notna()]
    indexed = own.set_index("candidate_id")
    families = indexed["family"].to_dict() if "family" in own else {}
    measures = indexed[[name for name in SANITY if name in own]].astype(float)
    sanity = {name: row.dropna().to_dict() for name, row in measures.iterrows()}
    # Tables of earlier versions lack the reasons.
    own = own.assign(reason=own["reason"].fillna("") if "reason" in own.columns else "")
    columns = ["candidate_id", "total_brotli", "parameters", "decoder_mflops", "quantisation", "reason"]
    return [
        Candidate(
            candidate_id=str(candidate_id),
            instrument=instrument,
            bytes_brotli=int(n_bytes),
            parameters=int(parameters),
            decoder_mflops=float(mflops),
            quantisation=str(quantisation),
            failure=str(reason),
            family=families.get(candidate_id, ""),
            sanity=sanity.get(candidate_id, {}),
        )
        for candidate_id, n_bytes, parameters, mflops, quantisation, reason in own[columns].to_numpy(object)
    ]


def why_no_verdict(tables: SweepTables, *, instrument: str) -> str:
    """One sentence about an instrument of which nothing could be judged."""
    own = tables.trials[tables.trials["instrument"] == instrument]
    reasons = wording.commonest([str(reason) for reason in own.loc[own["status"] == "failed", "reason"].dropna()])
    return f"No verdict: none of {len(own)} trials led to a model" + (f": {reasons}." if reasons else ".")


def agreements(tables: SweepTables) -> list[RankAgreement]:
    """How well each rung of the sweep foretold its end; of rungs at which a trial ended.

    Students have no rungs: they begin anew after the last, and may end at another step.
    """
    climbed = tables.trials["status"].isin(["done", "stopped"]) & (tables.trials["distillation"] != "student")
    known = tables.trials[climbed]
    steps = {int(rung): int(step) for rung, step in zip(known["rung"], known["steps"], strict=True)}
    losses = tables.curves[tables.curves["validation_loss"].notna()]
    found: dict[str, dict[int, float]] = {str(trial_id): {} for trial_id in known["trial_id"]}
    for rung, step in steps.items():
        own = losses[losses["step"] == step]
        for trial_id, loss in zip(own["trial_id"], own["validation_loss"], strict=True):
            found.get(str(trial_id), {})[rung] = float(loss)
    strata = {str(row.trial_id): (str(row.instrument), int(str(row.stratum))) for row in known.itertuples()}
    return rank_agreements(found, strata=strata, last_rung=max(steps, default=0))


def metric_means(clips: pd.DataFrame, *, split: str = "test") -> pd.DataFrame:
    """Mean over takes of every metric (recordings of one take averaged first); index ``candidate_id``."""
    own = clips[clips["split"] == split]
    known = [*METRIC_COLUMNS, *(column for column in DIAGNOSTIC_CLIP_COLUMNS if column in clips)]
    per_take = own.groupby(["candidate_id", "take_id"], observed=True)[known].mean()
    # A table without a row has no number type, and None instead of NaN once it has been saved.
    return per_take.groupby("candidate_id", observed=True).mean().astype(float)


def front(candidates: pd.DataFrame, *, quality: str = "log_spectral_db", size: str = "total_brotli") -> pd.DataFrame:
    """The candidates that no other beats in size and quality (lower is better in both), smallest first."""
    known = candidates[candidates[quality].notna() & candidates[size].notna()]
    ordered = known.sort_values([size, quality, "candidate_id"])
    best_before = ordered[quality].astype(float).cummin().shift(fill_value=np.inf)
    return ordered[ordered[quality] < best_before]


def roles(candidates: pd.DataFrame, verdict: Verdict) -> dict[str, str]:
    """Who plays which role: candidate ids under "best", "chosen" and "smaller" (where they exist).

    "smaller" is the next smaller point of the front below the chosen one, or below the best where none is chosen.
    """
    found = {"best": verdict.reference, "chosen": verdict.chosen}
    own = candidates[candidates["instrument"] == verdict.instrument]
    anchor = own[own["candidate_id"] == (verdict.chosen or verdict.nearest or verdict.reference)]
    if len(anchor):
        below = front(own[own["total_brotli"] < anchor["total_brotli"].iloc[0]])
        found["smaller"] = str(below["candidate_id"].iloc[-1]) if len(below) else None
    return {role: candidate for role, candidate in found.items() if candidate}


def _saved_clip(clip: AudioClip, directory: pathlib.Path) -> dict[str, str | int]:
    """Puts the sound into ``directory`` as FLAC; returns its JSON record."""
    stem = "-".join(_safe(part) for part in (clip.instrument, clip.recording_id, clip.role))
    relative = pathlib.Path("audio") / f"{stem}.flac"
    target = directory / relative
    target.parent.mkdir(exist_ok=True)
    source = pathlib.Path(clip.path)
    if not (target.exists() and source.exists() and target.samefile(source)):
        _as_flac(source, target)
    return {**dataclasses.asdict(clip), "path": relative.as_posix()}


def _as_flac(source: pathlib.Path, target: pathlib.Path) -> None:
    if source.suffix.lower() == ".flac":
        shutil.copyfile(source, target)
        return
    audio, sample_rate_hz = soundfile.read(source, dtype="float32")
    soundfile.write(target, audio, sample_rate_hz, subtype="PCM_16")


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.]+", "_", name) or "_"


def _write_json(path: pathlib.Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1, sort_keys=True, allow_nan=False))
