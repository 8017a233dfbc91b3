"""A blind comparison by ear: two models in random order beside the original, answers kept, scored by a binomial test.

    pairs = blind_pairs(tables.audio, first="best", second="chosen", seed=0)
    save_answers({"1": "A", "2": "B"}, pairs=pairs, listener="me", path=path)
    print(score(load_answers(path)).words)

Whoever listens sees A and B; which is which lies in the pairs and is written down with the answers.
"""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import numpy as np
import pydantic
import scipy.stats

from tinytimbre.errors import TinyTimbreError

Letter = Literal["A", "B"]


class Sound(Protocol):
    """What is compared, such as `tinytimbre.report.tables.AudioClip`."""

    @property
    def instrument(self) -> str:
        """Name of the instrument."""

    @property
    def recording_id(self) -> str:
        """The take that is played."""

    @property
    def role(self) -> str:
        """Which model plays; "original" for the recording."""

    @property
    def path(self) -> pathlib.Path:
        """The sound file."""


class BlindPair(pydantic.BaseModel):
    """One question: which of ``a`` and ``b`` is nearer to ``original``? ``first_is`` is the secret."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    number: int
    instrument: str
    recording_id: str
    original: pathlib.Path
    a: pathlib.Path
    b: pathlib.Path
    first_is: Letter


class Answer(pydantic.BaseModel):
    """One answer; ``first_picked`` says whether the first of the two models was said to be nearer."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    listener: str
    instrument: str
    recording_id: str
    answer: Letter
    first_picked: bool


class Score(pydantic.BaseModel):
    """Outcome of a blind comparison.

    Attributes:
        n_answers: answers counted.
        n_first: of them, for the first model.
        p_value: one-sided binomial test of "both are picked equally often" against "the first more often".
        share_bound: one-sided upper bound (Clopper & Pearson, 1934) of how often the first is picked; 0.5 is chance.
        words: what may be said.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    n_answers: int
    n_first: int
    p_value: float
    share_bound: float
    words: str


_ANSWERS = pydantic.TypeAdapter(list[Answer])


def blind_pairs(sounds: Sequence[Sound], *, seed: int, first: str = "best", second: str = "chosen") -> list[BlindPair]:
    """A question per recording that both models play, in random order; none where they are one model's files.

    Args:
        sounds: of all instruments.
        seed: of the order of questions and letters.
        first: role of the model that is tested for being better.
        second: role of the other.
    """
    by_take: dict[tuple[str, str], dict[str, pathlib.Path]] = {}
    for sound in sounds:
        by_take.setdefault((sound.instrument, sound.recording_id), {})[sound.role] = sound.path
    generator = np.random.default_rng(seed)
    complete = [(key, own) for key, own in sorted(by_take.items()) if {"original", first, second} <= set(own)]
    complete = [one for one in complete if one[1][first].read_bytes() != one[1][second].read_bytes()]
    pairs = []
    for number, index in enumerate(generator.permutation(len(complete)), start=1):
        (instrument, recording_id), own = complete[index]
        first_is: Letter = "A" if generator.random() < 0.5 else "B"
        a, b = (own[first], own[second]) if first_is == "A" else (own[second], own[first])
        pairs.append(
            BlindPair(
                number=number,
                instrument=instrument,
                recording_id=recording_id,
                original=own["original"],
                a=a,
                b=b,
                first_is=first_is,
            )
        )
    return pairs


def save_answers(
    answers: Mapping[int, Letter], *, pairs: Sequence[BlindPair], listener: str, path: str | pathlib.Path
) -> list[Answer]:
    """Adds answers, by number of the pair, to those in the file (JSON) and returns all.

    The file appears whole or not at all. A listener's later answer on a recording replaces the earlier one.

    Raises:
        TinyTimbreError: an answer to no pair, or neither A nor B.
    """
    path = pathlib.Path(path)
    known = {(a.listener, a.instrument, a.recording_id): a for a in load_answers(path)}
    by_number = {pair.number: pair for pair in pairs}
    for number, letter in answers.items():
        if number not in by_number or letter not in ("A", "B"):
            raise TinyTimbreError(
                "an answer is A or B to one of the questions",
                got=f"{letter!r} to question {number!r} of {len(pairs)}",
            )
        pair = by_number[number]
        known[listener, pair.instrument, pair.recording_id] = Answer(
            listener=listener,
            instrument=pair.instrument,
            recording_id=pair.recording_id,
            answer=letter,
            first_picked=letter == pair.first_is,
        )
    found = list(known.values())
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_bytes(_ANSWERS.dump_json(found, indent=1))
    partial.replace(path)
    return found


def load_answers(path: str | pathlib.Path) -> list[Answer]:
    """The answers in a file; none where it does not exist.

    Raises:
        TinyTimbreError: not a file of answers.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        return []
    try:
        return _ANSWERS.validate_json(path.read_bytes())
    except (pydantic.ValidationError, json.JSONDecodeError) as error:
        raise TinyTimbreError("a file of answers must be one that was saved here", got=str(path)) from error


def score(answers: Sequence[Answer], *, confidence: float = 0.95) -> Score:
    """Whether the first model was picked more often than chance, and how often it may be at most."""
    count, first = len(answers), sum(answer.first_picked for answer in answers)
    if not count:
        return Score(n_answers=0, n_first=0, p_value=1.0, share_bound=1.0, words="No answers yet.")
    test = scipy.stats.binomtest(first, count, 0.5, alternative="greater")
    bound = float(scipy.stats.binomtest(first, count, 0.5, alternative="less").proportion_ci(confidence).high)
    heard = test.pvalue <= 1 - confidence
    words = (
        f"The best model was picked in {first} of {count} answers (binomial test, p = {test.pvalue:.2g}): "
        + ("the difference is heard." if heard else "no difference was heard, which is no proof that there is none.")
        + f" It is picked in at most {bound:.0%} of answers, with {confidence:.0%} confidence; chance is 50%."
    )
    return Score(n_answers=count, n_first=first, p_value=float(test.pvalue), share_bound=bound, words=words)
