"""One browser and one folder of models for all tests of the page."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
from browser_bench import ROOM_SPECS, launched, publish, served


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Published models, "cello" (CNN) and "clarinet" (GRU); do not write there."""
    return publish(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def room_models(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A published model that plays in a room, "organ"; do not write there."""
    return publish(tmp_path_factory.mktemp("room_models"), ROOM_SPECS)


@pytest.fixture(scope="session")
def room_site(room_models: pathlib.Path) -> Iterator[str]:
    """Address of the page with that model."""
    with served(room_models) as address:
        yield address


@pytest.fixture(scope="session")
def site(models: pathlib.Path) -> Iterator[str]:
    """Address of the page."""
    with served(models) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser; Playwright allows one at a time, so it lasts for a module."""
    with launched() as running:
        yield running


@pytest.fixture
def page(browser: Any, site: str) -> Iterator[Any]:
    """An empty page of the site; whatever it throws fails the test."""
    context = browser.new_context(base_url=site)
    opened = context.new_page()
    thrown: list[str] = []
    opened.on("pageerror", lambda error: thrown.append(str(error)))
    opened.goto("tests/blank.html")
    yield opened
    context.close()
    assert not thrown
