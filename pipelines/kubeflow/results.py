"""Brings what a finished run on Kubeflow left in the object store back into a workspace.

    results = fetch_results(run, root="s3://bucket/tinytimbre", folder=workspace.root / "runs" / run.run_id)
    results.publish(workspace.models)

A run leaves its report and its models in the artifact of ModelPusher, below
``<pipeline root>/<pipeline>/<run>/<task>/<attempt>/<output>/`` (``driver.go`` of Kubeflow Pipelines), and nowhere else
are they sure to be: the place it published to may be a volume that only pods can reach.
"""

from __future__ import annotations

import dataclasses
import pathlib

from components.names import PIPELINE_NAME, PUBLISHED_MODELS, REPORT
from pipelines.kubeflow.names import task_name
from pipelines.kubeflow.runs import Run
from tinytimbre.durable import write_whole
from tinytimbre.errors import TinyTimbreError
from tinytimbre.export.bundle import BUNDLE_FILES
from tinytimbre.export.publish import CARD_FILE, publish_bundle, read_index
from tinytimbre.progress import ProgressEvent, report
from tinytimbre.storage import open_storage

TASK, OUTPUT = task_name("ModelPusher"), "pushed"


@dataclasses.dataclass(frozen=True)
class Results:
    """A run's report and models, in a folder of this machine."""

    folder: pathlib.Path

    @property
    def report(self) -> pathlib.Path:
        """The page."""
        return self.folder / REPORT

    def publish(self, to: pathlib.Path) -> dict[str, pathlib.Path]:
        """Publishes the models as they are; gives instrument → directory, in which the digest is the cluster's too.

        Raises:
            TinyTimbreError: a model is not whole, or the place cannot be written.
        """
        models = self.folder / PUBLISHED_MODELS
        return {
            instrument: _publish(models / instrument / entry["latest"], to=to, instrument=instrument)
            for instrument, entry in sorted(read_index(models)["instruments"].items())
        }


def check_finished(run: Run) -> None:
    """Whether there is anything to fetch.

    Raises:
        TinyTimbreError: the run goes on, or came to another end than a good one.
    """
    if run.state == "SUCCEEDED":
        return
    failed = [stage.name for stage in run.stages if stage.state == "FAILED"]
    raise TinyTimbreError(
        "only a run that has succeeded has results",
        got=f"{run.run_id}: {run.state}{': ' if failed else ''}{', '.join(failed)}",
        cause=run.error,
        remedy="submit it again, what is done is reused" if run.ended else "wait for it: `tinytimbre status RUN`",
    )


def fetch_results(run: Run, *, root: str, folder: pathlib.Path) -> Results:
    """Downloads what is not there yet.

    Args:
        run: finished.
        root: the pipeline root of the run.
        folder: of this run alone; a fetch that was interrupted goes on in it.

    Raises:
        TinyTimbreError: no pipeline root, a store that cannot be read, or nothing in it.
    """
    if not root:
        raise TinyTimbreError(
            "the pipeline root of the run must be known",
            got="none: the run was started with the cluster's default",
            remedy="--pipeline-root, as the launcher's configuration of the cluster (kfp-launcher) names it",
        )
    place = f"{root.partition('?')[0].rstrip('/')}/{PIPELINE_NAME}/{run.run_id}/{TASK}"
    download(place, folder=folder / TASK)
    found = sorted((folder / TASK).glob(f"*/{OUTPUT}/{REPORT}"))
    if not found:
        raise TinyTimbreError(
            "a run leaves its results below its pipeline root",
            got=f"no {REPORT} below {place}",
            cause="another pipeline root, artifacts that were deleted, or a run of an earlier version",
            remedy="name the root with --pipeline-root",
        )
    return Results(found[-1].parent)


def download(url: str, *, folder: pathlib.Path) -> None:
    """Copies all files below `url` into `folder`, each whole or not at all; those that are there are not read again.

    Nothing below a run's own id is ever changed, so a file that is there is the right file.

    Args:
        url: an address of an object store, or a path; credentials are those that the environment gives to the store's
            own client.
        folder: made where it does not exist.

    Raises:
        TinyTimbreError: the store cannot be read.
    """
    storage = open_storage(url)
    names = storage.names()
    for done, name in enumerate(names):
        target = folder / _inside(name)
        content = None if target.is_file() else storage.read(name)
        if content is not None:
            write_whole(target, content)
        report(ProgressEvent("fetch", done + 1, len(names), "files"))


def _inside(name: str) -> pathlib.PurePosixPath:
    """A store's keys may be anything, so they are not trusted with our folders."""
    relative = pathlib.PurePosixPath(name)
    if relative.is_absolute() or ".." in relative.parts:
        raise TinyTimbreError("artifacts must lie below their folder", got=name)
    return relative


def _publish(version: pathlib.Path, *, to: pathlib.Path, instrument: str) -> pathlib.Path:
    names = [path.relative_to(version).as_posix() for path in sorted(version.rglob("*")) if path.is_file()]
    extra = {name: version / name for name in names if name not in (*BUNDLE_FILES, CARD_FILE)}
    card = (version / CARD_FILE).read_text(encoding="utf-8")
    return pathlib.Path(publish_bundle(version, card=card, to=to, instrument=instrument, extra_files=extra))
