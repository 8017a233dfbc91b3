"""Published models gathered to be passed on."""

from __future__ import annotations

import json
import shutil

import pytest
from exported_bundles import renamed

from tinytimbre.errors import TinyTimbreError
from tinytimbre.export.collection import collect
from tinytimbre.export.publish import publish_bundle, read_index

CARD = "# violin\n\n## Verdict\n\ngood\n\n## Listen\n\n- [a](samples/a.flac)\n\n## Trained on\n\nthe rest\n"


@pytest.fixture
def published(bundles, tmp_path):
    """Two versions of a violin, with a recording among their samples."""
    sound = tmp_path / "a.flac"
    sound.write_bytes(b"a recording")
    for quantisation in ("float32", "uint8"):
        publish_bundle(
            bundles("gru8")[1] / quantisation,
            card=CARD, to=tmp_path / "published", instrument="violin", extra_files={"samples/a.flac": sound},
        )  # fmt: skip
    return tmp_path / "published"


def with_data(published, data):
    """What the latest violin says about its recordings is replaced."""
    folder = published / "violin" / read_index(published)["instruments"]["violin"]["latest"]
    settings = json.loads((folder / "settings.json").read_text())
    (folder / "settings.json").write_text(json.dumps({**settings, "data": data}))


def test_the_latest_goes_along_without_the_recordings(published, tmp_path):
    to = tmp_path / "gathered"
    [version] = collect([published], to=to)
    assert sorted(path.name for path in version.iterdir()) == ["card.md", "model.json", "settings.json", "weights.bin"]
    assert json.loads((version / "settings.json").read_text())["quantisation"] == "uint8"
    assert (version / "card.md").read_text() == "# violin\n\n## Verdict\n\ngood\n\n## Trained on\n\nthe rest\n"
    assert "| nobody | CC0-1.0 |" in (to / "LICENCES.md").read_text()
    assert read_index(to)["instruments"]["violin"]["latest"] == version.name


def test_a_newer_model_takes_the_place_of_the_older(published, bundles, tmp_path):
    to = tmp_path / "gathered"
    [first] = collect([published], to=to)
    assert collect([published], to=to) == [first]
    publish_bundle(bundles("gru8")[1] / "float16", card=CARD, to=published, instrument="violin")
    [second] = collect([published], to=to)
    assert [path.name for path in (to / "violin").iterdir()] == [second.name]
    assert [entry["version"] for entry in read_index(to)["instruments"]["violin"]["versions"]] == [second.name]


def test_other_instruments_of_the_collection_stay(published, bundles, tmp_path):
    to, flute = tmp_path / "gathered", shutil.copytree(bundles("gru8")[1] / "uint8", tmp_path / "flute")
    renamed(flute, instrument="flute")
    publish_bundle(flute, card=CARD, to=tmp_path / "flutes", instrument="flute")
    collect([tmp_path / "flutes"], to=to)
    collect([published], to=to)
    assert list(read_index(to)["instruments"]) == ["flute", "violin"]
    assert "## flute" in (to / "LICENCES.md").read_text()
    with pytest.raises(TinyTimbreError, match="one place only"):
        collect([published, published], to=to)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ([], "nothing is said"),
        ([{"source": "a tape", "licence": "", "attribution": "Jane"}], "a tape has no licence"),
        ([{"source": "a tape", "licence": "CC BY 4.0", "attribution": ""}], "a tape has no attribution"),
        ([{"source": "a tape", "licence": "CC BY 3.0 (of CC0 takes)", "attribution": ""}], "a tape has no attribution"),
    ],
)
def test_models_whose_recordings_have_no_terms_stay_behind(published, tmp_path, data, told):
    with_data(published, data)
    with pytest.raises(TinyTimbreError, match="licence and attribution") as caught:
        collect([published], to=tmp_path / "gathered")
    assert told in str(caught.value)
    assert not (tmp_path / "gathered").exists()


def test_the_public_domain_asks_for_no_name(published, tmp_path):
    with_data(published, [{"source": "a tape", "licence": "CC0 1.0", "attribution": ""}])
    collect([published], to=tmp_path / "gathered")
    assert "| none asked for | CC0 1.0 | a tape |" in (tmp_path / "gathered" / "LICENCES.md").read_text()


def test_a_folder_without_models_is_explained(tmp_path):
    with pytest.raises(TinyTimbreError, match=r"index\.json"):
        collect([tmp_path], to=tmp_path / "gathered")
