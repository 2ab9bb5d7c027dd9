import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.top.rates import (
    Growth,
    Look,
    Page,
    Samples,
    by,
    growth,
    mean,
    quantile,
    together,
    total,
)


def series(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


SENT = series("snapshots", outcome="sent")


def look(at: float, **pages: float) -> Look:
    """Workers by name, each with one counter."""
    return Look(at, {where: Page({SENT: value}, {}) for where, value in pages.items()})


def histogram(*counts: tuple[str, float]) -> Samples:
    return {series("age_bucket", le=bound): float(count) for bound, count in counts}


def test_a_rate_is_what_all_workers_counted_a_second() -> None:
    grown = growth(look(10.0, a=5.0, b=100.0), look(14.0, a=9.0, b=116.0))

    assert 5.0 == grown.rate("snapshots")
    assert {"sent": 5.0} == grown.rates("snapshots", "outcome")


def test_a_worker_that_was_started_again_hides_nothing_of_the_others() -> None:
    grown = growth(look(10.0, a=500.0, b=100.0), look(12.0, a=3.0, b=104.0))

    assert 2.0 == grown.rate("snapshots")


def test_of_a_worker_that_answered_once_nothing_is_known() -> None:
    came = growth(look(0.0, a=1.0), look(1.0, a=1.0, b=900.0))
    went = growth(look(0.0, a=1.0, b=900.0), look(1.0, a=1.0))

    assert {SENT: 0.0} == came.counters == went.counters


def test_a_counter_that_is_new_on_a_page_began_at_nothing() -> None:
    other = series("snapshots", outcome="outdated")
    before = look(0.0, a=1.0)
    after = Look(2.0, {"a": Page({SENT: 1.0, other: 4.0}, {})})

    assert {"outdated": 2.0} == growth(before, after).rates("snapshots", "outcome")


def test_a_page_that_lost_a_counter_is_that_of_another_worker() -> None:
    before = Look(0.0, {"a": Page({SENT: 1.0, series("errors"): 2.0}, {})})

    assert {} == growth(before, look(1.0, a=50.0)).counters


def test_two_looks_at_the_same_moment_have_no_rate() -> None:
    grown = growth(look(1.0, a=1.0), look(1.0, a=5.0))

    assert 0.0 == grown.rate("snapshots")
    assert {} == grown.rates("snapshots", "outcome")


Step = tuple[bool, int]
"""Whether the worker was started again, and what it counted then."""

steps = st.lists(st.tuples(st.booleans(), st.integers(0, 1000)), max_size=20)


def looks_of(life: list[Step]) -> list[Look]:
    looks, counted = [look(0.0, a=0.0)], 0
    for at, (is_new, more) in enumerate(life, start=1):
        counted = more if is_new else counted + more
        looks.append(look(float(at), a=float(counted)))
    return looks


def grown_over(life: list[Step]) -> Growth:
    looks = looks_of(life)
    return together(growth(*pair) for pair in pairwise(looks))


@given(steps)
def test_no_rate_is_ever_negative_nor_more_than_was_counted(life: list[Step]) -> None:
    looks = looks_of(life)

    grown = [growth(*pair).counters.get(SENT, 0.0) for pair in pairwise(looks)]

    assert all(0 <= found <= more for found, (_, more) in zip(grown, life, strict=True))


@given(steps)
def test_without_a_new_start_nothing_is_missed(life: list[Step]) -> None:
    steady = [(False, more) for _, more in life]

    grown = grown_over(steady)

    assert sum(more for _, more in steady) == grown.counters.get(SENT, 0.0)
    assert len(steady) == grown.seconds


def test_a_quantile_lies_on_the_line_between_two_bounds() -> None:
    ages = histogram(("1.0", 0), ("2.0", 10), ("+Inf", 10))

    assert 1.5 == quantile(0.5, ages, "age")
    assert 2.0 == quantile(1.0, ages, "age")


def test_beyond_the_last_bound_a_quantile_is_that_bound() -> None:
    assert 2.0 == quantile(0.99, histogram(("2.0", 1), ("+Inf", 10)), "age")


def test_a_quantile_of_nothing_is_not_known() -> None:
    assert quantile(0.5, {}, "age") is None
    assert quantile(0.5, histogram(("1.0", 0), ("+Inf", 0)), "age") is None
    assert mean({}, "age") is None


def test_a_quantile_is_of_the_series_asked_for() -> None:
    ages = {
        series("age_bucket", le="1.0", operation="read"): 1.0,
        series("age_bucket", le="9.0", operation="write"): 1.0,
    }

    assert 1.0 == quantile(1.0, ages, "age", operation="read")


@pytest.mark.parametrize("bound", ["nan", "-3", "", "soon"])
def test_a_bound_that_is_none_is_left_out(bound: str) -> None:
    assert 1.0 == quantile(1.0, histogram((bound, 7), ("1.0", 3), ("+Inf", 3)), "age")


BOUNDS = (0.1, 1.0, 5.0, math.inf)


@given(
    st.lists(st.floats(0, 20), min_size=1),
    st.lists(st.floats(0, 1), min_size=2, max_size=2).map(sorted),
)
def test_quantiles_never_fall_and_stay_within_the_bounds(
    observed: list[float], qs: list[float]
) -> None:
    ages = histogram(*((str(b), sum(one <= b for one in observed)) for b in BOUNDS))

    lower, upper = (quantile(q, ages, "age") for q in qs)

    assert lower is not None
    assert upper is not None
    assert 0 <= lower <= upper <= 5.0


def test_a_mean_is_the_sum_by_the_count() -> None:
    assert 2.5 == mean({series("age_sum"): 10.0, series("age_count"): 4.0}, "age")


def test_sums_by_a_label_come_largest_first_without_zeros() -> None:
    samples = {
        series("x", a="few", b="1"): 1.0,
        series("x", a="many", b="1"): 2.0,
        series("x", a="many", b="2"): 2.0,
        series("x", a="none"): 0.0,
        series("y", a="few"): 9.0,
    }

    assert [("many", 4.0), ("few", 1.0)] == list(by(samples, "x", "a").items())
    assert 3.0 == total(samples, "x", b="1")
