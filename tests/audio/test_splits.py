from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinytimbre.audio.splits import assign_splits
from tinytimbre.config import SplitConfig
from tinytimbre.errors import TinyTimbreError

SHARES = st.floats(0.01, 0.49)
TAKES = st.lists(st.text("0123456789abcdef", min_size=1, max_size=16), min_size=3, max_size=60, unique=True)


@given(TAKES, SHARES, SHARES, st.randoms())
def test_every_take_has_one_split_whatever_the_order(takes, validation, test, random):
    config = SplitConfig(validation=validation, test=test)
    splits = assign_splits(takes, instrument="violin", config=config)
    shuffled = takes + takes[: len(takes) // 2]
    random.shuffle(shuffled)
    assert assign_splits(shuffled, instrument="violin", config=config) == splits
    assert set(splits) == set(takes)
    assert set(splits.values()) == {"train", "validation", "test"}


@pytest.mark.parametrize("count", [5, 10, 15, 30])
def test_shares_are_rounded_up(count):
    config = SplitConfig(validation=0.1, test=0.2)
    found = list(assign_splits(map(str, range(count)), instrument="violin", config=config).values())
    assert found.count("test") == math.ceil(count * 2 / 10)
    assert found.count("validation") == math.ceil(count / 10)


def test_two_takes_are_too_few():
    with pytest.raises(TinyTimbreError) as caught:
        assign_splits(["a", "b", "a"], instrument="kazoo", config=SplitConfig())
    assert "kazoo has 2" in str(caught.value)
    assert caught.value.remedy
