"""The page's own sounds and its gallery: what is sung, and what the models make of it, followed by another tracker."""

from __future__ import annotations

import io
from typing import Any

import librosa
import numpy as np
import pytest
import soundfile
import soxr
from browser_bench import SPECS, WEB, served

from tinytimbre.export.publish import read_index
from tinytimbre.features.pitch import track_pitch

PHONE = {"width": 390, "height": 844}
RATE = 16_000
HOP = 320
# As written in web/page/voices.js: lowest and highest note that is sung.
SUNG = {"low": (45, 57), "high": (64, 72)}
IN_THE_REPOSITORY = sorted(read_index(WEB / "models")["instruments"])
CAPTIONS = ("A phrase, as a plain tone", "The phrase, played by the {}", "A voice", "The voice, turned {}")


def melody(page: Any, name: str) -> np.ndarray:
    """What a voice sings, at 16 kHz."""
    script = "async (name) => [...(await import('/page/voices.js')).sing(name).samples]"
    return np.array(page.evaluate(script, name), np.float32)


def pitch_midi(audio: np.ndarray, rate: int) -> np.ndarray:
    """MIDI notes 50 times a second by SwiftF0, which the page does not use; NaN where it hears no tone."""
    at_16k = soxr.resample(audio, rate, RATE) if rate != RATE else audio
    f0_hz, confidence = track_pitch(at_16k, sample_rate_hz=RATE, frame_rate_hz=RATE / HOP)
    return np.where(confidence >= 0.5, librosa.hz_to_midi(f0_hz), np.nan)


