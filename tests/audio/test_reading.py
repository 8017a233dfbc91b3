from __future__ import annotations

import os

import librosa
import numpy as np
import pytest
import soundfile
from made_notes import encode

from tinytimbre.audio.reading import decode, read_audio
from tinytimbre.errors import TinyTimbreError

CODECS = {".wav": "pcm_s16le", ".flac": "flac", ".mp3": "libmp3lame", ".ogg": "libopus", ".m4a": "aac"}
PITCH_HZ = 523.25


def tone(sample_rate_hz, *, channels=1, seconds=1.5):
    time = np.arange(round(seconds * sample_rate_hz)) / sample_rate_hz
    sine = 0.4 * np.sin(2 * np.pi * PITCH_HZ * time).astype(np.float32)
    return np.stack([sine] * channels)


def pitch_hz(audio, sample_rate_hz):
    """Spectral peak, interpolated: independent of the code under test."""
    spectrum = np.log(np.abs(np.fft.rfft(audio * np.hanning(len(audio)))) + 1e-12)
    k = int(spectrum.argmax())
    left, mid, right = spectrum[k - 1 : k + 2]
    return (k + 0.5 * (left - right) / (left - 2 * mid + right)) * sample_rate_hz / len(audio)


# Opus, the codec of the .ogg here, has no 22,050 and 44,100 Hz.
FORMATS = [(e, r) for e in CODECS for r in (8_000, 22_050, 44_100, 48_000) if e != ".ogg" or r in (8_000, 48_000)]


@pytest.mark.parametrize(("ending", "sample_rate_hz"), FORMATS)
@pytest.mark.parametrize("channels", [1, 2])
def test_every_format_keeps_pitch_level_and_length(tmp_path, ending, channels, sample_rate_hz):
    path = encode(
        tmp_path / f"a{ending}",
        tone(sample_rate_hz, channels=channels),
        codec=CODECS[ending],
        sample_rate_hz=sample_rate_hz,
    )
    audio = read_audio(path, sample_rate_hz=16_000)
    assert audio.dtype == np.float32
    assert audio.ndim == 1
    # Lossy codecs pad by up to two frames (2304 samples of MP3 at 8 kHz are 0.29 s).
    assert abs(len(audio) / 16_000 - 1.5) < (0.3 if ending in (".mp3", ".m4a", ".ogg") else 1e-3)
    middle = audio[8_000:16_000]
    assert abs(pitch_hz(middle, 16_000) - PITCH_HZ) < 0.5  # a sixteenth of a semitone
    assert 0.37 < np.abs(middle).max() < 0.43  # lossy codecs at their default bit rates stay within 7 %


def test_agrees_with_soundfile_and_librosa(tmp_path):
    rng = np.random.default_rng(0)
    smooth = np.cumsum(rng.normal(size=(22_050, 2)), axis=0)
    smooth = 0.5 * smooth / np.abs(smooth).max()
    path = tmp_path / "a.wav"
    soundfile.write(path, smooth, 44_100, subtype="PCM_24")
    plain, _ = soundfile.read(path, dtype="float32")
    np.testing.assert_array_equal(decode(path).samples, plain.T)
    expected = librosa.resample(plain.astype(np.float64).mean(axis=1), orig_sr=44_100, target_sr=16_000)
    got = read_audio(path, sample_rate_hz=16_000)
    # librosa rounds the length up; both use the same quality of soxr, so only float32 rounding differs.
    np.testing.assert_allclose(got[:8_000], expected[: len(got)][:8_000], atol=1e-6)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_sample_formats_have_full_scale_one(tmp_path, subtype):
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(16_000)[0], 16_000, subtype=subtype)
    # Half a step of 8 bits.
    np.testing.assert_allclose(read_audio(path, sample_rate_hz=16_000), tone(16_000)[0], atol=1 / 127)


def test_more_than_full_scale_is_turned_down(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, 4 * tone(16_000)[0], 16_000, subtype="FLOAT")
    assert np.abs(read_audio(path, sample_rate_hz=16_000)).max() == pytest.approx(1.0)


def kind_of(path):
    with pytest.raises(TinyTimbreError) as caught:
        decode(path)
    assert caught.value.remedy
    return caught.value.kind


def test_missing_empty_and_text_files(tmp_path):
    assert kind_of(tmp_path / "none.wav") == "unreadable"
    (tmp_path / "empty.wav").touch()
    assert kind_of(tmp_path / "empty.wav") == "empty"
    (tmp_path / "text.mp3").write_text("not music\n" * 500)
    assert kind_of(tmp_path / "text.mp3") == "not-audio"
    (tmp_path / "random.flac").write_bytes(np.random.default_rng(0).bytes(20_000))
    assert kind_of(tmp_path / "random.flac") == "not-audio"


def test_no_samples(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(0), 16_000)
    assert kind_of(tmp_path / "a.wav") == "not-audio"


@pytest.mark.parametrize("ending", [".wav", ".flac", ".m4a"])
def test_a_file_cut_in_half(tmp_path, ending):
    path = encode(tmp_path / f"a{ending}", tone(44_100), codec=CODECS[ending], sample_rate_hz=44_100)
    os.truncate(path, path.stat().st_size // 2)
    # The index of an m4a lies at its end, so that a cut one has none at all.
    assert kind_of(path) == ("not-audio" if ending == ".m4a" else "truncated")


def test_damage_in_the_middle_of_a_flac(tmp_path):
    rng = np.random.default_rng(0)
    noisy = tone(44_100) + 0.01 * rng.normal(size=tone(44_100).shape).astype(np.float32)
    path = encode(tmp_path / "a.flac", noisy, codec="flac", sample_rate_hz=44_100)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 4_000] = rng.bytes(4_000)
    path.write_bytes(content)
    assert kind_of(path) == "truncated"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_samples_that_are_no_numbers(tmp_path, bad):
    audio = tone(16_000)[0].copy()
    audio[100] = bad
    soundfile.write(tmp_path / "a.wav", audio, 16_000, subtype="FLOAT")
    assert kind_of(tmp_path / "a.wav") == "not-finite"


def test_a_wav_of_unknown_length_is_read(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(16_000)[0], 16_000, subtype="PCM_16")
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    content[at : at + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    assert len(read_audio(path, sample_rate_hz=16_000)) == 24_000


def test_ffmpeg_does_not_chatter(tmp_path, capfd):
    path = encode(tmp_path / "a.mp3", tone(44_100), codec="libmp3lame", sample_rate_hz=44_100)
    path.write_bytes(path.read_bytes() + b"junk" * 500)
    assert len(read_audio(path, sample_rate_hz=16_000)) > 20_000
    assert capfd.readouterr() == ("", "")
