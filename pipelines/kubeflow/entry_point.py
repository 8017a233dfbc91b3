"""What runs in every container: TFX's own Kubeflow executor, with the launcher's message made fit for it.

    python -m pipelines.kubeflow.entry_point --executor_class_path … --json_serialized_invocation_args … \
      --json_serialized_inputs_spec_args … [arguments of Beam]

Exit codes are those of the command ``tinytimbre``.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import shutil
import sys
from collections.abc import Sequence

from pipelines.cli import INTERRUPTED, explain, prepare_environment

ROOT_VARIABLE = "TINYTIMBRE_LAUNCHER_ROOT"
"""Below which folder the launcher's local copies are; on a cluster the root of the file system."""


def main(argv: Sequence[str]) -> int:
    """Runs one component; gives the exit code."""
    prepare_environment(verbose=False)
    try:
        args, beam = _parser().parse_known_args(argv)
        run(args, beam, root=pathlib.Path(os.environ.get(ROOT_VARIABLE, "/")))
    except KeyboardInterrupt:  # also how a pod's termination arrives
        print("interrupted; a retry continues", file=sys.stderr)  # noqa: T201
        return INTERRUPTED
    except Exception as error:
        return explain(error)
    return 0


def run(args: argparse.Namespace, beam: list[str], *, root: pathlib.Path) -> None:
    """Runs the executor on local paths and leaves the answer, with URIs, where the launcher looks for it.

    A pod that was killed is started again with the same message. What it had written is deleted first: half of an
    output would pass for a whole one, and TFX takes an answer that is already there for that of a driver. Its work
    lives on in the stores.

    Args:
        args: of `_parser`.
        beam: arguments for Beam.
        root: below which the launcher keeps its local copies.

    Raises:
        TinyTimbreError: what the component says about its input, or a place that is no folder on the volume.
    """
    from google.protobuf import json_format
    from kfp.pipeline_spec import pipeline_spec_pb2 as pb
    from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor

    from pipelines.kubeflow import launcher
    from tinytimbre.durable import write_whole

    asked = json_format.Parse(args.json_serialized_invocation_args, pb.ExecutorInput(), ignore_unknown_fields=True)
    spec = json_format.Parse(
        args.json_serialized_inputs_spec_args, pb.ComponentInputsSpec(), ignore_unknown_fields=True
    )
    launcher.check_places(asked)
    local = launcher.with_local_paths(launcher.with_types(asked, spec=spec), root=root)
    answer = pathlib.Path(asked.outputs.output_file)
    local.outputs.output_file = str(answer.with_name(f"{answer.name}.local"))
    _clear(answer, pathlib.Path(local.outputs.output_file), folders=launcher.output_folders(local))
    args.json_serialized_invocation_args = json_format.MessageToJson(local)
    kubeflow_v2_run_executor.main((args, beam))
    found = json_format.Parse(pathlib.Path(local.outputs.output_file).read_text(), pb.ExecutorOutput())
    write_whole(answer, json_format.MessageToJson(launcher.with_uris(found, asked=asked)).encode())


def _clear(*files: pathlib.Path, folders: Sequence[pathlib.Path]) -> None:
    """Removes what an earlier attempt left, and makes the folders that executors expect."""
    for file in files:
        file.unlink(missing_ok=True)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)  # what cannot be removed fails the next line
        folder.mkdir(parents=True)


def _parser() -> argparse.ArgumentParser:
    """The arguments that TFX's compiler writes."""
    parser = argparse.ArgumentParser(prog="pipelines.kubeflow.entry_point", allow_abbrev=False)
    for name in ("executor_class_path", "json_serialized_invocation_args", "json_serialized_inputs_spec_args"):
        parser.add_argument(f"--{name}", required=True)
    return parser


if __name__ == "__main__":
    arguments = sys.argv[1:]
    sys.argv = sys.argv[:1]  # Beam would read the others as its own
    sys.exit(main(arguments))
