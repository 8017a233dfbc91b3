"""A folder of recordings in, checked mono FLAC with takes and splits out.

    recordings = ingest("recordings/", config=config, output=pathlib.Path("out"), jobs=2)

Each file is decoded and checked once: the result lies in ``cache`` under the digest of its bytes and of the
settings, so an interrupted ingest continues, and the next one reads only what is new.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import errno
import hashlib
import io
import logging
import pathlib
from collections import defaultdict
from collections.abc import Iterable, Iterator

import numpy as np
import pydantic
import soundfile

from tinytimbre.audio.checking import VOICED_CONFIDENCE, check_recording
from tinytimbre.audio.duplicates import Fingerprint, Match, find_matches, fingerprint, group_takes
from tinytimbre.audio.reading import UnreadableAudioError, decode, to_mono
from tinytimbre.audio.recording import (
    AUDIO_FOLDER,
    Problem,
    Recording,
    RecordingSet,
    problem,
)
from tinytimbre.audio.scan import NAMELESS, STRAY, SourceFile, scan_recordings
from tinytimbre.audio.splits import MIN_TAKES, assign_splits
from tinytimbre.config import SweepConfig
from tinytimbre.durable import link_or_copy, write_whole
from tinytimbre.errors import TinyTimbreError
from tinytimbre.features.pitch import track_pitch
from tinytimbre.progress import track

LOGGER = logging.getLogger("tinytimbre.recordings")

INSPECTION_VERSION = 1
"""Part of every cache key; raise it when reading or checking changes."""

CACHE_FOLDER = ".checked"


class Inspection(pydantic.BaseModel):
    """What reading and checking one file found; ``f0_hz`` is the median pitch, 0 if there is none."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    seconds: float = 0.0
    sample_rate_hz: int = 0
    channels: int = 0
    f0_hz: float = 0.0
    problems: tuple[Problem, ...] = ()

    @property
    def accepted(self) -> bool:
        """No fatal problem."""
        return not any(found.fatal for found in self.problems)


@dataclasses.dataclass(frozen=True)
class _Checked:
    file: SourceFile
    recording_id: str
    inspection: Inspection
    audio: pathlib.Path

    @property
    def accepted(self) -> bool:
        return self.inspection.accepted and not (self.file.problem and self.file.problem.fatal)


def ingest(
    folder: str | pathlib.Path,
    *,
    config: SweepConfig,
    output: pathlib.Path,
    jobs: int = 1,
    cache: pathlib.Path | None = None,
) -> RecordingSet:
    """Reads, checks, groups and splits every recording below ``folder``.

    Writes ``output``/recordings.json and ``output``/audio/<instrument>/<recording_id>.flac (24 bit, mono); says as
    warnings of the logger ``tinytimbre.recordings`` what is left out and why.

    Args:
        folder: see `scan_recordings`.
        jobs: files that are worked on at once (threads; decoding and pitch tracking release the GIL).
        cache: where results per file are kept; shared by ingests of any settings. Default: in ``output``.

    Raises:
        TinyTimbreError: nothing there, no usable instrument, or the disk is full (what is done is kept).
    """
    files = scan_recordings(folder, instruments=config.instruments)
    output = pathlib.Path(output)
    cache = cache or output / CACHE_FOLDER
    try:
        checked = _check_all(files, config=config, cache=cache, jobs=jobs)
        recordings = _assemble(checked, config=config, jobs=jobs)
        _place_audio(recordings, checked, output=output)
        recordings.save(output)
    except OSError as error:
        raise _disk_error(error, output) from error
    _warn(recordings)
    _require_instrument(recordings)
    return recordings


