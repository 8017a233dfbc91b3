from __future__ import annotations

import numpy as np

from tinytimbre.features.scaling import hz_to_midi, midi_to_hz, scale_inputs


def test_midi_of_known_notes() -> None:
    np.testing.assert_allclose(hz_to_midi(np.array([440.0, 261.6255653, 27.5])), [69, 60, 21], atol=1e-6)


def test_midi_and_back() -> None:
    f0_hz = np.geomspace(40, 4000, 50)
    np.testing.assert_allclose(midi_to_hz(hz_to_midi(f0_hz)), f0_hz, rtol=1e-12)


def test_inputs_are_pitch_then_level() -> None:
    inputs = scale_inputs(np.array([440.0, 220.0], np.float32), np.array([-80.0, 0.0], np.float32))
    assert inputs.dtype == np.float32
    np.testing.assert_allclose(inputs, [[69 / 127, 0.0], [57 / 127, 1.0]], rtol=1e-6)
