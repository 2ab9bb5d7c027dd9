import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.lag.verdict import Sample, Verdict, trend, verdict


def window(*samples: tuple[int | None, int]) -> list[Sample]:
    """Committed offset and end, a second apart."""
    return [Sample(float(at), committed, end) for at, (committed, end) in enumerate(samples)]


CASES = {
    "keeps up": (window((10, 10), (20, 20)), 1, Verdict.OK),
    "was at the end once": (window((10, 10), (10, 50), (10, 90)), 1, Verdict.OK),
    "was reset": (window((50, 90), (20, 90), (30, 90)), 1, Verdict.REWIND),
    "nobody is there": (window((50, 90), (50, 95), (50, 99)), 0, Verdict.STOP),
    "somebody is there and finishes nothing": (window((50, 90), (50, 90)), 2, Verdict.STALL),
    "falls behind": (window((50, 90), (55, 100), (60, 110)), 1, Verdict.WARN),
    "is as far behind all the time": (window((50, 90), (60, 100)), 1, Verdict.WARN),
    "catches up": (window((50, 90), (55, 100), (80, 110)), 1, Verdict.OK),
    "nothing was ever committed": (window((None, 90), (None, 95)), 1, Verdict.NONE),
    "the first commit": (window((None, 90), (10, 95)), 1, Verdict.OK),
    "the commit is gone": (window((10, 90), (None, 95)), 1, Verdict.NONE),
    "one sample": (window((10, 90)), 0, Verdict.OK),
}


@pytest.mark.parametrize("case", CASES)
def test_a_window_has_a_verdict(case: str) -> None:
    samples, members, expected = CASES[case]

    assert expected is verdict(samples, members)


def test_records_that_are_gone_are_no_lag() -> None:
    assert 10 == Sample(0.0, committed=5, end=110, start=100).lag


def test_an_offset_beyond_the_end_is_no_negative_lag() -> None:
    assert 0 == Sample(0.0, committed=120, end=110).lag


def test_the_trend_is_the_growth_of_the_lag_a_second() -> None:
    assert 5.0 == trend(window((10, 20), (15, 30), (20, 40)))
    assert -10.0 == trend(window((10, 40), (20, 40)))


@pytest.mark.parametrize("samples", [window(), window((1, 2)), window((None, 2), (None, 3))])
def test_without_two_samples_there_is_no_trend(samples: list[Sample]) -> None:
    assert trend(samples) is None


@given(
    st.lists(st.tuples(st.none() | st.integers(0, 99), st.integers(0, 99)), min_size=1),
    st.integers(0, 3),
)
def test_who_keeps_up_now_is_never_blamed(
    samples: list[tuple[int | None, int]], members: int
) -> None:
    samples[-1] = (50, 50)

    assert Verdict.OK is verdict(window(*samples), members)