def _check_all(files: list[SourceFile], *, config: SweepConfig, cache: pathlib.Path, jobs: int) -> list[_Checked]:
    cache.mkdir(parents=True, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(max(1, jobs)) as pool:
        tasks = [pool.submit(_check_file, file, config=config, cache=cache) for file in files]
        try:
            done = concurrent.futures.as_completed(tasks)
            for task in track(done, label="recordings", unit="files", total=len(tasks)):
                task.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return [task.result() for task in tasks]


def _check_file(file: SourceFile, *, config: SweepConfig, cache: pathlib.Path) -> _Checked:
    if file.problem and file.problem.fatal:
        name = hashlib.sha256(file.relative.encode()).hexdigest()[:16]
        return _Checked(file, name, Inspection(problems=(file.problem,)), cache / "none")
    with file.path.open("rb") as stream:
        recording_id = hashlib.file_digest(stream, "sha256").hexdigest()[:16]
    stem = cache / f"{recording_id}-{_settings_digest(config)}"
    result, audio = stem.with_suffix(".json"), stem.with_suffix(".flac")
    kept = _load_inspection(result)
    if kept is None or (kept.accepted and not audio.is_file()):
        kept = _inspect(file.path, config=config, audio_path=audio)
        write_whole(result, kept.model_dump_json().encode())
    return _Checked(file, recording_id, kept, audio)


def _settings_digest(config: SweepConfig) -> str:
    text = f"{INSPECTION_VERSION} {config.audio.model_dump_json()} {config.features.model_dump_json()}"
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _load_inspection(path: pathlib.Path) -> Inspection | None:
    try:
        return Inspection.model_validate_json(path.read_bytes())
    except (FileNotFoundError, pydantic.ValidationError):
        return None


def _inspect(path: pathlib.Path, *, config: SweepConfig, audio_path: pathlib.Path) -> Inspection:
    """Decodes and checks one file and keeps its audio if it is fit for use."""
    rate = config.audio.sample_rate_hz
    try:
        decoded = decode(path)
    except UnreadableAudioError as error:
        return Inspection(problems=(problem(error.kind, error),))
    audio = to_mono(decoded, sample_rate_hz=rate)
    f0_hz, confidence = track_pitch(
        audio, sample_rate_hz=rate, frame_rate_hz=config.features.frame_rate_hz, tracker=config.features.f0_tracker
    )
    voiced = f0_hz[confidence >= VOICED_CONFIDENCE]
    found = Inspection(
        seconds=round(decoded.seconds, 6),
        sample_rate_hz=decoded.sample_rate_hz,
        channels=len(decoded.samples),
        f0_hz=round(float(np.median(voiced)), 3) if len(voiced) else 0.0,
        problems=check_recording(decoded, audio, f0_hz=f0_hz, confidence=confidence, config=config),
    )
    if found.accepted:
        write_whole(audio_path, _flac_bytes(audio, sample_rate_hz=rate))
    return found


def _flac_bytes(audio: np.ndarray, *, sample_rate_hz: int) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, audio, sample_rate_hz, format="FLAC", subtype="PCM_24")
    return buffer.getvalue()


def _assemble(checked: list[_Checked], *, config: SweepConfig, jobs: int) -> RecordingSet:
    """Duplicates, takes and splits of files that have been checked one by one."""
    extra = _mark_duplicates(checked)
    grouped: dict[str, list[_Checked]] = defaultdict(list)
    for one in checked:
        if one.accepted and one.file.relative not in extra:
            grouped[one.file.instrument].append(one)
    takes: dict[str, str] = {}
    for instrument in sorted(grouped):
        matches = _find_matches(grouped[instrument], instrument=instrument, jobs=jobs)
        takes |= _group(grouped[instrument], matches=matches)
        _mark_near_duplicates(grouped[instrument], matches=matches, extra=extra)
    splits, instrument_problems = _split(checked, grouped=grouped, takes=takes, config=config)
    recordings = tuple(
        _recording(one, takes=takes, splits=splits if one.file.relative in _paths(grouped) else {}, extra=extra)
        for one in checked
    )
    return RecordingSet(
        recordings=recordings,
        sample_rate_hz=config.audio.sample_rate_hz,
        instrument_problems=instrument_problems,
    )


def _paths(grouped: dict[str, list[_Checked]]) -> set[str]:
    return {one.file.relative for group in grouped.values() for one in group}


def _mark_duplicates(checked: list[_Checked]) -> dict[str, tuple[Problem, ...]]:
    """A fatal problem, by path, for every accepted file whose bytes an earlier one has."""
    first: dict[str, str] = {}
    extra: dict[str, tuple[Problem, ...]] = {}
    for one in checked:
        if not one.accepted:
            continue
        original = first.setdefault(one.recording_id, one.file.relative)
        if original != one.file.relative:
            error = TinyTimbreError(
                "every recording must be there once",
                got=f"{one.file.relative} is byte for byte {original}",
                remedy="delete one of them",
            )
            extra[one.file.relative] = (problem("duplicate", error),)
    return extra


def _find_matches(group: list[_Checked], *, instrument: str, jobs: int) -> list[Match]:
    with concurrent.futures.ThreadPoolExecutor(max(1, jobs)) as pool:
        prints = pool.map(_fingerprint, group)
        tracked = track(prints, label=f"takes of {instrument}", unit="files", total=len(group))
        fingerprints = {one.recording_id: made for one, made in zip(group, tracked, strict=True)}
    return find_matches(fingerprints)


def _fingerprint(one: _Checked) -> Fingerprint:
    audio, rate = soundfile.read(one.audio, dtype="float32")
    return fingerprint(audio, sample_rate_hz=rate, f0_hz=one.inspection.f0_hz)


def _group(group: list[_Checked], *, matches: list[Match]) -> dict[str, str]:
    """Take of each recording: connected by likeness, or by the take that a manifest names."""
    named: dict[str, str] = {}
    pairs = [(match.first, match.second) for match in matches]
    for one in group:
        if one.file.take:
            pairs.append((named.setdefault(one.file.take, one.recording_id), one.recording_id))
    return group_takes([one.recording_id for one in group], pairs=pairs)


