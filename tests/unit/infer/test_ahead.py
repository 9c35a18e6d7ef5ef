"""Reading ahead: the same items, one in advance, and nothing still at work afterwards."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from v2a.infer.ahead import ahead, side_by_side


def test_the_same_items_in_the_same_order():
    with ahead(range(100)) as items:
        assert list(items) == list(range(100))


def test_the_next_item_is_made_while_one_is_used_and_no_more():
    made: list[int] = []
    second = threading.Event()

    def making() -> Iterator[int]:
        for number in range(5):
            made.append(number)
            if number == 1:
                second.set()
            yield number

    with ahead(making()) as items:
        assert next(items) == 0
        assert second.wait(30), "the second one is made although nobody has asked for it"
        assert next(items) == 1
        assert next(items) == 2
    assert made in ([0, 1, 2], [0, 1, 2, 3])


def test_an_error_is_raised_where_its_item_would_have_been():
    def failing() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("the third")

    with ahead(failing()) as items:
        assert [next(items), next(items)] == [1, 2]
        with pytest.raises(ValueError, match="the third"):
            next(items)


def test_what_is_being_made_is_waited_for_on_leaving():
    began, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def slow() -> Iterator[int]:
        yield 1
        began.set()
        may_end.wait(30)
        ended.set()
        yield 2

    with ahead(slow()) as items:
        assert next(items) == 1
        assert began.wait(30)
        threading.Timer(0.05, may_end.set).start()
    assert ended.is_set(), "whoever closes the file now closes it under the decoder"


@pytest.mark.parametrize("threads", [1, 3])
def test_side_by_side_keeps_the_order(threads: int):
    def slow_first(number: int) -> int:
        time.sleep(0.05 if number == 0 else 0)
        return number * number

    assert list(side_by_side(slow_first, range(20), threads)) == [(number, number * number) for number in range(20)]


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_comes_where_its_item_would_have_been(threads: int):
    def make(number: int) -> int:
        if number == 2:
            raise ValueError("two")
        return number

    made = side_by_side(make, range(9), threads)
    assert [next(made), next(made)] == [(0, 0), (1, 1)]
    with pytest.raises(ValueError, match="two"):
        next(made)
