"""A sweep on many pods, simulated: how long it takes, what is paid for and what the trial store sees.

A rung ends when its last pod does. A pod starts after a while, may run on a slow node, and is killed now and then;
then its next attempt goes on from the last checkpoints. Within a pod, processes take groups of trials, the largest
first, as `tinytimbre.sweep.rung` does it.
"""

from __future__ import annotations

import dataclasses
import heapq
import math

import numpy as np

from benchmarks.scaling_costs import (
    CHECKPOINT_READS,
    READS_OF_A_TRIAL,
    READS_PER_SAVE,
    SMALL_READS,
    SMALL_WRITES,
    WRITES_PER_SAVE,
    Costs,
)

HOUR_SECS = 3_600.0


@dataclasses.dataclass(frozen=True)
class Cluster:
    """Where the pods run.

    Attributes:
        shards: pods of a rung.
        cpus: of each of them.
        start_secs: from the end of the task before until a pod's program runs: two pods scheduled, the image there.
        start_spread: standard deviation of its logarithm.
        import_secs: until the program has imported TFX.
        slow_share: of the nodes.
        slow_factor: how much longer everything takes on them.
        preemptions_per_hour: of one pod.
        retries: before the run fails.
        backoff_secs: before the first retry; it doubles.
        request_secs: until the trial store answers. Of S3, 0.1 to 0.2
            (docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html).
    """

    shards: int = 4
    cpus: int = 16
    start_secs: float = 30.0
    start_spread: float = 0.5
    import_secs: float = 6.0
    slow_share: float = 0.05
    slow_factor: float = 1.5
    preemptions_per_hour: float = 0.05
    retries: int = 2
    backoff_secs: float = 30.0
    request_secs: float = 0.1


@dataclasses.dataclass
class Usage:
    """What a run took.

    Attributes:
        wall_secs: from start to end.
        core_secs: of all pods, from the moment they have a node.
        useful_secs: of these, training.
        barrier_secs: core seconds that nodes would wait at the ends of rungs, were they kept.
        failed: a pod was killed more often than it is retried.
    """

    wall_secs: float = 0.0
    core_secs: float = 0.0
    useful_secs: float = 0.0
    barrier_secs: float = 0.0
    failed: bool = False


@dataclasses.dataclass(frozen=True)
class Traffic:
    """Of the trial store and the artifacts, bytes and requests."""

    written: float = 0.0
    read: float = 0.0
    puts: float = 0.0
    gets: float = 0.0
    kept: float = 0.0

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(*(a + b for a, b in zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)))

    def times(self, factor: float) -> Traffic:
        """As much of everything."""
        return Traffic(*(factor * value for value in dataclasses.astuple(self)))


def simulate_run(
    costs: Costs, *, instruments: int, configurations: int, cluster: Cluster, rng: np.random.Generator
) -> Usage:
    """One run: rungs with their promoters, then export and evaluation in one pod each.

    Args:
        costs: measured.
        instruments: in this run.
        configurations: of each.
        cluster: where.
        rng: of starts, nodes, preemptions and of which trials are drawn.
    """
    usage, counts = Usage(), costs.participants(configurations)
    _alone(usage, costs.features_secs * instruments / cluster.cpus, cluster, rng)
    for number, count in enumerate(counts[:-1]):
        waiting = cluster.request_secs * _requests(costs, number, n_trials=count * instruments, cluster=cluster)
        _train(usage, costs, number, n_trials=count * instruments, waiting_secs=waiting, cluster=cluster, rng=rng)
        # The plan is read whole, whoever is left in it; a promoter has one processor.
        _alone(usage, costs.promotion_secs * configurations * instruments, cluster, rng, cpus=1)
    _alone(usage, evaluation_secs(costs, instruments, configurations, cluster=cluster), cluster, rng)
    return usage


def evaluation_secs(costs: Costs, instruments: int, configurations: int, *, cluster: Cluster) -> float:
    """Of the one pod that exports and evaluates all finalists, and reads for its tables what came of every trial."""
    counts = costs.participants(configurations)
    reading = READS_OF_A_TRIAL * configurations + sum(counts[:-1])  # one after the other
    return instruments * (costs.finalist_secs * counts[-1] / cluster.cpus + cluster.request_secs * reading)


