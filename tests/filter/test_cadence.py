import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.filter.cadence import LEARNED, Cadence

THRESHOLD, LONGEST = 30.0, 300.0
NPC = "npc-1"


def cadence_of(*gaps: float) -> Cadence:
    cadence = Cadence(THRESHOLD, LONGEST)
    for gap in gaps:
        cadence.learn(NPC, gap)
    return cadence


def test_a_few_long_gaps_change_nothing() -> None:
    assert THRESHOLD == cadence_of(*[60.0] * (LEARNED - 1)).stale_after(NPC)


def test_then_three_of_the_usual_are_stale() -> None:
    assert 180.0 == cadence_of(*[60.0] * LEARNED).stale_after(NPC)


def test_no_threshold_is_longer_than_the_longest() -> None:
    assert LONGEST == cadence_of(*[250.0] * LEARNED).stale_after(NPC)


@given(st.floats(10.1, 100.0), st.lists(st.floats(0.8, 1.2), min_size=LEARNED, max_size=100))
def test_a_steady_cadence_is_never_stale_once_it_is_known(
    usual: float, jitter: list[float]
) -> None:
    cadence = cadence_of(*[usual * one for one in jitter])

    assert usual * 1.2 <= cadence.stale_after(NPC)


@given(st.floats(0.1, 90.0), st.integers(LEARNED, 50), st.integers(1, 30))
def test_a_pause_is_stale_every_time(usual: float, between: int, times: int) -> None:
    pause = max(5 * usual, THRESHOLD + 1)
    cadence = cadence_of(*[usual] * between)
    for _ in range(times):
        assert pause > cadence.stale_after(NPC)
        for gap in [pause, *[usual] * between]:
            cadence.learn(NPC, gap)


@given(st.lists(st.floats(0, 1e6), max_size=60))
def test_whatever_comes_the_threshold_stays_within_its_bounds(gaps: list[float]) -> None:
    assert THRESHOLD <= cadence_of(*gaps).stale_after(NPC) <= LONGEST


def test_an_npc_that_is_reported_on_often_again_is_forgotten() -> None:
    cadence = cadence_of(*[60.0] * 10, *[3.0] * 10)

    assert THRESHOLD == cadence.stale_after(NPC)
    assert 0 == len(cadence)


@pytest.mark.parametrize("gap", [0.0, 3.0, THRESHOLD / 3])
def test_npcs_with_short_gaps_are_not_remembered(gap: float) -> None:
    assert 0 == len(cadence_of(*[gap] * 20))
