from __future__ import annotations

import dataclasses
import pathlib

import numpy as np
import pytest
import scipy.stats

from tinytimbre.errors import TinyTimbreError
from tinytimbre.quality.listening import Answer, blind_pairs, load_answers, save_answers, score
from tinytimbre.report.listening import answers_figure


@dataclasses.dataclass(frozen=True)
class Clip:
    instrument: str
    recording_id: str
    role: str
    path: pathlib.Path


def clips(folder: pathlib.Path, *, takes: int = 40) -> list[Clip]:
    made = []
    for take in range(takes):
        for role in ("original", "best", "chosen"):
            path = folder / f"{take}-{role}"
            path.write_text(f"{take} {role}")
            made.append(Clip("flute", f"t{take}", role, path))
    return made


def answered(first: int, of: int) -> list[Answer]:
    return [
        Answer(listener="x", instrument="flute", recording_id=f"{i}", answer="A", first_picked=i < first)
        for i in range(of)
    ]


def test_pairs_hold_both_models_in_random_order(tmp_path: pathlib.Path) -> None:
    pairs = blind_pairs(clips(tmp_path), seed=0)
    assert [pair.number for pair in pairs] == list(range(1, 41))
    assert {pair.recording_id for pair in pairs} == {f"t{take}" for take in range(40)}
    for pair in pairs:
        first = pair.a if pair.first_is == "A" else pair.b
        assert first.name.endswith("best")
        assert {path.name.split("-")[1] for path in (pair.a, pair.b)} == {"best", "chosen"}
    # Fair letters: 40 coins show 8 to 32 heads but once in 10,000 times; the seed is fixed.
    assert 8 <= sum(pair.first_is == "A" for pair in pairs) <= 32
    assert [pair.recording_id for pair in pairs] != [f"t{take}" for take in range(40)]
    assert pairs == blind_pairs(clips(tmp_path), seed=0) != blind_pairs(clips(tmp_path), seed=1)


def test_one_model_in_both_roles_is_no_question(tmp_path: pathlib.Path) -> None:
    same = clips(tmp_path, takes=2)
    for clip in same:
        clip.path.write_text("the same")
    assert blind_pairs(same, seed=0) == []
    assert blind_pairs([clip for clip in same if clip.role != "original"], seed=0) == []


def test_answers_are_kept_and_replaced(tmp_path: pathlib.Path) -> None:
    pairs, path = blind_pairs(clips(tmp_path, takes=4), seed=0), tmp_path / "answers.json"
    assert load_answers(path) == []
    save_answers({1: "A", 2: "B"}, pairs=pairs, listener="me", path=path)
    save_answers({1: "B"}, pairs=pairs, listener="me", path=path)
    save_answers({1: "B"}, pairs=pairs, listener="you", path=path)
    kept = load_answers(path)
    assert [(a.listener, a.recording_id, a.answer) for a in kept] == [
        ("me", pairs[0].recording_id, "B"),
        ("me", pairs[1].recording_id, "B"),
        ("you", pairs[0].recording_id, "B"),
    ]
    assert [a.first_picked for a in kept] == [p.first_is == "B" for p in (pairs[0], pairs[1], pairs[0])]


@pytest.mark.parametrize("answers", [{9: "A"}, {1: "C"}])
def test_an_answer_to_nothing_is_named(answers: dict, tmp_path: pathlib.Path) -> None:
    pairs = blind_pairs(clips(tmp_path, takes=4), seed=0)
    with pytest.raises(TinyTimbreError, match="A or B"):
        save_answers(answers, pairs=pairs, listener="me", path=tmp_path / "a.json")
    assert not (tmp_path / "a.json").exists()


def test_a_file_that_is_no_answers_is_named(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.json").write_text("[1, 2")
    with pytest.raises(TinyTimbreError, match="saved here"):
        load_answers(tmp_path / "a.json")


@pytest.mark.parametrize(("first", "of"), [(0, 12), (7, 12), (10, 12), (12, 12)])
def test_score_is_the_binomial_one(first: int, of: int) -> None:
    found = score(answered(first, of))
    assert found.p_value == pytest.approx(scipy.stats.binom.sf(first - 1, of, 0.5))
    # The bound is the share at which so few would be picked once in twenty times.
    if first < of:
        assert scipy.stats.binom.cdf(first, of, found.share_bound) == pytest.approx(0.05, abs=1e-6)
    assert ("is heard" in found.words) == (found.p_value <= 0.05)
    assert f"{first} of {of}" in found.words


def test_guessing_is_called_heard_in_at_most_one_of_twenty_tests() -> None:
    generator = np.random.default_rng(0)
    heard = sum(score(answered(int(generator.binomial(20, 0.5)), 20)).p_value <= 0.05 for _ in range(500))
    assert heard <= scipy.stats.binom.ppf(0.999, 500, 0.05)


def test_no_answers_are_said_and_drawn(tmp_path: pathlib.Path) -> None:
    assert score([]).words == "No answers yet."
    answers_figure([]).savefig(tmp_path / "none.png")
    answers_figure(answered(3, 4)).savefig(tmp_path / "some.png")
    assert (tmp_path / "some.png").stat().st_size != (tmp_path / "none.png").stat().st_size
