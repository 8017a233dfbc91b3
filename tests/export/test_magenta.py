"""Profile ``magenta``: against our own synthesiser, and played by the real client in a real browser."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tensorflow as tf
from exported_bundles import settings_of, spec_of, trained

from tinytimbre.errors import TinyTimbreError
from tinytimbre.export.bundle import LoadedBundle
from tinytimbre.export.levels import level_from_energy
from tinytimbre.export.magenta import (
    REFERENCE_DB,
    check_magenta,
    client_settings,
    export_magenta,
    synthesis_function,
)  # fmt: skip
from tinytimbre.export.node import WEB_DIR
from tinytimbre.features.scaling import scale_inputs
from tinytimbre.features.statistics import Distribution
from tinytimbre.synthesis import synthesise
from tinytimbre.validation.chromium import visit

FRAMES = 500
CLIENT = WEB_DIR / "clients" / "magentamusic-1.23.1.js"


def distribution(mean, std):
    return Distribution(
        mean=mean, std=std, min=mean - 40, max=mean + 12, quantiles={"p05": mean - 2 * std, "p95": mean + std}
    )


def bundle_of(name, *, level="loudness"):
    """A model of an instrument that was recorded between C3 and C6."""
    spec = spec_of(name).model_copy(update={"input": level, "harmonics": 30, "noise_bands": 17})
    settings = settings_of(spec)
    statistics = settings.statistics.model_copy(
        update={
            "pitch_midi": Distribution(mean=66.0, std=8.0, min=48.0, max=84.0, quantiles={"p05": 50.0, "p95": 80.0}),
            "loudness_db": distribution(-8.0, 8.0),
            "rms_energy_db": distribution(-20.0, 4.0),
        }
    )
    return LoadedBundle(settings=settings.model_copy(update={"statistics": statistics}), decoder=trained(spec))


def features(frames=FRAMES):
    """A slide with a swell, on the client's scale, 250 frames a second."""
    t = np.arange(frames) / 250
    f0_hz = 220 * 2 ** (t / t[-1]) * (1 + 0.005 * np.sin(2 * np.pi * 5 * t))
    return f0_hz.astype(np.float32), (-42 + 6 * np.sin(2 * np.pi * 0.8 * t)).astype(np.float32)


def expected(bundle, f0_hz, client_db, *, with_noise=True):
    """Our own synthesiser at the model's frame rate."""
    settings, every = bundle.settings, 5
    gain, offset = level_from_energy(settings)
    inputs = scale_inputs(f0_hz[::every], (client_db[::every] + REFERENCE_DB) * gain + offset)
    controls = bundle.decoder(inputs[np.newaxis]).numpy()[0]
    controls[:, 1 + settings.harmonics :] *= with_noise
    return synthesise(
        controls, f0_hz[::every], harmonics=settings.harmonics, noise_bands=settings.noise_bands, hop=settings.hop,
        sample_rate_hz=settings.sample_rate_hz, noise_seed=0,
    )  # fmt: skip


def snr_db(reference, audio):
    return 10 * np.log10((reference**2).sum() / ((audio - reference) ** 2).sum())


@pytest.mark.parametrize(("name", "level"), [("gru8", "loudness"), ("cnn8", "rms_energy")])
def test_the_graph_plays_what_our_synthesiser_plays(name, level):
    bundle, (f0_hz, client_db) = bundle_of(name, level=level), features()
    weights = bundle.decoder.get_weights()
    weights["head_bias"][1 + bundle.settings.harmonics :] = -40.0  # no noise: it is drawn anew each time
    weights["head_kernel"][:, 1 + bundle.settings.harmonics :] = 0.0
    bundle.decoder.set_weights(weights)
    audio = synthesis_function(bundle, frames=FRAMES)(f0_hz=f0_hz, loudness_db=client_db)
    reference = expected(bundle, f0_hz, client_db)
    assert reference.std() > 0.001, "an untrained model is quiet, not silent"
    # Phase adds up over 100 frames in float32, 6e-8 cycles each, times 30 harmonics: some 1e-4 rad.
    assert snr_db(reference, np.asarray(audio)) > 60


