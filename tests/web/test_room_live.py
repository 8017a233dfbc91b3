"""A model that plays in a room: the same room live, rendered and recorded, and the same as Python's."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from browser_bench import FAKE_MICROPHONE, ROOM, call, decibels, launched, phrase
from test_page import opened, press, write_wav

from tinytimbre.synthesis.reverb import StreamingReverb
from tinytimbre.transfer.rendering import limit

URL = "/models/organ/0001/"
RATE = 48_000


@pytest.fixture(scope="module")
def singer(tmp_path_factory):
    """A browser whose microphone hears half a second of tone, then nothing for much longer than the room rings."""
    t = np.arange(RATE // 2) / RATE
    tone = 0.15 * sum(np.sin(2 * np.pi * 220 * k * t) / k for k in range(1, 7))
    song = np.concatenate([tone * np.clip((0.5 - t) / 0.02, 0, 1), np.zeros(6 * RATE)]).astype(np.float32)
    path = write_wav(tmp_path_factory.mktemp("microphone") / "short.wav", song, RATE)
    with launched((*FAKE_MICROPHONE, f"--use-file-for-fake-audio-capture={path}")) as browser:
        yield browser


@pytest.fixture
def room_page(singer, room_site):
    context = singer.new_context(base_url=room_site)
    page = context.new_page()
    page.goto("tests/blank.html")
    yield page
    context.close()


# Neither is a multiple of any block's length; one is longer than the response at 16 kHz, the other shorter.
@pytest.mark.parametrize("samples", [40_009, 12_007])
@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_rendered_and_recorded_are_pythons(room_page, rate, samples):
    source = phrase(seconds=4, sample_rate_hz=rate)[:samples]
    given = {"url": URL, "samples": source.tolist(), "rate": rate, "plain": False}
    direct, worklet = call(room_page, "play", given), call(room_page, "playByWorklet", given)
    dry = np.array(direct["dry"], np.float32)
    room = StreamingReverb(ROOM, sample_rate_hz=rate)
    # In the blocks that Python's renderer works in, more or less; the last is a short one.
    expected = limit(np.concatenate([room.process(block) for block in np.array_split(dry, 7)]))
    assert decibels(expected - dry, expected) > -20, "the room is heard"
    # A worklet's last block of 128 goes on beyond the end of the source, so it decides otherwise there.
    whole = samples - samples % 128
    for wet, end in ((direct["output"], samples), (worklet["output"], whole)):
        assert decibels(np.array(wet[:end]) - expected[:end], expected) < -90
    # To whole steps of 16 bits.
    recorded = np.array(worklet["recorded"])[:samples] / 32767
    assert np.abs(recorded - np.array(worklet["output"])).max() <= 0.51 / 32767


RING_SECS = 1.5
"""Longer than any room's response."""


def longest_sound_secs(audio: np.ndarray, rate: int) -> float:
    """Time without 10 ms of digital silence."""
    windows = audio[: len(audio) // (rate // 100) * (rate // 100)].reshape(-1, rate // 100)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], np.abs(windows).max(axis=1) > 0, [False]]).astype(int)))
    return float(np.max(edges[1::2] - edges[::2], initial=0)) / 100


def assert_sounds_as(name: str, audio: np.ndarray, rate: int) -> None:
    """A tone of half a second with its fade; in a room, more than half a second until it is below 16 bits."""
    assert np.abs(audio).max() > 0
    assert (longest_sound_secs(audio, rate) > 1.0) == (name == "organ")


@pytest.mark.parametrize("name", ["cello", "organ"])
def test_what_is_recorded_live_is_what_was_heard(singer, site, room_site, name):
    context = singer.new_context(base_url=room_site if name == "organ" else site)
    page = context.new_page()
    page.goto("tests/blank.html")
    result = call(page, "recordLive", {"url": f"/models/{name}/0001/", "ringSecs": RING_SECS})
    context.close()
    # An analyser heard this, not the recorder; it must be in the recording, to the bit.
    heard = np.floor(32767 * np.clip(result["heard"], -1, 1) + 0.5).astype(np.int16)
    recorded = np.array(result["recorded"], np.int16)
    assert np.trim_zeros(heard).tobytes() in recorded.tobytes()
    assert_sounds_as(name, recorded, int(result["sampleRate"]))


@pytest.mark.parametrize("name", ["cello", "organ"])
def test_the_page_downloads_the_room_too(singer, site, room_site, name, tmp_path):
    with opened(singer, room_site if name == "organ" else site) as page:
        press(page, "Your voice")
        press(page, "Record")
        for silent in ("!==", "==="):
            page.wait_for_function(f"() => document.querySelector('#played-note').value {silent} '–'")
        page.wait_for_timeout(1000 * RING_SECS)
        press(page, "Stop recording")
        with page.expect_download() as download:
            page.get_by_role("link", name="Download WAV").click()
        download.value.save_as(tmp_path / "kept.wav")
    audio, rate = soundfile.read(tmp_path / "kept.wav", dtype="int16")
    assert_sounds_as(name, audio.astype(int), rate)
