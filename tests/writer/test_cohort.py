import pytest

from streams.writer.cohort import PATIENCE, Cohort

USUAL = 0.1


@pytest.fixture
def cohort() -> Cohort:
    """Updates take USUAL; some began at 10 s."""
    cohort = Cohort()
    for _ in range(50):
        cohort.took(USUAL)
    cohort.began(10.0)
    return cohort


def test_those_who_begin_at_one_moment_are_together(cohort: Cohort) -> None:
    assert cohort.is_open(under_way=3, now=10.0)


def test_the_next_begin_when_all_have_ended(cohort: Cohort) -> None:
    assert not cohort.is_open(under_way=1, now=10.05)
    assert cohort.is_open(under_way=0, now=10.05)


def test_who_takes_longer_than_usual_is_not_waited_for(cohort: Cohort) -> None:
    assert cohort.opens_at(under_way=1) == pytest.approx(10.0 + 2 * USUAL, abs=0.001)


def test_nobody_is_held_back_for_longer_than_our_patience() -> None:
    slow = Cohort()
    for _ in range(50):
        slow.took(10.0)
    slow.began(10.0)

    assert 10.0 + PATIENCE == slow.opens_at(under_way=1)


def test_as_long_as_nothing_is_known_nobody_waits() -> None:
    cohort = Cohort()
    cohort.began(10.0)

    assert cohort.is_open(under_way=1, now=10.001)
