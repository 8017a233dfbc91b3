"""Show what a sweep would train, how big and for how long; trains nothing."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from pipelines.commands import options

if TYPE_CHECKING:
    import rich.table

    from tinytimbre.config import SweepConfig
    from tinytimbre.sweep.plan import SweepPlan, Trial

NOT_EXTRACTED = "not extracted"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """As of ``run``."""
    options.add_sweep_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Plans with the instruments of the recordings folder, without reading a recording."""
    from pipelines.estimate import check_machine, estimate_disk
    from pipelines.recordings import take_inventory
    from pipelines.terminal import results_console
    from tinytimbre.sweep.plan import plan_sweep

    config, jobs = options.configuration(args), options.jobs(args)
    inventory = take_inventory(args.recordings, instruments=config.instruments)
    plan = plan_sweep(config, fingerprints=dict.fromkeys(inventory.instruments, NOT_EXTRACTED))
    console = results_console()
    console.print(
        f"{config.name}: {len(plan.trials)} trials, {len(plan.trials) // len(plan.instruments)} for each of "
        f"{', '.join(plan.instruments)} ({inventory.n_files} files, {inventory.n_bytes / 1e6:.1f} MB)",
        highlight=False,
    )
    console.print(_strata(plan))
    console.print(_rungs(plan, config, jobs))
    console.print(
        f"Times are estimates for {jobs} processes, from a step measured on a 2-core machine "
        "(pipelines/estimate.py); export, evaluation and start come on top, about 3 s per exported model.",
        highlight=False,
    )
    console.print(_memory(plan, config, jobs), highlight=False)
    disk = estimate_disk(plan.trials, config=config, recorded_bytes=inventory.n_bytes)
    console.print(f"Disk: about {disk / 1e9:.1f} GB at most.", highlight=False)
    check_machine(plan.trials, config=config, jobs=jobs)
    return 0


def _memory(plan: SweepPlan, config: SweepConfig, jobs: int) -> str:
    from pipelines.estimate import PIPELINE_BYTES, largest_group
    from tinytimbre.sweep.limits import machine_bytes
    from tinytimbre.training.memory import POOL_BYTES_PER_SAMPLE

    estimate = largest_group(plan.trials, config=config)
    audio = POOL_BYTES_PER_SAMPLE * config.audio.sample_rate_hz * 60
    together = PIPELINE_BYTES + estimate.all_workers(jobs)
    limit = config.budget.worker_memory_mb
    allowed = f", at most {limit / 1e3:.1f} GB (budget.worker_memory_mb)" if limit else ""
    return (
        f"Memory: about {estimate.worker / 1e9:.1f} GB for the largest worker{allowed}, {estimate.shared / 1e9:.1f} of "
        f"it shared; {together / 1e9:.1f} GB for {jobs} and the pipeline, of {machine_bytes() / 1e9:.1f} GB. Each "
        f"minute of an instrument's recordings adds {audio / 1e6:.0f} MB to a worker."
    )


def _strata(plan: SweepPlan) -> rich.table.Table:
    """Sizes, alike for every instrument."""
    import rich.table

    table = rich.table.Table("stratum", "trials", "kinds", title="Sizes, per instrument", title_justify="left")
    for name in ("parameters", "kB in float16", "MFLOP/s"):
        table.add_column(name, justify="right")
    own = [trial for trial in plan.trials if trial.instrument == plan.instruments[0]]
    for stratum in sorted({trial.stratum for trial in own}):
        members = [trial for trial in own if trial.stratum == stratum]
        kinds = ", ".join(sorted({trial.decoder.kind for trial in members}))
        table.add_row(str(stratum), str(len(members)), kinds, *_ranges(members))
    return table


def _ranges(trials: list[Trial]) -> list[str]:
    parameters = [trial.parameters for trial in trials]
    kilobytes = [trial.estimated_bytes / 1e3 for trial in trials]
    mflops = [trial.decoder_mflops for trial in trials]
    return [
        f"{min(parameters):,} … {max(parameters):,}",
        f"{min(kilobytes):.0f} … {max(kilobytes):.0f}",
        f"{min(mflops):.2f} … {max(mflops):.2f}",
    ]


def _rungs(plan: SweepPlan, config: SweepConfig, jobs: int) -> rich.table.Table:
    import rich.table

    from pipelines.estimate import estimate_rungs, estimate_students, estimate_tuning
    from tinytimbre.config import TUNED_BITS

    table = rich.table.Table("rung", "to step", title="Training", title_justify="left")
    for name in ("trials", "steps together", "about"):
        table.add_column(name, justify="right")
    estimates = estimate_rungs(plan.trials, config=config, jobs=jobs)
    for rung, (target, estimate) in enumerate(zip(plan.rungs, estimates, strict=True)):
        row = (str(rung), str(target), str(estimate.n_trials), f"{estimate.steps:,}", _duration(estimate.seconds))
        table.add_row(*row)
    if config.distillation.enabled:
        estimates.append(estimate_students(plan.trials, config=config, jobs=jobs))
        steps = str(config.distillation.steps or plan.rungs[-1])
        most = estimates[-1]
        row = ("students", steps, f"≤ {most.n_trials}", f"≤ {most.steps:,}", f"≤ {_duration(most.seconds)}")
        table.add_row(*row)
    n_models = sum(estimate.n_trials for estimate in estimates[len(plan.rungs) - 1 :])
    for quantisation in (one for one in config.export.quantisations if one in TUNED_BITS):
        estimates.append(estimate_tuning(n_models, plan.trials, config=config, jobs=jobs))
        most, steps = estimates[-1], str(config.export.tuning_steps)
        row = (quantisation, steps, f"≤ {most.n_trials}", f"≤ {most.steps:,}", f"≤ {_duration(most.seconds)}")
        table.add_row(*row)
    table.add_row("all", "", "", f"{sum(e.steps for e in estimates):,}", _duration(sum(e.seconds for e in estimates)))
    return table


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
