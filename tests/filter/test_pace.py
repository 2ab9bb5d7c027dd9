from hypothesis import given
from hypothesis import strategies as st

from streams.filter.pace import BURST, Pace


def test_a_few_may_come_at_one_moment_and_the_next_must_wait() -> None:
    pace = Pace(interval=300.0)

    found = [pace.lets_through(0.0, now=1000.0, npcs=0) for _ in range(BURST + 1)]

    assert [True] * BURST + [False] == found


def test_later_as_many_come_as_twice_the_even_rate() -> None:
    pace = Pace(interval=300.0)
    while pace.lets_through(0.0, now=1000.0, npcs=600):
        pass

    found = [pace.lets_through(0.0, now=1001.0, npcs=600) for _ in range(6)]

    assert [True] * 4 + [False] * 2 == found


def test_who_has_waited_for_half_an_interval_waits_no_longer() -> None:
    pace = Pace(interval=300.0)
    while pace.lets_through(0.0, now=1000.0, npcs=0):
        pass

    assert not pace.lets_through(149.0, now=1000.0, npcs=0)
    assert pace.lets_through(150.0, now=1000.0, npcs=0)


@given(st.lists(st.floats(0, 10_000), min_size=1, max_size=200), st.integers(1, 1000))
def test_no_order_of_times_lets_more_through(times: list[float], npcs: int) -> None:
    """Records of other partitions may be older: time that has passed is given out once."""
    pace = Pace(interval=300.0)

    through = sum(pace.lets_through(0.0, now, npcs) for now in times)

    assert through <= BURST + max(times) * 2 * npcs / 300.0 + 1e-6