def sung_notes(page: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    """What is written: the middle of each note in seconds, and the note."""
    script = "async (name) => (await import('/page/voices.js')).VOICES[name]"
    voice = page.evaluate(script, name)
    beats = np.array([note["beats"] for note in voice["notes"]])
    middles = (np.cumsum(beats) - beats / 2) * voice["beatSecs"]
    notes = np.array([np.nan if note["midi"] is None else note["midi"] for note in voice["notes"]])
    return middles[~np.isnan(notes)], notes[~np.isnan(notes)]


@pytest.mark.parametrize("name", SUNG)
def test_a_voice_sings_what_is_written(page, name):
    audio = melody(page, name)
    middles, notes = sung_notes(page, name)
    assert (notes.min(), notes.max()) == SUNG[name]
    heard = pitch_midi(audio, RATE)[np.round(middles * RATE / HOP).astype(int)]
    # Vibrato of a quarter of a semitone, a voice that wanders by a tenth, and the tracker's own error of a tenth.
    assert np.mean(np.abs(heard - notes) < 0.5) > 0.9
    assert 5 < len(audio) / RATE < 10
    assert np.abs(audio).max() == pytest.approx(0.35, abs=1e-3)


@pytest.mark.parametrize("name", SUNG)
def test_a_voice_has_breath_and_consonants_and_is_always_the_same(page, name):
    audio = melody(page, name)
    np.testing.assert_array_equal(melody(page, name), audio)
    spectrum = np.abs(librosa.stft(audio, n_fft=512, hop_length=HOP)) ** 2
    hz = librosa.fft_frequencies(sr=RATE, n_fft=512)
    high = spectrum[hz > 3500].sum(axis=0) / np.maximum(spectrum.sum(axis=0), 1e-12)
    voiced = np.isfinite(pitch_midi(audio, RATE))[: len(high)]
    # Hissed consonants: frames with their energy above the vowels'; breaths are quiet and have no pitch, yet sound.
    assert np.sum(high > 0.5) >= 3
    level_db = librosa.amplitude_to_db(librosa.feature.rms(y=audio, frame_length=640, hop_length=HOP)[0], ref=1.0)
    breath = ~voiced & (level_db[: len(voiced)] > -75)
    assert breath.sum() >= 10


def open_exhibit(page: Any, label: str) -> Any:
    page.locator("details.exhibit", has_text=label).locator("summary").focus()
    page.keyboard.press("Enter")
    box = page.locator("details.exhibit[open]")
    # A busy machine may take its time.
    box.get_by_text("Made just now, on this device.").wait_for(timeout=120_000)
    return box


def sound(box: Any, caption: str) -> tuple[np.ndarray, int]:
    """What a player of the gallery holds."""
    script = "async (audio) => [...new Uint8Array(await (await fetch(audio.src)).arrayBuffer())]"
    data = box.get_by_label(caption, exact=True).evaluate(script)
    audio, rate = soundfile.read(io.BytesIO(bytes(data)), dtype="float32")
    return audio, rate


def follows(source: tuple[np.ndarray, int], played: tuple[np.ndarray, int]) -> tuple[float, np.ndarray]:
    """Share of the source's tones that are played, and by how many semitones they lie off it."""
    heard, answered = (pitch_midi(*each) for each in (source, played))
    n = min(len(heard), len(answered))
    tones = np.isfinite(heard[:n])
    both = tones & np.isfinite(answered[:n])
    return both.sum() / tones.sum(), (answered[:n] - heard[:n])[both]


def check_exhibit(browser: Any, site: str, name: str) -> None:
    """Opens an instrument at phone width and follows the pitch of everything that it plays."""
    # The page's policy lets sounds made here be played, but not be fetched as this test does.
    page = browser.new_page(base_url=site, viewport=PHONE, bypass_csp=True)
    page.goto("/")
    page.wait_for_selector("details.exhibit")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    label = name.capitalize().replace("_", " ")
    box = open_exhibit(page, label)
    captions = [caption.format(label.lower()) for caption in CAPTIONS]
    sounds = [sound(box, caption) for caption in captions]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out"
    page.close()
    assert [url for url in asked if not url.startswith((site, "blob:"))] == []
    phrase, resynthesis, voice, turned = sounds
    share, semitones = follows(phrase, resynthesis)
    # In its own range nothing is transposed. The live player is one frame late, which blurs the edges of notes.
    assert share > 0.7
    assert np.median(np.abs(semitones)) < 0.3
    assert np.mean(np.abs(semitones) < 0.7) > 0.8
    share, semitones = follows(voice, turned)
    octaves = semitones / 12
    # By whole octaves, which may change where a note would leave the range.
    assert share > 0.6
    assert np.mean(np.abs(octaves - np.round(octaves)) < 0.06) > 0.75


@pytest.mark.parametrize("name", SPECS)
def test_the_gallery_plays_the_pitch_it_was_given(browser, site, name):
    check_exhibit(browser, site, name)


def test_so_do_the_models_of_the_repository(browser):
    """Those that are listed there; none in a version that comes without."""
    for name in IN_THE_REPOSITORY:
        with served(WEB / "models") as site:
            check_exhibit(browser, site, name)


def test_the_song_plays_live(browser, site):
    page = browser.new_page(base_url=site)
    page.goto("/")
    page.wait_for_selector("#use-song:enabled")
    page.get_by_role("button", name="A song").click()
    page.wait_for_function("() => /^[A-G]/.test(document.querySelector('#played-note').value)", timeout=90_000)
    assert page.get_attribute("#use-song", "aria-pressed") == "true"
    page.close()


def test_an_exhibit_that_cannot_be_had_says_so_and_tries_again(browser, site):
    page = browser.new_page(base_url=site)
    page.goto("/")
    page.wait_for_selector("details.exhibit")
    page.route("**/engine.wasm", lambda route: route.abort())
    summary = page.locator("details.exhibit summary").first
    summary.click()
    page.locator("details.exhibit").first.get_by_text("engine.wasm").wait_for(timeout=60_000)
    page.unroute("**/engine.wasm")
    summary.click()
    summary.click()
    page.locator("details.exhibit").first.get_by_text("Made just now").wait_for(timeout=120_000)
    # With the policy in force, what was made can be played.
    page.wait_for_function("() => [...document.querySelectorAll('.exhibit audio')].every((a) => a.duration > 5)")
    assert page.locator(".exhibit audio").count() == len(CAPTIONS)
    page.close()