def _train(
    usage: Usage,
    costs: Costs,
    number: int,
    *,
    n_trials: int,
    waiting_secs: float,
    cluster: Cluster,
    rng: np.random.Generator,
) -> None:
    rung, training = costs.rungs[number], costs.config.training
    drawn = rng.choice(rung.training_secs, n_trials)
    secs = drawn + rung.overhead_secs + waiting_secs
    pods = []
    for shard in range(cluster.shards):
        work = makespan(secs[shard :: cluster.shards], cpus=cluster.cpus, side_by_side=training.side_by_side)
        save_secs = training.checkpoint_secs
        pods.append(_pod(usage, work + costs.start_secs, cluster, rng, cpus=cluster.cpus, save_secs=save_secs))
    usage.wall_secs += max(pods)
    usage.barrier_secs += cluster.cpus * sum(max(pods) - pod for pod in pods)
    usage.useful_secs += float(drawn.sum())


def _alone(
    usage: Usage, work_secs: float, cluster: Cluster, rng: np.random.Generator, *, cpus: int | None = None
) -> None:
    """A stage of one pod; its own caches keep what is done, some minute at most is lost with it."""
    usage.wall_secs += _pod(usage, work_secs, cluster, rng, cpus=cpus or cluster.cpus, save_secs=60.0)


def _pod(
    usage: Usage, work_secs: float, cluster: Cluster, rng: np.random.Generator, *, cpus: int, save_secs: float
) -> float:
    """Seconds until a pod's work is done, retries included."""
    total, left, attempt = 0.0, work_secs, 0
    while True:
        start = cluster.start_secs * math.exp(cluster.start_spread * rng.standard_normal())
        pace = cluster.slow_factor if rng.random() < cluster.slow_share else 1.0
        needed = (cluster.import_secs + left) * pace
        alive = rng.exponential(HOUR_SECS / cluster.preemptions_per_hour) if cluster.preemptions_per_hour else math.inf
        usage.core_secs += cpus * min(needed, alive)
        if alive >= needed:
            return total + start + needed
        usage.failed |= attempt >= cluster.retries
        lost = rng.uniform(0, save_secs)
        left -= max(0.0, alive / pace - cluster.import_secs - lost)
        total += start + alive + cluster.backoff_secs * 2 ** min(attempt, cluster.retries)
        attempt += 1


def makespan(secs: np.ndarray, *, cpus: int, side_by_side: int) -> float:
    """Until `cpus` processes have done all trials: groups of neighbours in size, the largest first."""
    if not len(secs):
        return 0.0
    size = max(1, min(side_by_side, len(secs) // (2 * cpus)))
    ordered = np.sort(secs)[::-1]
    groups = np.add.reduceat(ordered, np.arange(0, len(ordered), size))
    free = [0.0] * min(cpus, len(groups))
    for group in groups:
        heapq.heapreplace(free, free[0] + float(group))
    return max(free)


def traffic(costs: Costs, *, instruments: int, configurations: int, cluster: Cluster) -> Traffic:
    """Of one run. Every pod of a rung is given the features of all instruments, whichever it trains."""
    found = Traffic()
    counts = costs.participants(configurations)
    for number, count in enumerate(counts[:-1]):
        of_one = _trial_traffic(costs, number, n_trials=count * instruments, cluster=cluster)
        found += of_one.times(count * instruments)
    found += Traffic(gets=float(instruments * (READS_OF_A_TRIAL * configurations + sum(counts[:-1]))))
    artifacts = instruments * (costs.features_bytes + costs.plan_bytes * configurations)
    pods = cluster.shards * len(costs.rungs)
    return found + Traffic(read=artifacts * pods, written=artifacts, gets=4.0 * pods, puts=4.0, kept=artifacts)


def _requests(costs: Costs, number: int, *, n_trials: int, cluster: Cluster) -> float:
    """Of a trial in a rung, on average."""
    found = _trial_traffic(costs, number, n_trials=n_trials, cluster=cluster)
    return found.puts + found.gets


def _trial_traffic(costs: Costs, number: int, *, n_trials: int, cluster: Cluster) -> Traffic:
    """Of one trial in a rung, on average. A group saves every so often however many it trains side by side."""
    rung, config, first = costs.rungs[number], costs.config.training, number == 0
    size = max(1, min(config.side_by_side, n_trials // cluster.shards // (2 * cluster.cpus)))
    saves = 1 + np.floor(size * rung.training_secs / config.checkpoint_secs)
    checkpoint = rung.checkpoint_bytes
    return Traffic(
        written=float((saves * checkpoint + rung.weights_bytes).mean()),
        read=0.0 if first else CHECKPOINT_READS * float(checkpoint.mean()),
        puts=float(WRITES_PER_SAVE * saves.mean() + SMALL_WRITES),
        gets=float(READS_PER_SAVE * saves.mean() + SMALL_READS + (0 if first else CHECKPOINT_READS)),
        kept=float(rung.weights_bytes.mean() + (checkpoint.mean() if first else 0.0)),
    )
