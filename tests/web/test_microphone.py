"""The live path: a file stands in for the microphone, everything else is real."""

from __future__ import annotations

import numpy as np
import pytest
from browser_bench import FAKE_MICROPHONE, launched
from test_page import DESK, PHONE, opened, press, said, wait_for_note, write_wav

RATE = 48_000


def tone(hz: float) -> np.ndarray:
    t = np.arange(4 * RATE) / RATE
    return (0.15 * sum(np.sin(2 * np.pi * hz * k * t) / k for k in range(1, 7))).astype(np.float32)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("microphone")
    return {
        "song": write_wav(folder / "song.wav", tone(329.63), RATE),
        "silence": write_wav(folder / "silence.wav", np.zeros(RATE), RATE),
    }


def arguments(path) -> tuple[str, ...]:
    return (*FAKE_MICROPHONE, f"--use-file-for-fake-audio-capture={path}")


@pytest.fixture
def singer(recordings):
    with launched(arguments(recordings["song"])) as browser:
        yield browser


# The page keeps the stream to itself; this keeps the track where a test can end it.
KEEP_TRACK = """
const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = async (wanted) => {
  const stream = await ask(wanted);
  globalThis.keptTrack = stream.getAudioTracks()[0];
  return stream;
};
"""


def test_a_voice_is_followed_and_a_lost_microphone_told(singer, site):
    for viewport in (DESK, PHONE):
        with opened(singer, site, viewport=viewport, script=KEEP_TRACK) as page:
            press(page, "Your voice")
            wait_for_note(page, "#source-note", "E4")
            wait_for_note(page, "#played-note", "E")
            assert page.get_attribute("#use-microphone", "aria-pressed") == "true"
            # Ending a track oneself is silent; unplugging is this event.
            page.evaluate("keptTrack.dispatchEvent(new Event('ended'))")
            assert "stay connected" in said(page)
            assert page.get_attribute("#use-microphone", "aria-pressed") == "false"


def test_a_silent_microphone_is_noticed(recordings, site):
    with launched(arguments(recordings["silence"])) as browser, opened(browser, site) as page:
        press(page, "Your voice")
        page.wait_for_function("() => document.querySelector('#status').textContent.includes('hears nothing')")
