"""The breaker by itself: what it allows after each kind of news, at each time."""

from collections.abc import Sequence
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.writer.breaker import ANY_NUMBER, Breaker, BreakerState

CLOSED, HALF_OPEN, OPEN = BreakerState.CLOSED, BreakerState.HALF_OPEN, BreakerState.OPEN


def breaker() -> Breaker:
    """Opens after three NPCs, probes after 1, 2, 4, 4 ... seconds, closes after three successes."""
    return Breaker(failures=3, full=3, first=1.0, longest=4.0, chance=lambda: 1.0)


def after(news: Sequence[tuple[float, str]], when: float) -> tuple[BreakerState, int]:
    """State and room after some news; "+" is a success, "a" a failure of NPC a, "7" a pause."""
    tested = breaker()
    for now, what in news:
        if what == "+":
            tested.succeeded(now)
        elif what.isdigit():
            tested.failed("npc", now, float(what))
        else:
            tested.failed(what, now)
    return tested.state(when), tested.room(when)


ALL_FAIL = [(0.0, "a"), (0.0, "b"), (0.0, "c")]


@pytest.mark.parametrize(
    ("news", "when", "expected"),
    [
        ([], 0.0, (CLOSED, ANY_NUMBER)),
        ([(0.0, "a"), (0.0, "b")], 0.0, (CLOSED, ANY_NUMBER)),
        (ALL_FAIL, 0.9, (OPEN, 0)),
        ([(0.0, "a")] * 9, 0.0, (CLOSED, ANY_NUMBER)),
        ([(0.0, "a"), (0.0, "b"), (0.0, "+"), (0.0, "c")], 0.0, (CLOSED, ANY_NUMBER)),
        ([(0.0, "7")], 6.9, (OPEN, 0)),
        ([(0.0, "7")], 7.0, (HALF_OPEN, 1)),
        (ALL_FAIL, 1.0, (HALF_OPEN, 1)),
        ([*ALL_FAIL, (0.5, "d"), (0.5, "+")], 0.9, (OPEN, 0)),
        ([*ALL_FAIL, (0.5, "d"), (0.5, "+")], 1.0, (HALF_OPEN, 1)),
        ([*ALL_FAIL, (1.0, "a")], 2.9, (OPEN, 0)),
        ([*ALL_FAIL, (1.0, "a")], 3.0, (HALF_OPEN, 1)),
        ([*ALL_FAIL, (1.0, "a"), (3.0, "a")], 7.0, (HALF_OPEN, 1)),
        ([*ALL_FAIL, (1.0, "a"), (3.0, "a"), (7.0, "a")], 10.9, (OPEN, 0)),
        ([*ALL_FAIL, (1.0, "a"), (3.0, "a"), (7.0, "a")], 11.0, (HALF_OPEN, 1)),
        ([*ALL_FAIL, (1.0, "+")], 1.0, (HALF_OPEN, 2)),
        ([*ALL_FAIL, (1.0, "+"), (1.0, "+")], 1.0, (HALF_OPEN, 3)),
        ([*ALL_FAIL, (1.0, "+"), (1.0, "a")], 1.0, (HALF_OPEN, 1)),
        ([*ALL_FAIL, (1.0, "+"), (1.0, "a"), (1.0, "b")], 2.9, (OPEN, 0)),
        ([*ALL_FAIL, (1.0, "+"), (1.0, "7")], 7.9, (OPEN, 0)),
        ([*ALL_FAIL, (1.0, "+"), (1.0, "+"), (1.0, "+")], 1.0, (CLOSED, ANY_NUMBER)),
        ([(0.0, "9"), (1.0, "2")], 8.9, (OPEN, 0)),
    ],
)
def test_what_is_allowed(
    news: list[tuple[float, str]], when: float, expected: tuple[BreakerState, int]
) -> None:
    assert after(news, when) == expected


def test_after_it_closed_the_first_probe_comes_early_again() -> None:
    news = [*ALL_FAIL, (1.0, "a"), (3.0, "+"), (3.0, "+"), (3.0, "+")]

    again = [(10.0 + now, what) for now, what in ALL_FAIL]

    assert after([*news, *again], 11.0) == (HALF_OPEN, 1)


def test_probes_of_many_writers_do_not_meet() -> None:
    early, late = (Breaker(failures=1, first=1.0, chance=partial(float, c)) for c in (0.0, 1.0))
    early.failed("a", 0.0)
    late.failed("a", 0.0)

    assert (early.opens_at(0.0), late.opens_at(0.0)) == (0.5, 1.0)


@given(st.lists(st.tuples(st.floats(0, 3), st.sampled_from(["+", "a", "b", "c", "d", "2"]))))
def test_whatever_happens_somebody_may_ask_within_the_longest_wait(
    steps: list[tuple[float, str]],
) -> None:
    now, news = 0.0, []
    for pause, what in steps:
        now += pause
        news.append((now, what))

    state, room = after(news, now + 4.0)

    assert (state, room > 0) in [(CLOSED, True), (HALF_OPEN, True)]