def _mark_near_duplicates(
    group: list[_Checked], *, matches: list[Match], extra: dict[str, tuple[Problem, ...]]
) -> None:
    paths = {one.recording_id: one.file.relative for one in group}
    best: dict[str, tuple[float, str]] = {}
    for match in matches:
        for own, other in ((match.first, match.second), (match.second, match.first)):
            best[own] = max(best.get(own, (0.0, "")), (match.correlation, other))
    for own, (correlation, other) in best.items():
        error = TinyTimbreError(
            "copies of one take stay on one side of the split",
            got=f"{paths[own]} and {paths[other]} are one take (correlation {correlation:.2f})",
            cause="another encoding, level, cut or pitch of the same recording",
            remedy="nothing to do: it is used, and counts as one take",
        )
        extra[paths[own]] = (problem("near-duplicate", error, fatal=False),)


def _split(
    checked: list[_Checked], *, grouped: dict[str, list[_Checked]], takes: dict[str, str], config: SweepConfig
) -> tuple[dict[str, str], dict[str, tuple[Problem, ...]]]:
    """Split of every recording id, and what makes an instrument unusable."""
    splits: dict[str, str] = {}
    problems: dict[str, tuple[Problem, ...]] = {}
    for instrument in sorted({one.file.instrument for one in checked if not _is_stray(one.file)}):
        ids = [one.recording_id for one in grouped.get(instrument, [])]
        try:
            of_take = assign_splits((takes[key] for key in ids), instrument=instrument, config=config.split)
        except TinyTimbreError as error:
            problems[instrument] = (problem("too-few-takes", error),)
        else:
            splits |= {key: of_take[takes[key]] for key in ids}
    return splits, problems


def _is_stray(file: SourceFile) -> bool:
    """Beside the folders of instruments, or in one without a usable name, so of none."""
    return file.problem is not None and file.problem.kind in (STRAY, NAMELESS)


def _recording(
    one: _Checked, *, takes: dict[str, str], splits: dict[str, str], extra: dict[str, tuple[Problem, ...]]
) -> Recording:
    listed = (one.file.problem,) if one.file.problem and not one.file.problem.fatal else ()
    return Recording.model_validate(
        {
            "recording_id": one.recording_id,
            "instrument": one.file.instrument,
            "path": one.file.relative,
            "take_id": takes.get(one.recording_id, one.recording_id),
            "seconds": one.inspection.seconds,
            "sample_rate_hz": one.inspection.sample_rate_hz,
            "channels": one.inspection.channels,
            "split": splits.get(one.recording_id),
            "source": one.file.source,
            "licence": one.file.licence,
            "attribution": one.file.attribution,
            "problems": one.inspection.problems + listed + extra.get(one.file.relative, ()),
        }
    )


def _place_audio(recordings: RecordingSet, checked: Iterable[_Checked], *, output: pathlib.Path) -> None:
    """Puts the audio of accepted recordings into ``output``, linked where possible, and drops what is stale."""
    sources = {one.recording_id: one.audio for one in checked if one.accepted}
    wanted = {output / one.audio_path: sources[one.recording_id] for one in recordings.accepted()}
    for target, source in wanted.items():
        if not target.is_file():
            link_or_copy(source, target)
    for path in _present(output / AUDIO_FOLDER):
        if path not in wanted:
            path.unlink()


def _present(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    return (path for path in sorted(folder.rglob("*.flac")) if path.is_file())


def _disk_error(error: OSError, output: pathlib.Path) -> TinyTimbreError:
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return TinyTimbreError("recordings must be readable, the output writable", got=str(error))
    return TinyTimbreError(
        "the checked audio needs room on the disk (about 3 MB a minute)",
        got=f"{output}: {error.strerror}",
        remedy="free some space and run the same command again; what is done is kept",
    )


def _warn(recordings: RecordingSet) -> None:
    """Every file and instrument that is left out, with the reason."""
    for recording in recordings.rejected():
        reason = next(found.message for found in recording.problems if found.fatal)
        LOGGER.warning("%s is left out: %s", recording.path, reason)
    for instrument, problems in recordings.instrument_problems.items():
        LOGGER.warning("%s is left out: %s", instrument, problems[0].message)


def _require_instrument(recordings: RecordingSet) -> None:
    if recordings.instruments:
        return
    takes = {
        name: len({one.take_id for one in recordings.recordings if one.instrument == name and one.accepted})
        for name in recordings.instrument_problems
    }
    raise TinyTimbreError(
        f"at least one instrument must have {MIN_TAKES} different takes that are fit for use",
        got=", ".join(f"{name} has {count}" for name, count in takes.items())[:300],
        cause="too few recordings, copies of one take, or files that were left out: see the notes above",
        remedy="mend or add recordings; data/README.md says what is needed",
    )
