"""A dry run decides as the filter does."""

from collections.abc import Iterable

import orjson
import pytest

from ops.replay.comparison import Comparison, Tally
from ops.replay.dry_run import Decision, DryRun, Known
from ops.replay.stored import Stored
from streams.filter.core import SnapshotOutcome
from streams.settings import Settings
from topics.models import Reason

NOON = 1_790_000_000.0
SENT, SUPPRESSED = SnapshotOutcome.SENT, SnapshotOutcome.SUPPRESSED


def stored(topic: str, at: float, key: str = "", **value: object) -> Stored:
    timestamp = int((NOON + at) * 1000)
    return Stored(topic, 0, int(at * 10), timestamp, key.encode(), orjson.dumps(value))


def snapshot(at: float, *cluster: str, action: str = "idle", npc_id: str = "npc-1") -> Stored:
    return stored(
        "npc-snapshots",
        at,
        npc_id,
        npc_id=npc_id,
        observed_at=NOON + at,
        cluster=cluster,
        action=action,
        location="inn",
    )


def known(*records: Stored) -> Known:
    world = Known()
    for record in records:
        world.hear(record)
    return world


def decided(
    records: Iterable[Stored], world: Known | None = None, **settings: float
) -> list[Decision]:
    run = DryRun(Settings(**settings), world or Known())  # type: ignore[arg-type]
    return [decision for record in records for decision in run.take(record)]


def test_each_snapshot_has_its_reason_or_none() -> None:
    stretch = [snapshot(0), snapshot(3), snapshot(6, "Ann"), snapshot(9, "Ann", action="walking")]

    reasons = [one.reason for one in decided([*stretch, snapshot(60, "Ann", action="walking")])]

    assert [Reason.FIRST_SEEN, None, Reason.MEMBERS, Reason.ACTION, Reason.STALE] == reasons


def test_what_a_command_changes_is_told_and_which_blocks_it_costs() -> None:
    first, second = decided([snapshot(0, "Ann"), snapshot(3, "Ann", "Bob")])

    assert ["Bob"] == [one.member.name for one in second.changes if one.member]
    assert (2, 1) == (first.writes, second.writes)


def test_a_refresh_of_what_has_not_changed_writes_nothing() -> None:
    assert 0 == decided([snapshot(0), snapshot(60)])[1].writes


def test_other_settings_decide_otherwise() -> None:
    stretch = [snapshot(0), snapshot(45)]

    assert [SENT, SENT] == [one.outcome for one in decided(stretch)]
    assert [SENT, SUPPRESSED] == [
        one.outcome for one in decided(stretch, stale_data_threshold=60.0)
    ]


def test_who_is_named_is_told_by_the_roster_and_the_profiles() -> None:
    world = known(
        stored("npc-roster", -9, "npc-2", npc_id="npc-2", name="Ann", description="tall"),
        stored("player-profiles", -9, "p1", player_id="p1", name="Bob", description="small"),
        stored("locations", -9, "inn", slug="inn", name="The Inn", coordinates=[0, 0, 0]),
    )

    [decision] = decided([snapshot(0, "Ann", "Bob")], world)

    assert decision.after is not None
    assert {("npc-2", "tall"), ("p1", "small")} == {
        (one.id, one.appearance) for one in decision.after.members
    }
    assert "The Inn" == decision.after.location


def test_who_was_removed_from_the_roster_is_nobody() -> None:
    world = known(
        stored("npc-roster", -9, "npc-2", npc_id="npc-2", name="Ann"),
        Stored("npc-roster", 0, 1, 0, b"npc-2", None),
    )

    assert [] == list(world.roster)


def test_a_record_that_cannot_be_read_is_a_dead_letter() -> None:
    [decision] = decided([Stored("npc-snapshots", 0, 0, int(NOON * 1000), b"npc-1", b"junk")])

    assert SnapshotOutcome.DEAD_LETTER == decision.outcome
    assert decision.error


@pytest.mark.parametrize("record", [snapshot(0)._replace(value=None), stored("dead-letters", 0)])
def test_deletions_and_other_topics_decide_nothing(record: Stored) -> None:
    assert [] == decided([record])


def test_a_world_snapshot_is_one_decision_for_each_npc() -> None:
    world = stored("world-snapshots", 0, clusters={"npc-1": ["Ann"], "npc-2": []})

    assert {"npc-1", "npc-2"} == {one.npc_id for one in decided([world])}


def test_a_player_forgotten_and_met_again_is_recalled_from_the_profiles() -> None:
    profile = stored("player-profiles", -9, "p1", player_id="p1", name="Bob", description="small")
    near = [
        stored("npc-snapshots", at, "npc-1", npc_id="npc-1", nearby_players=["p1"])
        for at in (103, 109)
    ]
    stretch = [snapshot(0), snapshot(100), *near]

    made = decided(stretch, known(profile), player_cache_ttl=50.0)

    last = [one.after for one in made if one.after][-1]
    assert [("p1", "small")] == [(one.id, one.appearance) for one in last.members]


def test_the_same_stretch_is_decided_the_same_twice() -> None:
    stretch = [snapshot(3.0 * n, *"AB"[: n % 3], npc_id=f"npc-{n % 4}") for n in range(60)]

    assert decided(stretch) == decided(stretch)


def test_a_comparison_counts_what_is_saved() -> None:
    stretch, comparison = [snapshot(0), snapshot(45), snapshot(48)], Comparison()
    runs = [DryRun(Settings(stale_data_threshold=each), Known()) for each in (30.0, 60.0)]

    differing = [comparison.add(*(list(run.take(one)) for run in runs)) for one in stretch]

    assert [False, True, False] == differing
    assert (4, 3) == comparison.rows()["Letta calls"]
    assert 0.25 == comparison.saved


def test_a_comparison_of_nothing_saves_nothing() -> None:
    assert Comparison().saved is None


def test_a_tally_has_the_calls_of_each_minute() -> None:
    tally = Tally()

    for decision in decided([snapshot(0), snapshot(60)]):
        tally.add(decision)

    assert [3, 1] == [tally.calls_by_minute[int((NOON + at) // 60)] for at in (0, 60)]
