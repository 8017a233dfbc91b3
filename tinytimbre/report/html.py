"""The report of a sweep: one HTML file that needs no network.

    write_report(SweepTables.load(folder), output=Path("report.html"))

Text and tables are made here, so they read without JavaScript; ``assets/report.js`` draws the plots from the
JSON of `tinytimbre.report.data` and makes the tables sort and filter.
"""

from __future__ import annotations

import html
import importlib.resources
import json
import pathlib
import re
from typing import Any

import pandas as pd

from tinytimbre.audio.recording import RecordingSet
from tinytimbre.durable import write_whole
from tinytimbre.progress import track
from tinytimbre.quality.gates import METRICS
from tinytimbre.quality.verdict import Verdict
from tinytimbre.quality.wording import GATE_NAMES, floor_words, size
from tinytimbre.report import embed, html_tables
from tinytimbre.report.data import knee_for, plain, plot_data
from tinytimbre.report.distillation import distillation_words
from tinytimbre.report.tables import OPINION_COLUMN, ROLES, AudioClip, SweepTables, agreements, why_no_verdict
from tinytimbre.sweep.agreement import BIAS

ROLE_NAMES = {"original": "Original", "best": "Best model", "chosen": "Chosen", "smaller": "Next smaller"}
METRIC_LABELS = {
    "log_spectral_db": "Log spectral distance (dB)",
    "mel_spectral_db": "Mel spectral distance (dB)",
    "loudness_db": "Loudness error (dB)",
    "f0_accuracy_points": "Pitch accuracy (%)",
    "f0_cents": "Median pitch error (cents)",
}


def write_report(
    tables: SweepTables,
    *,
    output: pathlib.Path,
    title: str = "TinyTimbre sweep",
    recordings: RecordingSet | None = None,
    max_clips: int = 4,
    max_clip_secs: float = 6.0,
) -> None:
    """Writes the page; the file appears whole or not at all.

    Args:
        tables: a finished sweep, failed trials included.
        output: the HTML file; its folder is made.
        title: heading of the page.
        recordings: of the sweep; those that were left out are listed with the reason.
        max_clips: recordings to listen to per instrument; the first ones of ``tables.audio``.
        max_clip_secs: seconds kept of each.

    Raises:
        TinyTimbreError: a sound file is missing or unreadable.
    """
    page = report_page(tables, title=title, recordings=recordings, max_clips=max_clips, max_clip_secs=max_clip_secs)
    write_whole(pathlib.Path(output), page.encode())


def report_page(
    tables: SweepTables,
    *,
    title: str = "TinyTimbre sweep",
    recordings: RecordingSet | None = None,
    max_clips: int = 4,
    max_clip_secs: float = 6.0,
) -> str:
    """The page as text; arguments and errors as `write_report`'s."""
    listening = {
        instrument: _listening(tables, instrument, max_clips=max_clips, max_clip_secs=max_clip_secs)
        for instrument in track(tables.instruments, label="report", unit="instruments")
    }
    body = [_head(tables, title)]
    body += [_section(tables, instrument, listening[instrument]) for instrument in tables.instruments]
    body += [_left_out(recordings)] if recordings else []
    data = {
        "labels": METRIC_LABELS,
        "instruments": [plot_data(tables, instrument=instrument) for instrument in tables.instruments],
    }
    parts = {
        "title": html.escape(title),
        "style": _asset("report.css"),
        "body": "\n".join(body),
        "data": _script_json(data),
        "script": _asset("report.js"),
    }
    # One pass: braces in a name are never taken for a place of the template.
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], _asset("page.html"))


def inline_frame(page: str, *, height_px: int = 900) -> str:
    """An HTML element that shows a whole page inside another one, such as a notebook, cut off from its styles."""
    frame = f'<iframe srcdoc="{html.escape(page)}" style="width:100%;height:{height_px}px;border:0"></iframe>'
    # IPython warns of HTML that begins with a frame: it knows frames by address only.
    return f"<div>{frame}</div>"


def _left_out(recordings: RecordingSet) -> str:
    """Files and whole instruments that were not used, and why; nothing where all were."""
    reasons = {
        recording.path: next(found.message for found in recording.problems if found.fatal)
        for recording in recordings.rejected()
    }
    reasons |= {f"all of {name}": problems[0].message for name, problems in recordings.instrument_problems.items()}
    if not reasons:
        return ""
    items = "".join(f"<li>{html_tables.code(name)}: {html.escape(reason)}</li>" for name, reason in reasons.items())
    return (
        f"<section><details class='data'><summary>Recordings left out ({len(reasons)})</summary>"
        f"<div class='why'><ul>{items}</ul></div></details></section>"
    )


def _asset(name: str) -> str:
    return importlib.resources.files("tinytimbre.report").joinpath("assets", name).read_text(encoding="utf-8")