def test_noise_has_the_colour_and_level_that_it_should():
    tf.random.set_seed(0)
    bundle, (f0_hz, client_db) = bundle_of("cnn8"), features()
    audio = np.asarray(synthesis_function(bundle, frames=FRAMES)(f0_hz=f0_hz, loudness_db=client_db))
    ours = expected(bundle, f0_hz, client_db)
    tones = expected(bundle, f0_hz, client_db, with_noise=False)
    powers = [np.abs(np.fft.rfft((sound - tones).reshape(-1, 320), axis=1)) ** 2 for sound in (audio, ours)]
    theirs_db, ours_db = (10 * np.log10(power.mean(axis=0).reshape(-1, 7).mean(axis=1)) for power in powers)
    # On a slope one bin of the seven decides: the mean of 100 frames spreads by 10 log10(1 + 1 / sqrt(100)) = 0.4 dB,
    # the difference of two by 0.6.
    np.testing.assert_allclose(theirs_db, ours_db, atol=2.0)


def test_levels_are_those_of_the_client():
    bundle = bundle_of("gru8", level="rms_energy")
    assert level_from_energy(bundle.settings) == (1.0, 0.0)
    gain, offset = level_from_energy(bundle_of("gru8").settings)
    # The recordings' mean energy must come out as their mean loudness, and so must one spread above.
    assert gain * -20.0 + offset == pytest.approx(-8.0)
    assert gain * -16.0 + offset == pytest.approx(0.0)
    told = client_settings(bundle.settings, frames=750)
    assert told["meanLoudness"] == pytest.approx(-20 - REFERENCE_DB)
    assert told["meanPitch"] == 66.0
    assert told["modelMaxFrameLength"] == 750


def test_what_the_client_cannot_play_is_refused():
    settings = bundle_of("gru8").settings
    for change in ({"sample_rate_hz": 48_000, "hop": 960}, {"frame_rate_hz": 100.0, "hop": 160}):
        with pytest.raises(TinyTimbreError, match="250 times a second"):
            check_magenta(settings.model_copy(update=change))
    with pytest.raises(ValueError, match="frames must exceed 250"):
        check_magenta(settings, frames=250)


PAGE = """<!doctype html><meta charset="utf-8">
<script src="/clients/magentamusic-1.23.1.js"></script>
<script>
const tell = (message) => fetch('/found', { method: 'POST', body: JSON.stringify(message) });
(async () => {
  const given = FEATURES;
  const model = new mm.DDSP(location.origin + '/model');
  await model.initialize();
  const f0 = mm.tf.tensor1d(given.f0_hz), loudness = mm.tf.tensor1d(given.loudness_db);
  const direct = await model.model.predict({ f0_hz: f0, loudness_db: loudness }).data();
  const played = await model.synthesize({
    f0_hz: [...given.spice_hz], loudness_db: [...given.loudness_db], confidences: given.spice_hz.map(() => 1),
    originalRecordedBufferLength: given.loudness_db.length * 64,
  });
  const settings = model.settings;
  model.dispose();
  const runtime = { backend: mm.tf.getBackend(), tfjs: mm.tf.version.tfjs };
  await tell({ direct: [...direct], played: [...played], settings, ...runtime });
})().catch((error) => tell({ error: String(error.stack ?? error) })).then(() => tell({ done: true }));
</script>
"""


@pytest.mark.parametrize("name", ["gru8", "cnn8"])
def test_the_real_client_plays_it(name, tmp_path):
    assert CLIENT.is_file(), "make install, or: python web/tools/fetch_clients.py"
    bundle, (f0_hz, client_db) = bundle_of(name, level="rms_energy"), features()
    folder = export_magenta(bundle, output=tmp_path / "model", frames=FRAMES)
    given = {"f0_hz": f0_hz.tolist(), "loudness_db": client_db.tolist(), "spice_hz": f0_hz[::8].tolist()}
    (tmp_path / "index.html").write_text(PAGE.replace("FEATURES", json.dumps(given)))
    folders = {"page": tmp_path, "model": folder, "clients": CLIENT.parent}
    (found,) = visit("page/index.html", folders=folders, patience_secs=240)

    assert "error" not in found, found["error"]
    assert found["tfjs"].startswith("2.")
    assert found["backend"] == "webgl"
    assert found["settings"]["modelMaxFrameLength"] == FRAMES
    direct = np.array(found["direct"])
    tones = expected(bundle, f0_hz, client_db, with_noise=False)
    noise_db = snr_db(tones, expected(bundle, f0_hz, client_db))
    # Other noise of the same power: what remains after the tones is as loud as our own noise, give or take 1 dB.
    assert direct.shape == (FRAMES * 64,)
    assert abs(snr_db(tones, direct) - noise_db) < 1
    played = np.array(found["played"])
    assert np.isfinite(played).all()
    assert 1e-3 < played.std() < 1
    assert len(played) > FRAMES * 64
