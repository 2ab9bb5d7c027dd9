from hypothesis import given
from hypothesis import strategies as st

from ops.bench.carry.ages import Change, Known, ages, changes_of, known_by
from ops.demo.game import Truth
from ops.demo.summary import percentile
from topics.models import Outcome, Reason, UpdateResult

EPOCH = 1_795_426_413.0


def change(at: float, npc_id: str = "npc-1") -> Change:
    return Change(npc_id, at, is_first=False, is_group_watched=False)


def truth(at: float, *members: str, action: str = "idle") -> Truth:
    return Truth("npc-1", at, members, "mill", (0.0, 0.0, 0.0), action)


def shape(one: Truth) -> tuple[object, ...]:
    return frozenset(one.members), one.place, one.action


def told(*truths: Truth) -> list[Change]:
    return list(changes_of(truths, shape, {"1001"}.__contains__, EPOCH))


def test_a_change_is_the_first_snapshot_that_shows_it() -> None:
    changes = told(truth(0), truth(3), truth(6, "1001"), truth(9, "1001"), truth(12, action="run"))

    assert [EPOCH, EPOCH + 6, EPOCH + 12] == [one.at for one in changes]
    assert [True, False, False] == [one.is_first for one in changes]


def test_a_group_is_watched_while_a_player_stands_in_it() -> None:
    changes = told(truth(0), truth(3, "npc-2"), truth(6, "npc-2", "1001"), truth(9, "npc-2"))

    assert [False, False, True, False] == [one.is_group_watched for one in changes]


def test_a_memory_as_new_as_a_change_or_newer_knows_of_it() -> None:
    known = {"npc-1": [Known(1.0, 1.5), Known(7.0, 9.0)]}

    assert [0.5, 5.0, 2.0] == ages([change(1.0), change(4.0), change(7.0)], known, until=20.0)


def test_an_older_command_that_ends_later_tells_nothing_new() -> None:
    known = {"npc-1": [Known(5.0, 6.0), Known(2.0, 8.0), Known(9.0, 10.0)]}

    assert [4.0, 1.0] == ages([change(2.0), change(9.0)], known, until=20.0)


def test_a_change_that_never_reached_the_memory_counts_with_its_age_in_the_end() -> None:
    assert [16.0, 15.0] == ages([change(4.0), change(5.0, "npc-2")], {}, until=20.0)


@given(st.lists(st.integers(0, 100), min_size=1), st.integers(100, 200))
def test_overload_hides_nothing(times: list[int], until: int) -> None:
    """Whatever was known in between, an age is never less than the way to the next knowledge."""
    finished = sorted(times)
    known = {"npc-1": [Known(at, at + 50.0) for at in finished]}

    found = ages([change(at) for at in finished], known, until)

    assert [min(at + 50.0, until) - at for at in finished] == found


def test_failed_and_superseded_commands_say_nothing_of_a_memory() -> None:
    said = {outcome for outcome in Outcome if known_by(result(outcome)) is not None}

    assert set(Outcome) - {Outcome.FAILED, Outcome.SUPERSEDED} == said


def result(outcome: Outcome) -> UpdateResult:
    return UpdateResult(
        command_id="c",
        npc_id="npc-1",
        reason=Reason.MEMBERS,
        outcome=outcome,
        observed_at=1.0,
        finished_at=2.0,
    )


def test_a_quantile_is_one_of_the_values() -> None:
    assert 95 == percentile(range(1, 101), 95)
    assert 7 == percentile([7], 50)
    assert percentile([], 50) is None
