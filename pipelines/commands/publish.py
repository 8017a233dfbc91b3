"""Publish a model of a finished sweep by hand; a dry run unless --yes."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from pipelines.commands import options
from pipelines.workspace import Workspace, check_place
from tinytimbre.errors import TinyTimbreError

if TYPE_CHECKING:
    import pandas as pd

    from components.model_pusher.publishing import FinishedSweep
    from tinytimbre.quality.verdict import Verdict

ACCEPTED = ("chosen", "confirmed")
"""Stages of a verdict at which a model has passed every gate."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which model, and where to."""
    options.add_workspace_argument(parser)
    parser.add_argument("--instrument", required=True, metavar="NAME")
    parser.add_argument(
        "--trial",
        metavar="ID",
        help="start of the id of a trial, of which the smallest accepted model is meant, or with a quantisation, such "
        "as 1a2b-uint8, that very model (default: the chosen one)",
    )
    parser.add_argument("--to", required=True, metavar="PLACE", help="folder, or address of an object store")
    parser.add_argument("--yes", action="store_true", help="really publish")


def run(args: argparse.Namespace) -> int:
    """Says what would be published; with --yes does it."""
    from components.model_pusher.publishing import publish_candidate
    from pipelines.commands.outcome import outcome
    from pipelines.lineage import History
    from pipelines.terminal import terminal

    workspace = Workspace(args.workspace).require()
    check_place(args.to, args.instrument, purpose="the place to publish to")
    with terminal(verbose=args.verbose) as screen:
        sweep = outcome(History.read(workspace.metadata)).sweep
        candidate_id = choose(sweep, instrument=args.instrument, trial=args.trial)
        model = sweep.model(candidate_id)
        text = f"{candidate_id} ({model.size.total_brotli:,} bytes with brotli) to {args.to}/{args.instrument}/"
        if args.yes:
            text = f"published: {publish_candidate(candidate_id, sweep=sweep, to=args.to)}"
        else:
            text = f"would publish {text}\nnothing was written; add --yes to publish"
        screen.results.print(text, markup=False, highlight=False, soft_wrap=True)
    return 0


def choose(sweep: FinishedSweep, *, instrument: str, trial: str | None) -> str:
    """Candidate id that is meant; of a trial's models the smallest that was accepted, unless one is named.

    Raises:
        TinyTimbreError: no such instrument or trial, the sweep chose none and none is named, or none of the named
            trial's models was accepted.
    """
    candidates = sweep.tables.candidates
    own = candidates[(candidates["instrument"] == instrument) & (candidates["status"] == "evaluated")]
    if own.empty:
        raise TinyTimbreError(
            "the sweep must hold an evaluated model of the instrument",
            got=instrument,
            remedy=f"there are: {', '.join(sweep.tables.instruments)}",
        )
    if trial is None:
        verdict = sweep.tables.verdicts[instrument]
        if verdict.chosen is None:
            raise TinyTimbreError(
                "the sweep must have chosen a model, or --trial must name one",
                got=f"none chosen for {instrument}; nearest: {verdict.nearest}",
                remedy=f"listen in the report; to publish it all the same: --trial {verdict.nearest}",
            )
        return verdict.chosen
    named = _matching(own, trial).sort_values("total_brotli")
    if named["trial_id"].nunique() != 1:
        raise TinyTimbreError(
            f"--trial must name one exported trial of {instrument}",
            got=f"{trial}, which is the start of {named['trial_id'].nunique()}",
            remedy=f"there are: {', '.join(sorted(set(own['trial_id'])))}",
        )
    if "-" in trial:
        return str(named["candidate_id"].iloc[0])
    return _accepted(list(named["candidate_id"]), verdict=sweep.tables.verdicts[instrument])


def _accepted(candidate_ids: list[str], *, verdict: Verdict) -> str:
    """The first of a trial's models that passed every gate."""
    outcomes = {outcome.candidate_id: outcome for outcome in verdict.outcomes}
    for candidate_id in candidate_ids:
        if candidate_id in outcomes and outcomes[candidate_id].stage in ACCEPTED:
            return candidate_id
    reasons = [f"{one}: {outcomes[one].reason}" for one in candidate_ids if one in outcomes]
    raise TinyTimbreError(
        "--trial without a quantisation publishes the smallest model of the trial that was accepted",
        got="none was; " + "; ".join(reasons),
        remedy=f"to publish one all the same, name it with its quantisation: --trial {candidate_ids[0]}",
    )


def _matching(candidates: pd.DataFrame, trial: str) -> pd.DataFrame:
    """Models of the trials whose ids start as given, in the quantisation given after a dash, if any."""
    start, _, quantisation = trial.partition("-")
    trials = candidates["trial_id"].str.startswith(start)
    return candidates[trials & (candidates["quantisation"].eq(quantisation) | (not quantisation))]