def _script_json(value: Any) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _head(tables: SweepTables, title: str) -> str:
    rows = "".join(_overview_row(tables, instrument) for instrument in tables.instruments)
    failed = int(html_tables.is_failed(tables.trials).sum())
    counted = f"{len(tables.trials)} trials" + (f", {failed} of them failed" if failed else "")
    exported = int(tables.candidates["total_brotli"].notna().sum())
    return (
        f"<header><h1>{html.escape(title)}</h1><p class='lead'>{counted}; {exported} exported models, "
        f"judged as they ship. Sizes are compressed with brotli.</p>"
        "<div class='scroll'><table class='overview'><thead><tr><th>Instrument</th><th>Verdict</th><th>Model</th>"
        "<th class='n'>Size</th><th class='n'>Parameters</th><th class='n'>MFLOP/s</th><th class='n'>Log spectral</th>"
        f"<th class='n'>Test takes</th></tr></thead><tbody>{rows}</tbody></table></div></header>"
    )


def _overview_row(tables: SweepTables, instrument: str) -> str:
    verdict = tables.verdicts.get(instrument)
    row = _candidate_row(tables, verdict.chosen or verdict.nearest) if verdict else None
    cells = ["", "", "", ""] if row is None else _sizes(row)
    named = html_tables.code(str(row["candidate_id"])) if row is not None else ""
    numbers = "".join(f"<td class='n'>{cell}</td>" for cell in [*cells, str(verdict.n_takes) if verdict else ""])
    anchor = f"<a href='#{_anchor(tables, instrument)}'>{html.escape(instrument)}</a>"
    return f"<tr><td>{anchor}</td><td>{_pill(verdict)}</td><td>{named}</td>{numbers}</tr>"


def _sizes(row: pd.Series) -> list[str]:
    quality = plain(row["log_spectral_db"])
    return [
        size(int(row["total_brotli"])) if pd.notna(row["total_brotli"]) else "–",
        html_tables.number(row["parameters"]),
        html_tables.number(row["decoder_mflops"]),
        "–" if quality is None else f"{quality:.2f} dB",
    ]


def _candidate_row(tables: SweepTables, candidate_id: str | None) -> pd.Series | None:
    found = tables.candidates[tables.candidates["candidate_id"] == candidate_id]
    return found.iloc[0] if len(found) else None


def _pill(verdict: Verdict | None) -> str:
    if verdict is None:
        return "<span class='pill bad'>no verdict</span>"
    if verdict.chosen is None:
        return "<span class='pill bad'>none qualifies</span>"
    if verdict.shown:
        return "<span class='pill good'>smaller model shown</span>"
    return "<span class='pill mid'>best model kept</span>"


def _anchor(tables: SweepTables, instrument: str) -> str:
    """An id that no name can break."""
    return f"instrument-{tables.instruments.index(instrument)}"


def _section(tables: SweepTables, instrument: str, listening: str) -> str:
    verdict = tables.verdicts.get(instrument)
    index = tables.instruments.index(instrument)
    parts = [
        f"<section id='{_anchor(tables, instrument)}' data-instrument='{index}'>",
        f"<h2>{html.escape(instrument)} {_pill(verdict)}</h2>",
        _verdict_words(tables, instrument),
        _tiles(tables, verdict),
        "<h3>Quality versus size</h3><div class='plot' data-plot='front'></div>",
        _knee_words(tables, instrument),
        listening,
        _why(verdict),
        "<h3>Learning curves</h3><div class='plot' data-plot='curves'></div>",
        _ranks(tables, instrument),
        _distillation(tables, instrument),
        html_tables.candidates_table(tables, instrument=instrument),
        html_tables.trials_table(tables, instrument=instrument),
        html_tables.gates_table(verdict),
        "</section>",
    ]
    return "\n".join(parts)


def _verdict_words(tables: SweepTables, instrument: str) -> str:
    verdict = tables.verdicts.get(instrument)
    if verdict is None:
        return f"<p class='verdict'>{html.escape(why_no_verdict(tables, instrument=instrument))}</p>"
    floor = html.escape(floor_words(verdict.floor))
    return f"<p class='verdict'>{html.escape(verdict.summary)}</p><p class='floor'>{floor}</p>"


def _ranks(tables: SweepTables, instrument: str) -> str:
    """How well the early rungs foretold the last."""
    own = [found for found in agreements(tables) if found.instrument == instrument]
    if not own:
        return ""
    items = "".join(f"<li>{html.escape(found.words())}</li>" for found in own)
    return f"<h3>Do early rungs foretell the end?</h3><div class='why'><ul>{items}</ul><p>{BIAS}</p></div>"


