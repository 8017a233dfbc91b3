"""Errors that another process raised arrive whole."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import pickle

import pytest

from tinytimbre.audio.reading import UnreadableAudioError
from tinytimbre.errors import TinyTimbreError

ERROR = TinyTimbreError("the rule", got="a value", cause="a cause", remedy="a way out")


def fail() -> None:
    raise ERROR


def test_an_error_crosses_a_process_boundary() -> None:
    context = multiprocessing.get_context("forkserver")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        with pytest.raises(TinyTimbreError) as caught:
            pool.submit(fail).result()
        assert str(caught.value) == str(ERROR)


def test_errors_of_a_kind_keep_it() -> None:
    error = pickle.loads(pickle.dumps(UnreadableAudioError("empty", "the rule", got="a.wav")))
    assert type(error) is UnreadableAudioError
    assert (error.kind, error.rule, error.got) == ("empty", "the rule", "a.wav")
