"""How often the gates are wrong, and how many takes they need: a simulation study (`make bench-gates`).

Sweeps of models of known quality (`tinytimbre.quality.simulation`) are judged by the very code that judges real ones,
at the default margins. Prints the share of sweeps in which a smaller model was accepted, draws it over the number of
takes, and ends with an error where an unacceptable model is accepted more often than 5 %, beyond what chance explains.
Apart from that, few takes may mistake another model for the best: then that one is kept as "the best", and nothing is
said to be shown. How often is printed below each unacceptable case.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import pathlib
import sys

import scipy.stats

from tinytimbre.config import GateConfig
from tinytimbre.quality.simulation import Count, Scenario, count_accepted, scenarios
from tinytimbre.report.figure import write_power_figure

TAKES = (3, 4, 6, 8, 12, 16, 24, 36, 48, 72)
GATES = GateConfig(bootstrap_draws=400)
ALLOWED = 0.05
CHUNK = 100


def main() -> int:
    """Runs the study; 1 where an error rate is too high."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--sweeps", type=int, default=1_000, help="per cell")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--skewed", action="store_true", help="differences with a long tail instead of normal ones")
    parser.add_argument("--figure", type=pathlib.Path, help="where to draw the power, .png or .svg")
    args = parser.parse_args()
    print(f"{args.sweeps} sweeps a cell, {'skewed' if args.skewed else 'normal'} differences; % accepted")
    print(f"{'truth':24}" + "".join(f"{takes:>7}" for takes in TAKES) + "  test takes")
    rows = {}
    with concurrent.futures.ProcessPoolExecutor(args.jobs) as pool:
        for scenario in scenarios(GATES):
            counts = [_count(pool, scenario, takes, args) for takes in TAKES]
            rows[scenario.name] = [count.power if scenario.acceptable else count.error_rate for count in counts]
            print(_row(scenario.name, rows[scenario.name]), flush=True)
            if not scenario.acceptable:
                print(_row("  taken for the best", [count.mistaken / count.sweeps for count in counts]), flush=True)
    if args.figure:
        acceptable = {scenario.name: scenario.acceptable for scenario in scenarios(GATES)}
        write_power_figure(TAKES, rows, acceptable=acceptable, output=args.figure)
    limit = scipy.stats.binom.ppf(0.999, args.sweeps, ALLOWED) / args.sweeps
    bad = [s.name for s in scenarios(GATES) if not s.acceptable and max(rows[s.name]) > limit]
    print(json.dumps({"takes": TAKES, "accepted": rows, "limit": limit, "too_often": bad}))
    return 1 if bad else 0


def _row(name: str, shares: list[float]) -> str:
    return f"{name:24}" + "".join(f"{100 * share:7.1f}" for share in shares)


def _count(pool: concurrent.futures.Executor, scenario: Scenario, takes: int, args: argparse.Namespace) -> Count:
    """The sweeps of one cell, in chunks of seeds."""
    parts = [
        pool.submit(
            count_accepted,
            scenario,
            takes=takes,
            sweeps=min(CHUNK, args.sweeps - start),
            gates=GATES,
            first_seed=start,
            skewed=args.skewed,
        )
        for start in range(0, args.sweeps, CHUNK)
    ]
    return sum((part.result() for part in parts), Count())


if __name__ == "__main__":
    sys.exit(main())
