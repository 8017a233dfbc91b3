from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest
import soundfile

from pipelines.recordings import take_inventory
from pipelines.workspace import Workspace, check_folder, check_place, make_place, needed_bytes
from tinytimbre.audio.example import RATE, make_recordings, note
from tinytimbre.config import load_config
from tinytimbre.errors import TinyTimbreError

SMOKE = pathlib.Path(__file__).resolve().parents[2] / "configs" / "smoke.yaml"
HOLD = (
    "import sys, time; from pipelines.workspace import Workspace\n"
    "with Workspace(sys.argv[1]).locked():\n    print('held', flush=True); time.sleep(60)"
)


def test_the_recorded_configuration_is_the_resolved_one(tmp_path: pathlib.Path) -> None:
    workspace, config = Workspace(tmp_path), load_config(SMOKE).model_copy(update={"instruments": ("reed",)})
    workspace.record(config)
    assert load_config(workspace.config) == config


def test_a_killed_holder_lets_go(tmp_path: pathlib.Path) -> None:
    workspace = Workspace(tmp_path)
    arguments = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            assert workspace.is_locked()
            with pytest.raises(TinyTimbreError, match="one run at a time") as caught, workspace.locked():
                pass
            assert str(holder.pid) in caught.value.got
        finally:
            holder.kill()
    assert not workspace.is_locked()
    with workspace.locked():
        pass


def test_too_small_a_disk_is_refused_at_once(tmp_path: pathlib.Path) -> None:
    with pytest.raises(TinyTimbreError, match="room on the disk"):
        Workspace(tmp_path).check_room(needed_bytes=10**18)
    Workspace(tmp_path).check_room(needed_bytes=1)


def test_more_work_needs_more_room() -> None:
    small = needed_bytes(recorded_bytes=10**7, n_trials=10, parameters=10**5)
    assert needed_bytes(recorded_bytes=10**8, n_trials=10, parameters=10**5) > small
    assert needed_bytes(recorded_bytes=10**7, n_trials=1000, parameters=10**5) > small
    assert needed_bytes(recorded_bytes=10**7, n_trials=10, parameters=10**8) > small


def test_the_inventory_changes_with_the_folder(tmp_path: pathlib.Path) -> None:
    make_recordings(tmp_path / "recordings", notes=2)
    before = take_inventory(tmp_path / "recordings")
    assert before.instruments == ("flue", "reed")
    assert take_inventory(tmp_path / "recordings") == before
    audio = note(f0_hz=300, seconds=0.6, brightness=0.5, seed=1)
    soundfile.write(tmp_path / "recordings" / "reed" / "new.wav", audio, RATE)
    added = take_inventory(tmp_path / "recordings")
    assert added.digest != before.digest
    assert added.n_files == before.n_files + 1
    only = take_inventory(tmp_path / "recordings", instruments=("flue",))
    assert only.digest == take_inventory(tmp_path / "recordings", instruments=("flue",)).digest != added.digest


def test_a_manifest_is_part_of_the_inventory(tmp_path: pathlib.Path) -> None:
    make_recordings(tmp_path, instruments=("reed",), notes=2)
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("file,instrument,licence\nreed/00.wav,reed,CC0\nreed/01.wav,reed,CC0\n")
    before = take_inventory(tmp_path).digest
    manifest.write_text("file,instrument,licence\nreed/00.wav,reed,CC BY 4.0\nreed/01.wav,reed,CC0\n")
    assert take_inventory(tmp_path).digest != before


def test_a_place_to_publish_to_is_checked_without_making_it(tmp_path: pathlib.Path) -> None:
    check_folder(tmp_path / "new" / "deep", purpose="the place")
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "violin"):
        with pytest.raises(TinyTimbreError, match="the place must be a folder") as caught:
            check_folder(place, purpose="the place")
        assert f"{tmp_path / 'file'} is a file" in caught.value.got


def test_a_place_in_an_object_store_is_asked_before_hours_of_work(bucket: str, tmp_path: pathlib.Path) -> None:
    make_place(f"s3://{bucket}/models", purpose="the place")
    check_place(f"s3://{bucket}/models", "violin", purpose="the place")
    for refused in ("s3://absent-bucket/models", "s3://user:word@bucket/models", "ftp://host/models"):
        with pytest.raises(TinyTimbreError):
            make_place(refused, purpose="the place")
        with pytest.raises(TinyTimbreError):
            check_place(refused, "violin", purpose="the place")
    make_place(str(tmp_path / "new"), purpose="the place")
    assert (tmp_path / "new").is_dir()