def _knee_words(tables: SweepTables, instrument: str) -> str:
    own = tables.candidates[tables.candidates["instrument"] == instrument]
    row = _candidate_row(tables, knee_for("log_spectral_db", own))
    if row is None:
        return ""
    return (
        f"<p class='floor'>The knee of the front, where more bytes begin to buy little: "
        f"{html_tables.code(str(row['candidate_id']))}, {size(int(row['total_brotli']))}, "
        f"{plain(row['log_spectral_db']):.2f} dB. It decides nothing.</p>"
    )


def _tiles(tables: SweepTables, verdict: Verdict | None) -> str:
    """The chosen (or nearest) model in numbers, beside the best."""
    row = _candidate_row(tables, verdict.chosen or verdict.nearest) if verdict else None
    best = _candidate_row(tables, verdict.reference) if verdict else None
    if row is None or best is None:
        return ""
    tiles = [
        _tile(name, value, other)
        for name, value, other in zip(("Size", "Parameters", "MFLOP/s"), _sizes(row), _sizes(best), strict=False)
    ]
    for metric in METRICS:
        unit = GATE_NAMES[metric][1].replace("points", "%")
        shown = [f"{plain(r[metric]):.2f} {unit}" if plain(r[metric]) is not None else "–" for r in (row, best)]
        tiles.append(_tile(METRIC_LABELS[metric].split(" (")[0], shown[0], shown[1]))
    scores = [plain(r.get(OPINION_COLUMN)) for r in (row, best)]
    if scores[0] is not None:
        tiles.append(_tile("ViSQOL (decides nothing)", *("–" if score is None else f"{score:.2f}" for score in scores)))
    return f"<div class='tiles'>{''.join(tiles)}</div>"


def _tile(name: str, value: str, best: str) -> str:
    return f"<div class='tile'><span>{name}</span><b>{value}</b><small>best model {best}</small></div>"


def _why(verdict: Verdict | None) -> str:
    if verdict is None or not verdict.reasons:
        return ""
    heading = "Why nothing smaller" if verdict.chosen else "Why none"
    items = [f"<li>{html.escape(reason)}</li>" for reason in verdict.reasons]
    shown, hidden = items[:6], items[6:]
    more = f"<details><summary>{len(hidden)} more</summary><ul>{''.join(hidden)}</ul></details>" if hidden else ""
    return f"<h3>{heading}</h3><div class='why'><ul>{''.join(shown)}</ul>{more}</div>"


def _distillation(tables: SweepTables, instrument: str) -> str:
    words = distillation_words(tables, instrument=instrument)
    if not words:
        return ""
    table = html_tables.pairs_table(tables, instrument=instrument)
    return f"<h3>Did distillation pay?</h3><p>{html.escape(words)}</p>{table}"


def _listening(tables: SweepTables, instrument: str, *, max_clips: int, max_clip_secs: float) -> str:
    """Players and spectrograms, a row per recording, a card per sound."""
    clips = [clip for clip in tables.audio if clip.instrument == instrument]
    recordings = list(dict.fromkeys(clip.recording_id for clip in clips))[:max_clips]
    rows = [
        _recording([clip for clip in clips if clip.recording_id == recording], max_clip_secs=max_clip_secs)
        for recording in recordings
    ]
    return f"<h3>Listen</h3>{''.join(rows)}" if rows else ""


def _recording(clips: list[AudioClip], *, max_clip_secs: float) -> str:
    ordered = sorted(clips, key=lambda clip: ROLES.index(clip.role))
    sounds = [embed.read_clip(clip.path, max_secs=max_clip_secs) for clip in ordered]
    peak = embed.spectrogram_peak(sounds[0])
    cards: list[str] = []
    seen: set[str] = set()
    for clip, sound in zip(ordered, sounds, strict=True):
        if clip.candidate_id and clip.candidate_id in seen:
            continue
        seen.add(clip.candidate_id)
        # The chosen model is often the best one: one card with both names.
        names = [ROLE_NAMES[o.role] for o in ordered if o.candidate_id == clip.candidate_id and o.role != "original"]
        name = " · ".join(names) if clip.role != "original" else ROLE_NAMES["original"]
        uris = (embed.spectrogram_uri(sound, peak=peak), embed.mp3_uri(sound))
        cards.append(_card(name, clip.candidate_id, spectrogram=uris[0], audio=uris[1]))
    heading = html.escape(ordered[0].recording_id)
    return f"<div class='take'><p class='takename'>Test take <code>{heading}</code></p>{_cards(cards)}</div>"


def _cards(cards: list[str]) -> str:
    return f"<div class='cards'>{''.join(cards)}</div>"


def _card(name: str, candidate_id: str, *, spectrogram: str, audio: str) -> str:
    alt = f"Spectrogram: {html.escape(name)}"
    who = html_tables.code(candidate_id) if candidate_id else "<code>recording</code>"
    return (
        f"<figure><figcaption><b>{html.escape(name)}</b> {who}</figcaption><img src='{spectrogram}' alt='{alt}' "
        f"loading='lazy'><audio controls preload='none' src='{audio}'></audio></figure>"
    )
