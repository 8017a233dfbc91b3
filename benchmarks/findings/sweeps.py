"""Finished sweeps as findings want them: tables, configuration, features and time of each.

    sweeps = read_sweeps([pathlib.Path("workspaces/flute"), …])

A workspace may hold several finished sweeps (a search, its finals); of each the newest is read. `keep` writes one to a
folder of about 300 KB that `read_sweeps` takes in a workspace's place, so that figures can be made anew without it.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from pipelines.lineage import History
from pipelines.workspace import Workspace
from tinytimbre.config import SweepConfig, config_from_json
from tinytimbre.durable import write_whole
from tinytimbre.errors import TinyTimbreError
from tinytimbre.quality.verdict import Verdict
from tinytimbre.report.tables import SweepTables

SIDE_FILE = "sweep.json"
SECTIONS = {
    "RecordingExampleGen": ("instruments", "split"),
    "SweepPlanner": ("name", "seed", "audio", "features", "search", "training", "budget"),
    "StudentPlanner": ("distillation",),
    "TfjsExporter": ("export",),
    "ModelSelector": ("gates",),
}
"""Which component was given which sections of the configuration; StudentPlanner is not in every sweep."""

CONFIGURATION = (
    "decoder", "input", "harmonics", "noise_bands", "width", "depth", "kernel_size", "reverb_bands", "learning_rate",
)  # fmt: skip
"""What trials of one configuration share; their seeds differ."""


@dataclasses.dataclass(frozen=True, eq=False)
class Sweep:
    """One finished sweep.

    Attributes:
        origin: name of its workspace.
        order: grows with time within a workspace.
        config: as it ran.
        fingerprints: of the features, by instrument; the same data have the same.
        wall_secs: of the stages that ended, what they had done before included.
        tables: with verdicts, without sounds.
    """

    origin: str
    order: int
    config: SweepConfig
    fingerprints: Mapping[str, str]
    wall_secs: float
    tables: SweepTables

    @property
    def frame_rate_hz(self) -> float:
        """Frames a second."""
        return self.config.features.frame_rate_hz

    @property
    def audio_secs(self) -> float:
        """Seconds of sound that a trial of the last rung has learnt from, repetitions counted."""
        training = self.config.training
        return training.batch_size * training.clip_secs * self.config.budget.rung_steps[-1]

    def trials(self, instrument: str) -> pd.DataFrame:
        """Those that were planned as such, students apart; with a column ``configuration``."""
        own = self.tables.trials
        own = own[(own["instrument"] == instrument) & (own["distillation"] != "student")]
        return own.assign(configuration=configurations(own))

    def verdict(self, instrument: str) -> Verdict | None:
        """None where nothing could be judged."""
        return self.tables.verdicts.get(instrument)


def configurations(trials: pd.DataFrame) -> pd.Series:
    """What tells trials apart except their seed, as text."""
    known = [name for name in CONFIGURATION if name in trials]
    return trials[known].astype(str).agg(" ".join, axis=1) if len(trials) else pd.Series([], dtype=str)


def read_sweeps(places: Iterable[pathlib.Path]) -> list[Sweep]:
    """All sweeps of these workspaces and kept folders, in the order given, older ones of a place first.

    Raises:
        TinyTimbreError: a place is neither, or has no finished sweep.
    """
    found: list[Sweep] = []
    for place in places:
        own = [_kept(path.parent) for path in sorted(place.rglob(SIDE_FILE))] if place.is_dir() else []
        found += sorted(own, key=lambda sweep: (sweep.origin, sweep.order)) or _of_workspace(place)
    return found


def keep(sweep: Sweep, folder: pathlib.Path) -> pathlib.Path:
    """Writes a sweep below `folder`; gives its own folder there."""
    path = folder / sweep.origin / sweep.config.name
    sweep.tables.save(path)
    side = {
        "origin": sweep.origin,
        "order": sweep.order,
        "config": json.loads(sweep.config.to_json()),
        "fingerprints": dict(sweep.fingerprints),
        "wall_secs": round(sweep.wall_secs, 1),
    }
    write_whole(path / SIDE_FILE, json.dumps(side, indent=1, sort_keys=True).encode())
    return path


def _kept(path: pathlib.Path) -> Sweep:
    side = json.loads((path / SIDE_FILE).read_text())
    config = config_from_json(json.dumps(side.pop("config")))
    return Sweep(config=config, tables=SweepTables.load(path), **side)


def _of_workspace(place: pathlib.Path) -> list[Sweep]:
    workspace = Workspace(place).require()
    history = History.read(workspace.metadata)
    newest: dict[tuple[str, float], Sweep] = {}
    for selection in _selections(history):
        sweep = _sweep(history, selection, origin=workspace.root.name)
        if sweep:
            newest[sweep.config.name, sweep.frame_rate_hz] = sweep
    if not newest:
        raise TinyTimbreError(
            "a sweep must have been finished in every workspace",
            got=str(workspace.root),
            remedy="run `tinytimbre run` to its end; `tinytimbre status` shows how far it got",
        )
    return sorted(newest.values(), key=lambda sweep: sweep.order)


def _selections(history: History) -> list[int]:
    """Artifacts of finished selectors, oldest first."""
    own = history.artifacts[history.artifacts["type"] == "Selection"]
    finished = [
        int(artifact) for artifact in own["id"] if history.makers_of([artifact])["state"].isin(["COMPLETE"]).any()
    ]
    return sorted(finished)


def _sweep(history: History, selection: int, *, origin: str) -> Sweep | None:
    """None where somebody has deleted its files."""
    chain = history.lineage_of(selection)
    folder = pathlib.Path(chain.loc[chain["id"] == selection, "uri"].iloc[0])
    if not folder.is_dir():
        return None
    makers = history.makers_of(chain["id"])
    features = chain[chain["type"] == "Features"].iloc[-1]["properties"]
    return Sweep(
        origin=origin,
        order=selection,
        config=_config(makers),
        fingerprints=json.loads(features["fingerprints"]),
        wall_secs=float((makers["ended"] - makers["started"]).sum()),
        tables=dataclasses.replace(SweepTables.load(folder), audio=[]),
    )


def _config(makers: pd.DataFrame) -> SweepConfig:
    """Put together from what the components were given."""
    sections: dict[str, Any] = {}
    for node, text in zip(makers["node"], makers["config"], strict=True):
        if node in SECTIONS:
            given = config_from_json(text)
            sections |= {name: getattr(given, name) for name in SECTIONS[node]}
    return SweepConfig(**sections)
