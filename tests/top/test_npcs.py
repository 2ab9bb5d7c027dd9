from hypothesis import given
from hypothesis import strategies as st

from ops.top.npcs import Npcs, Wait
from topics.models import Desired, Outcome, Reason, Source, UpdateCommand, UpdateResult

NOW = 1_000_000.0
WINDOW = 300.0


def command(
    command_id: str, npc_id: str = "npc-1", at: float = NOW, reason: Reason = Reason.MEMBERS
) -> UpdateCommand:
    return UpdateCommand(
        command_id=command_id,
        npc_id=npc_id,
        reason=reason,
        observed_at=at,
        issued_at=at,
        source=Source(topic="npc-snapshots", partition=0, offset=0),
        desired=Desired(),
    )


def result(
    command_id: str,
    npc_id: str = "npc-1",
    age: float = 1.0,
    at: float = NOW,
    outcome: Outcome = Outcome.APPLIED,
    reason: Reason = Reason.MEMBERS,
) -> UpdateResult:
    return UpdateResult(
        command_id=command_id,
        npc_id=npc_id,
        reason=reason,
        outcome=outcome,
        observed_at=at - age,
        finished_at=at,
    )


def told(most: int = 10, **more: int) -> Npcs:
    return Npcs(WINDOW, most, **more)


def names(npcs: Npcs, now: float = NOW) -> list[str]:
    return [one.npc_id for one in npcs.told_late(now)]


def waiting(npcs: Npcs, now: float = NOW) -> list[str]:
    return [one.npc_id for one in npcs.waiting(now)]


def test_an_npc_waits_from_its_oldest_command_without_a_result() -> None:
    npcs = told()
    npcs.take_command(command("a", at=NOW - 9, reason=Reason.LOCATION), 0, 1)
    npcs.take_command(command("b", at=NOW - 4), 0, 2)

    assert [Wait("npc-1", 9.0, "location", 2)] == npcs.waiting(NOW)


def test_a_result_ends_the_wait_of_its_command_alone() -> None:
    npcs = told()
    npcs.take_command(command("a", at=NOW - 9), 0, 1)
    npcs.take_command(command("b", at=NOW - 4), 0, 2)
    npcs.take_result(result("a", outcome=Outcome.SUPERSEDED), NOW)

    assert [Wait("npc-1", 4.0, "members", 1)] == npcs.waiting(NOW)


def test_a_result_may_be_read_before_its_command() -> None:
    npcs = told()
    npcs.take_result(result("a"), NOW)
    npcs.take_command(command("a"), 0, 1)

    assert [] == npcs.waiting(NOW)


def test_what_the_writers_have_committed_waits_no_more() -> None:
    npcs = told()
    npcs.take_command(command("a", "npc-1"), 0, 7)
    npcs.take_command(command("b", "npc-2"), 0, 8)
    npcs.take_command(command("c", "npc-3"), 1, 7)
    npcs.take_commits({0: 8})

    assert {"npc-2", "npc-3"} == set(waiting(npcs))
    assert 2 == npcs.waiting_npcs


def test_who_waits_longest_comes_first_and_no_more_than_asked_for() -> None:
    npcs = told(most=2)
    for number in range(5):
        npcs.take_command(command(str(number), f"npc-{number}", at=NOW - number), 0, number)

    assert ["npc-4", "npc-3"] == waiting(npcs)
    assert 5 == npcs.waiting_npcs


def test_a_flood_without_results_takes_bounded_memory_and_keeps_who_came_first() -> None:
    npcs = told(capacity=3)
    for number in range(50):
        npcs.take_command(command(str(number), f"npc-{number}", at=NOW + number), 0, number)
        npcs.take_result(result(f"unknown {number}"), NOW)

    assert ["npc-0", "npc-1", "npc-2"] == waiting(npcs, NOW + 60)
    assert 3 == len(npcs._early)


def test_a_clock_that_is_ahead_makes_no_negative_wait() -> None:
    npcs = told()
    npcs.take_command(command("a", at=NOW + 60), 0, 1)

    assert [0.0] == [one.seconds for one in npcs.waiting(NOW)]


def test_an_npc_is_told_late_once_with_its_oldest_picture() -> None:
    npcs = told()
    for age in (2.0, 7.0, 3.0):
        npcs.take_result(result(f"{age}", age=age), NOW)

    assert [("npc-1", 7.0)] == [(one.npc_id, one.seconds) for one in npcs.told_late(NOW)]


def test_only_memories_that_a_snapshot_asked_for_count() -> None:
    npcs = told()
    for outcome in set(Outcome) - {Outcome.APPLIED}:
        npcs.take_result(result(outcome, outcome, outcome=outcome), NOW)
    for reason in (Reason.PROFILE, Reason.VERIFY):
        npcs.take_result(result(reason, reason, reason=reason), NOW)

    assert [] == npcs.told_late(NOW)


def test_what_is_older_than_the_window_is_forgotten() -> None:
    npcs = told()
    npcs.take_result(result("a", at=NOW - WINDOW - 1), NOW)
    npcs.take_result(result("b", "npc-2"), NOW)

    assert ["npc-2"] == names(npcs)
    assert [] == names(npcs, NOW + WINDOW)


def test_results_from_the_future_fill_no_memory() -> None:
    npcs = told()
    for number in range(500):
        npcs.take_result(result(str(number), f"npc-{number}", at=NOW + 1000.0 * number), NOW)

    assert 1 == len(npcs._slices)
    assert 10 == len(names(npcs))
    assert 20 >= max(map(len, npcs._slices.values()))


@given(
    st.lists(
        st.tuples(st.integers(0, 12), st.integers(0, 100), st.integers(0, 25)),
        max_size=80,
    ),
    st.integers(1, 4),
)
def test_the_worst_are_the_worst_of_all_in_spite_of_the_bound(
    updates: list[tuple[int, int, int]], most: int
) -> None:
    npcs, ages = told(most=most), dict[str, float]()
    for number, (npc, age, ago) in enumerate(updates):
        name = f"npc-{npc:02}"
        ages[name] = max(ages.get(name, 0.0), float(age))
        npcs.take_result(result(str(number), name, age=float(age), at=NOW - ago), NOW)

    expected = sorted(ages.items(), key=lambda item: (-item[1], item[0]))[:most]

    assert expected == [(one.npc_id, one.seconds) for one in npcs.told_late(NOW)]
