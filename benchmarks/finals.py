"""The last word of a search: its finalists with three seeds, beside the known references, on the same data and steps.

    python -m benchmarks.finals workspaces/flute --output configs/finals/flute.yaml
    tinytimbre run configs/finals/flute.yaml --recordings my-recordings --workspace workspaces/flute

Writes the configuration of a second sweep for the same workspace. Its trials are those that the search trained to the
end, each with every seed, and `benchmarks.references` with every learning rate of the search (or those that ``--rate``
names), all through the same rungs and none left behind. What the search has trained already is in the workspace's store
and is not trained again, so the finals cost the further seeds and the references. They are judged together: the
seed-to-seed floor is measured, and the references stand in the same tables. Distillation is on and every number of bits
is exported, three bits tuned, to learn what both are worth. With ``--frame-rate`` the same configurations are trained
at another one, in a workspace of its own; losses are all that is compared, so nothing is distilled there and bits are
the search's.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import yaml

from benchmarks.findings.sweeps import Sweep, read_sweeps
from benchmarks.options import exit_code, positive_float, positive_int
from benchmarks.references import REFERENCES
from tinytimbre.config import MIN_SEEDS, SweepConfig
from tinytimbre.decoders.spec import DecoderSpec
from tinytimbre.durable import write_whole
from tinytimbre.errors import TinyTimbreError

SUFFIX = "-finals"
QUANTISATIONS = ("float32", "float16", "uint8", "int6", "int4", "tuned3")
EVERY_ONE = 1_000_000
"""As ``min_per_stratum``: nobody is left behind at a rung."""


def searched(sweeps: Sequence[Sweep]) -> Sweep:
    """The newest sweep that is no finals itself.

    Raises:
        TinyTimbreError: there is none, or it was made by a version that kept too little.
    """
    found = [sweep for sweep in sweeps if not sweep.config.name.endswith(SUFFIX)]
    if not found:
        raise TinyTimbreError("finals need the search they are the end of", got="finals only")
    if not {"learning_rate", "seed"} <= set(found[-1].tables.trials):
        raise TinyTimbreError(
            "the search's table must tell the learning rate and seed of its trials",
            got=f"{found[-1].origin}: none",
            cause="the sweep was finished by an earlier version",
            remedy="run `tinytimbre run` once more in its workspace: what was trained is kept",
        )
    return found[-1]


def finalists(sweep: Sweep, *, instruments: Sequence[str], most: int | None) -> list[dict[str, Any]]:
    """Configurations that reached the last rung for any of the instruments, without their seeds.

    Args:
        sweep: the search.
        instruments: of whom.
        most: per instrument and size stratum, those with the lowest validation loss; None: all.
    """
    chosen: dict[str, dict[str, Any]] = {}
    for instrument in instruments:
        trials = sweep.trials(instrument)
        done = trials[trials["status"] == "done"].sort_values(["validation_loss", "trial_id"])
        for _, of_stratum in done.groupby("stratum", sort=True):
            for row in of_stratum.drop_duplicates("configuration").head(most or len(of_stratum)).to_dict("records"):
                chosen.setdefault(row["configuration"], _values(row))
    return list(chosen.values())


def _values(row: dict[Any, Any]) -> dict[str, Any]:
    """A row of the table of trials as an entry of ``search.include``."""
    fields = {name: row[name] for name in DecoderSpec.model_fields if name in row}
    spec = DecoderSpec(kind=row["decoder"], **fields)
    return {**_entry(spec), "learning_rate": float(row["learning_rate"])}


def _entry(spec: DecoderSpec) -> dict[str, Any]:
    unused = {"kernel_size"} if spec.kind == "gru" else set()
    values = spec.model_dump(exclude=unused)
    return {"decoder": values.pop("kind"), **values}


def finals(
    sweep: Sweep,
    *,
    instruments: Sequence[str],
    most: int | None,
    seeds: int,
    frame_rate_hz: float | None,
    rates: Sequence[float] | None = None,
) -> SweepConfig:
    """The configuration of the finals of a search; `rates` are the references' learning rates, None: all of it.

    Raises:
        TinyTimbreError: nothing reached the last rung.
    """
    chosen = finalists(sweep, instruments=instruments, most=most)
    if not chosen:
        raise TinyTimbreError("finals need finalists", got=f"none of {', '.join(instruments)} in {sweep.origin}")
    if rates is None:
        rates = sorted(set(sweep.tables.trials["learning_rate"].astype(float)))
    known = [{**_entry(one.decoder), "learning_rate": rate, "seed": 0} for one in REFERENCES for rate in rates]
    first, *others = [*known, *({**values, "seed": seed} for values in chosen for seed in range(seeds))]
    values = sweep.config.model_dump()
    asked = _at_rate(values, frame_rate_hz) if frame_rate_hz else _in_every_way(values)
    changed = {
        "name": f"{sweep.config.name}{SUFFIX}",
        "instruments": tuple(instruments),
        # A search needs a space: it is the first of them, the others are named one by one.
        "search": {"space": {name: [value] for name, value in first.items()}, "include": others},
        # Each configuration names its own rate.
        "training": {name: value for name, value in values["training"].items() if name != "learning_rate"},
        "budget": {**values["budget"], "min_per_stratum": EVERY_ONE},
    }
    return SweepConfig.model_validate({**values, **changed, **asked})


def _at_rate(values: dict[str, Any], frame_rate_hz: float) -> dict[str, Any]:
    return {"features": {**values["features"], "frame_rate_hz": frame_rate_hz}}


def _in_every_way(values: dict[str, Any]) -> dict[str, Any]:
    return {
        "distillation": {**values["distillation"], "enabled": True},
        "export": {**values["export"], "quantisations": QUANTISATIONS},
    }


def as_yaml(config: SweepConfig, *, command: str) -> str:
    """Only what differs from the defaults, with the command that wrote it."""
    values = config.model_dump(mode="json", exclude_defaults=True)
    return f"# Written by: {command}\n{yaml.safe_dump(values, sort_keys=False, width=120)}"


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=pathlib.Path, help="in which the search has run to its end")
    parser.add_argument("--output", type=pathlib.Path, required=True, help="configuration to write")
    parser.add_argument("--instrument", action="append", help="may be repeated; default: all of the search")
    parser.add_argument("--seeds", type=positive_int, default=MIN_SEEDS, help="of each finalist (default: 3)")
    parser.add_argument("--most", type=positive_int, help="configurations per instrument and size stratum")
    parser.add_argument(
        "--rate", type=positive_float, action="append", help="learning rate of the references, may be repeated"
    )
    parser.add_argument("--without-references", action="store_const", const=[], dest="rate", help="finalists alone")
    parser.add_argument("--frame-rate", type=positive_float, help="frames a second, if others than the search's")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the configuration; gives the exit code."""
    args = _arguments(argv)
    return exit_code(lambda: _write(args, " ".join(sys.argv[1:] if argv is None else argv)))


def _write(args: argparse.Namespace, given: str) -> int:
    sweep = searched(read_sweeps([args.workspace]))
    instruments = args.instrument or sweep.tables.instruments
    config = finals(
        sweep,
        instruments=instruments,
        most=args.most,
        seeds=args.seeds,
        frame_rate_hz=args.frame_rate,
        rates=args.rate,
    )
    write_whole(args.output, as_yaml(config, command=f"python -m benchmarks.finals {given}").encode())
    count = 1 + len(config.search.include)
    print(f"{args.output}: {count} trials of {', '.join(instruments)}, students apart; those of the search are not")
    print("trained again in its workspace. `tinytimbre plan` with this file shows sizes and time")
    return 0


if __name__ == "__main__":
    sys.exit(main())
