"""The Beam engine that extracts features: the one that the configuration names, or threads of this process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.runner import PipelineResult, create_runner

from components.feature_extractor.store import FeatureStore
from components.feature_extractor.transforms import Extract
from tinytimbre.audio.recording import Recording
from tinytimbre.errors import TinyTimbreError


def beam_arguments(given: Sequence[str], *, jobs: int) -> list[str]:
    """Arguments of Beam; where `given` names no runner, they come behind those of the in-process one.

    Beam's own default would try to download another runner first. Threads suffice: resampling, pitch tracking and
    transforms release the interpreter's lock.

    Args:
        given: of the configuration, each ``--name`` or ``--name=value``.
        jobs: threads.
    """
    if any(argument.startswith("--runner=") for argument in given):
        return list(given)
    return ["--runner=FnApiRunner", "--direct_running_mode=multi_threading", f"--direct_num_workers={jobs}", *given]


def extract(recordings: Sequence[Recording], *, store: FeatureStore, arguments: Sequence[str]) -> None:
    """Has the features of recordings in the store, whose audio must be there.

    Between processes travel descriptions of recordings, not audio: memory holds one recording per worker however many
    there are.

    Args:
        recordings: to be done.
        store: in a folder that all workers reach.
        arguments: of Beam.

    Raises:
        TinyTimbreError: see `running`; or what reading a recording says.
    """
    with running(arguments) as pipeline:
        _ = (
            pipeline
            | "Recordings" >> beam.Create(recordings)
            | "Spread" >> beam.Reshuffle()
            | "Extract" >> beam.ParDo(Extract(store))
        )


@contextlib.contextmanager
def running(arguments: Sequence[str]) -> Iterator[beam.Pipeline]:
    """A pipeline that runs when it is left.

    Raises:
        TinyTimbreError: Beam has no such runner, it is not installed, or its cluster does not answer.
    """
    options = PipelineOptions(list(arguments))
    name = options.view_as(StandardOptions).runner
    try:
        runner = create_runner(name)
    except (ImportError, AttributeError, ValueError) as error:  # Beam's Dask runner without Dask: the second
        raise TinyTimbreError(
            "the runner that `beam` names must be one of Beam's, and installed",
            got=f"--runner={name}: {error}"[:300],
            remedy="correct the name, or install what it needs, such as tinytimbre[dask]",
        ) from error
    try:
        with beam.Pipeline(runner=runner, options=options) as pipeline:
            yield pipeline
        _disconnect(pipeline.result)
    except OSError as error:
        if error.errno is not None:  # that of a file
            raise
        raise TinyTimbreError(
            "the engine that `beam` names must answer",
            got=f"--runner={name}: {error}"[:300],
            remedy="start it, or correct its address; what is extracted is kept",
        ) from error


def _disconnect(result: PipelineResult) -> None:
    """Beam's Dask runner leaves its client open, which would look for a cluster that has gone."""
    client = getattr(result, "client", None)
    if client is not None:
        client.close()
