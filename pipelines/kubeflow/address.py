"""Where a run is: the id that Kubeflow gave it, and the host that knows it. Imports nothing heavy.

``tinytimbre status`` takes either of these, and a workspace:

    https://kubeflow.example.org/pipeline/#/runs/details/3f0c2a5e-…      the address of a run's page
    3f0c2a5e-… --host https://kubeflow.example.org/pipeline              its id
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import pathlib
import re

from tinytimbre.errors import TinyTimbreError

ENDPOINT, NAMESPACE = "KF_PIPELINES_ENDPOINT", "KFP_NAMESPACE"
"""Environment variables of kfp's client and of its command ``kfp``."""

IN_CLUSTER = "KUBERNETES_SERVICE_HOST"
"""Set in every pod; there kfp's client finds the server by itself."""

ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
PAGE = re.compile(rf"(?P<host>https?://[^#]+?)/*#/runs/details/(?P<run_id>{ID.pattern})(?:[/?].*)?")


@dataclasses.dataclass(frozen=True)
class RunAddress:
    """A run; ``host`` is None only in a pod of the cluster itself."""

    host: str | None
    run_id: str


def add_cluster_arguments(parser: argparse.ArgumentParser) -> None:
    """Which Kubeflow Pipelines; who asks is said by the environment, see docs/kubeflow.md."""
    parser.add_argument("--host", metavar="URL", help=f"of Kubeflow Pipelines (default: ${ENDPOINT})")
    parser.add_argument("--namespace", metavar="NAME", help=f"where each user has one (default: ${NAMESPACE})")


def chosen_host(args: argparse.Namespace) -> str | None:
    """The host that is meant; None in a pod, where kfp's client knows it.

    Raises:
        TinyTimbreError: nothing says which.
    """
    host = args.host or os.environ.get(ENDPOINT) or None
    if host is None and IN_CLUSTER not in os.environ:
        raise TinyTimbreError(
            "--host must say where Kubeflow Pipelines is",
            got=f"none, and no {ENDPOINT} in the environment",
            remedy="--host https://kubeflow.example.org/pipeline, or after "
            "`kubectl port-forward -n kubeflow svc/ml-pipeline-ui 8080:80` --host http://localhost:8080",
        )
    return host


def chosen_namespace(args: argparse.Namespace) -> str | None:
    """The namespace that is meant; None where there is only one."""
    return args.namespace or os.environ.get(NAMESPACE) or None


def find_run(text: str, *, args: argparse.Namespace) -> RunAddress | None:
    """The run that `text` names: the address of its page, or its id; None where it can only be a folder.

    Raises:
        TinyTimbreError: a host is given, but no run; or a run, but no host.
    """
    if page := PAGE.fullmatch(text):
        # The dashboard shows the page inside its own, at /_/pipeline.
        return RunAddress(args.host or page["host"].replace("/_/pipeline", "/pipeline"), page["run_id"])
    if ID.fullmatch(text) and not pathlib.Path(text).exists():
        return RunAddress(chosen_host(args), text)
    if args.host or "://" in text:
        raise TinyTimbreError(
            "a run on Kubeflow is named by its id or by the address of its page",
            got=text,
            remedy="`tinytimbre submit` prints both; `tinytimbre status --host URL` lists runs",
        )
    return None


def run_page(host: str, run_id: str) -> str:
    """The address of a run's page in Kubeflow's interface."""
    return f"{host.rstrip('/')}/#/runs/details/{run_id}"
