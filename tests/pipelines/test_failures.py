from __future__ import annotations

import errno
import pathlib

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from components.feature_extractor.engine import beam_arguments
from pipelines.database import open_store
from pipelines.failures import as_user_error
from tinytimbre.errors import TinyTimbreError

ORIGINAL = TinyTimbreError("the file must be whole", got="a.wav\n  of 3 bytes", cause="a copy", remedy="copy it again")


def test_an_error_is_found_however_deep() -> None:
    with pytest.raises(RuntimeError) as caught:
        _fail_deep()
    assert as_user_error(caught.value) is ORIGINAL


def _fail_deep() -> None:
    try:
        raise ORIGINAL
    except TinyTimbreError as error:
        raise RuntimeError("execution 7 failed") from error


def fail(_: int) -> int:
    raise ORIGINAL


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_in_a_beam_worker_keeps_its_words(jobs: int) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011 (which type is Beam's affair)
        _run_beam(beam_arguments((), jobs=jobs))
    found = as_user_error(caught.value)
    assert found is not None
    assert found.rule == ORIGINAL.rule
    assert found.remedy == ORIGINAL.remedy
    assert "While running" not in str(found)


def _run_beam(arguments: list[str]) -> None:
    with beam.Pipeline(options=PipelineOptions(arguments)) as pipeline:
        _ = pipeline | beam.Create([1, 2, 3]) | beam.Map(fail)


def test_an_error_that_came_as_text_is_read_back() -> None:
    text = (
        f"Error received:\nTraceback (most recent call last):\n  File x\ntinytimbre.errors.TinyTimbreError: {ORIGINAL}"
    )
    found = as_user_error(RuntimeError(f"{text} [while running 'Extract-ptransform-7']\n\nTraceback …"))
    assert found is not None
    assert (found.rule, found.cause, found.remedy) == (ORIGINAL.rule, ORIGINAL.cause, ORIGINAL.remedy)
    assert found.got.replace("\n", "\n  ") == ORIGINAL.got


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("INTERNAL: database or disk is full"),
        RuntimeError("Traceback\n  File x\nOSError: [Errno 28] No space left on device\n [while running 'Extract']"),
        RuntimeError("ResourceExhausted: /x: No space left on device [Op:SaveV2]"),
    ],
)
def test_a_full_disk_is_called_that(error: Exception) -> None:
    found = as_user_error(error)
    assert found is not None
    assert found.cause == "the disk is full"
    assert "\n" not in found.got
    assert "what is done is kept" in found.remedy


def test_a_fault_of_the_program_stays_one() -> None:
    assert as_user_error(ZeroDivisionError("division by zero")) is None


def test_a_damaged_database_is_called_that(tmp_path: pathlib.Path) -> None:
    (tmp_path / "metadata.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(RuntimeError) as caught:
        open_store(tmp_path / "metadata.sqlite")
    found = as_user_error(caught.value)
    assert found is not None
    assert "not a database" in found.got
    assert "delete metadata.sqlite" in found.remedy


def test_missing_permission_is_no_fault_of_the_program() -> None:
    found = as_user_error(PermissionError(errno.EACCES, "Permission denied", "sweep.yaml"))
    assert found is not None
    assert "sweep.yaml" in found.got
