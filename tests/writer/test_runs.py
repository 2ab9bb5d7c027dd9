"""Who runs, and who has run since, as far as lists of the newest runs can tell."""

import pytest

from streams.writer.runs import LIVELY_PERIOD, LONGEST, QUIET_PERIOD, Runs
from streams.writer.store import RUNS_LISTED, AgentRun


def run(number: int, agent_id: str, *, is_active: bool = False) -> AgentRun:
    return AgentRun(id=f"run-{number}", agent_id=agent_id, is_active=is_active)


def test_an_agent_runs_from_the_look_that_sees_it_to_the_look_that_sees_its_end() -> None:
    runs = Runs()
    runs.told([run(1, "a", is_active=True)], 0.0)
    before = runs.is_running("a")

    runs.told([run(1, "a")], 1.0)

    assert (True, False) == (before, runs.is_running("a"))


def test_a_run_that_began_and_ended_between_two_looks_is_known_of() -> None:
    runs = Runs()
    runs.told([run(1, "a")], 0.0)
    written_at = runs.looks

    runs.told([run(2, "b"), run(1, "a")], 5.0)

    assert runs.has_run_since("b", written_at)
    assert not runs.has_run_since("a", written_at)


def test_a_run_that_was_in_progress_at_the_write_counts_until_a_look_after_its_end() -> None:
    runs = Runs()
    runs.told([run(1, "a", is_active=True)], 0.0)
    written_at = runs.looks
    runs.told([run(1, "a", is_active=True)], 5.0)
    runs.told([run(1, "a")], 10.0)

    later = runs.looks

    assert runs.has_run_since("a", written_at)
    assert not runs.has_run_since("a", later)


def test_a_long_run_goes_on_though_a_hundred_newer_ones_push_it_off_the_list() -> None:
    runs = Runs()
    runs.told([run(0, "old", is_active=True)], 0.0)
    known = [run(1, "b")]
    runs.told([*known, run(0, "old", is_active=True)], 1.0)

    runs.told([*[run(n, "b") for n in range(RUNS_LISTED - 1, 1, -1)], *known], 2.0)

    assert runs.is_running("old")


def test_a_run_that_nobody_lists_any_more_does_not_last_for_ever() -> None:
    runs = Runs()
    runs.told([run(0, "old", is_active=True)], 0.0)

    runs.told([run(1, "b")], LONGEST)

    assert not runs.is_running("old")


def test_more_new_runs_than_a_list_holds_may_have_been_anybodys() -> None:
    runs = Runs()
    runs.told([run(0, "a")], 0.0)
    written_at = runs.looks

    runs.told([run(n, "b") for n in range(RUNS_LISTED, 0, -1)], 5.0)

    assert runs.has_run_since("nobody-in-the-list", written_at)
    assert not runs.has_run_since("nobody-in-the-list", runs.looks)


@pytest.mark.parametrize(
    ("listed", "period"), [([], QUIET_PERIOD), ([run(1, "a", is_active=True)], LIVELY_PERIOD)]
)
def test_a_look_counts_for_a_shorter_time_while_agents_run(
    listed: list[AgentRun], period: float
) -> None:
    runs = Runs()
    runs.told(listed, 100.0)

    freshness = [runs.is_fresh(100.0 + period - 0.1), runs.is_fresh(100.0 + period)]

    assert [True, False] == freshness


def test_no_look_is_not_fresh() -> None:
    assert not Runs().is_fresh(0.0)


def test_a_run_in_progress_at_the_write_counts_though_it_ends_before_the_next_look() -> None:
    runs = Runs()
    runs.told([run(1, "a", is_active=True)], 0.0)
    written_at = runs.looks

    runs.told([run(1, "a")], 5.0)

    assert runs.has_run_since("a", written_at)
