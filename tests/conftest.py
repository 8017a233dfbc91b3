"""Shared by all tests: ddsp needs Keras 2, which must be chosen before TensorFlow is imported."""

from __future__ import annotations

import os
import pathlib
import uuid
from collections.abc import Iterator

import pytest

from tests.object_store import GOOGLE_BUCKET, KEY_ID, SECRET, ObjectServer, google_server

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture(scope="session")
def object_server() -> Iterator[ObjectServer]:
    """One server for all tests; see `s3`."""
    with ObjectServer() as server:
        yield server


@pytest.fixture
def s3(object_server: ObjectServer, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> ObjectServer:
    """An object store without faults, in the environment as a user gives it."""
    object_server.calm()
    environment = {
        "AWS_ENDPOINT_URL": object_server.url,
        "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return object_server


@pytest.fixture
def bucket(s3: ObjectServer) -> str:
    """Name of an empty bucket."""
    name = f"tests-{uuid.uuid4().hex}"
    s3.make_bucket(name)
    s3.calm()
    return name


@pytest.fixture(scope="session")
def google_url() -> Iterator[str]:
    """One server for all tests; see `google`."""
    with google_server() as url:
        yield url


@pytest.fixture
def google(google_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty place in a store that speaks Google's protocol."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", google_url)
    monkeypatch.setenv("NO_GCE_CHECK", "true")  # else it is asked for credentials, which takes long
    return f"gs://{GOOGLE_BUCKET}/{uuid.uuid4().hex}"
