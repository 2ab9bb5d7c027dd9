"""The filter without Kafka: snapshots in, observations out, and nothing lost with its memory."""

import itertools
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.filter.cadence import LEARNED
from streams.filter.core import Held, SnapshotOutcome, World
from streams.filter.decide import Policy
from streams.filter.pace import BURST
from streams.settings import Mode, Staleness
from tests.filter.town import (
    ALICE,
    BOB,
    FORGE,
    GRETA,
    NOON,
    NPC,
    OTTO,
    PLACES,
    Filter,
    member,
    names,
    players,
    profile,
    roster,
    snapshot,
    source,
)
from topics.decode import decode_command
from topics.encode import encode
from topics.models import PlayerRef, Reason, RosterEntry, Snapshot
from topics.text import ID_LIMIT

# ---------------------------------------------------------------- outcomes


def test_the_first_snapshot_of_an_npc_is_sent_whole() -> None:
    otto = Filter()

    seen = otto.see(snapshot(ALICE, cluster=("Greta",), action="hammering"), offset=41)

    assert seen.outcome is SnapshotOutcome.SENT
    assert seen.command
    assert (seen.command.npc_id, seen.command.reason) == (NPC, "first_seen")
    assert (seen.command.observed_at, seen.command.source) == (NOON, source(41))
    assert names(seen.command.desired) == ["Alice", "Miss Greta"]
    assert seen.command.desired.location == "Market Square"
    assert seen.command.desired.action == "hammering"


def test_what_says_the_same_again_is_held_back() -> None:
    otto = Filter()

    outcomes = [otto.see(snapshot(ALICE, at=NOON + at)).outcome for at in range(0, 30, 3)]

    assert outcomes == [SnapshotOutcome.SENT] + [SnapshotOutcome.SUPPRESSED] * 9


def test_only_clock_and_position_may_change_without_a_command() -> None:
    otto = Filter()

    for at in range(5):
        otto.see(snapshot(ALICE, at=NOON + at, location=None, position=(at / 10, 0.0, 0.0)))

    assert otto.reasons == ["first_seen"]
    assert otto.told.location == "at the entrance to Market Square"


def test_every_reason_comes_through() -> None:
    otto = Filter()
    otto.see(snapshot())
    otto.see(snapshot(ALICE, at=NOON + 1))
    otto.see(snapshot(ALICE, at=NOON + 2, location="forge"))
    otto.see(snapshot(ALICE, at=NOON + 3, location="forge", action="hammering"))
    otto.world.players.learn(profile(), NOON + 4)
    otto.see(snapshot(ALICE, at=NOON + 4, location="forge", action="hammering"))
    otto.see(snapshot(ALICE, at=NOON + 40, location="forge", action="hammering"))
    for at in range(43, 400, 3):
        otto.see(snapshot(ALICE, at=NOON + at, location="forge", action="hammering"))

    assert otto.reasons == [
        "first_seen",
        "members",
        "location",
        "action",
        "profile",
        "stale",
        "force_refresh",
    ]


def test_a_snapshot_older_than_the_picture_is_outdated() -> None:
    otto = Filter()
    otto.see(snapshot(ALICE, at=NOON + 10))

    seen = otto.see(snapshot(BOB, at=NOON + 9))

    assert (seen.outcome, seen.command, seen.state) == (SnapshotOutcome.OUTDATED, None, None)


def test_a_snapshot_older_than_the_last_confirmation_is_outdated() -> None:
    otto = Filter()
    otto.see(snapshot(ALICE, at=NOON))
    otto.see(snapshot(ALICE, at=NOON + 10))

    assert otto.see(snapshot(BOB, at=NOON + 9)).outcome is SnapshotOutcome.OUTDATED


def test_the_record_the_state_was_made_from_is_outdated_when_it_comes_again() -> None:
    otto = Filter()
    otto.see(snapshot(ALICE), offset=7)
    otto.restart()

    assert otto.see(snapshot(ALICE), offset=7).outcome is SnapshotOutcome.OUTDATED


def test_a_later_record_of_the_same_moment_counts() -> None:
    otto = Filter()
    otto.see(snapshot(ALICE), offset=7)

    assert otto.see(snapshot(BOB), offset=8).outcome is SnapshotOutcome.SENT


def test_a_topic_made_anew_begins_with_low_offsets_and_counts() -> None:
    otto = Filter()
    otto.see(snapshot(ALICE), offset=7000)

    assert otto.see(snapshot(BOB, at=NOON + 1), offset=0).outcome is SnapshotOutcome.SENT


def test_a_disabled_npc_is_left_alone() -> None:
    off = msgspec.structs.replace(OTTO, enabled=False)
    otto = Filter(world=World(roster(off), PLACES, players()))

    seen = otto.see(snapshot(ALICE))

    assert (seen.outcome, seen.command, seen.state) == (SnapshotOutcome.DISABLED, None, None)
    assert seen.sightings == ()


def test_an_npc_that_no_roster_knows_is_served() -> None:
    other = Filter()

    other.see(snapshot(ALICE, npc_id="npc-new", location=None))

    assert (names(other.told), other.told.location) == (["Alice"], "")


def test_without_place_and_position_an_npc_is_at_home() -> None:
    otto = Filter()

    otto.see(snapshot(location=None))

    assert otto.told.location == FORGE.name


def test_in_direct_mode_every_snapshot_is_sent() -> None:
    otto = Filter(Policy(mode=Mode.DIRECT))

    for at in range(3):
        otto.see(snapshot(ALICE, at=NOON + at))

    assert otto.reasons == ["first_seen", "force_refresh", "force_refresh"]


def test_in_filtered_mode_nothing_is_ever_stale() -> None:
    otto = Filter(Policy(mode=Mode.FILTERED))

    for at in (0, 100, 10_000):
        otto.see(snapshot(ALICE, at=NOON + at))

    assert otto.reasons == ["first_seen"]


def test_the_command_of_an_npc_with_the_longest_id_is_one_a_writer_can_read() -> None:
    npc_id = "n" * ID_LIMIT

    seen = Filter().see(snapshot(npc_id=npc_id), offset=2**62)

    assert seen.command
    assert decode_command(encode(seen.command)).npc_id == npc_id


def test_a_command_id_is_the_same_whenever_the_record_is_decided() -> None:
    first, again = Filter(), Filter()

    ids = {
        one.see(snapshot(ALICE), offset=5).command.command_id  # type: ignore[union-attr]
        for one in (first, again)
    }

    assert len(ids) == 1


# ---------------------------------------------------------------- players


def test_players_are_to_be_stored_and_npcs_are_not() -> None:
    otto = Filter()

    seen = otto.see(snapshot(ALICE, cluster=("Greta", "Unheard Of")))

    assert [player.id for player in seen.sightings] == ["1001"]


def test_a_profile_that_arrives_between_two_snapshots_is_one_update() -> None:
    otto = Filter()
    otto.see(snapshot(ALICE, at=NOON))
    otto.see(snapshot(ALICE, at=NOON + 3))
    otto.world.players.learn(profile(), NOON + 4)

    assert otto.look_again().outcome is SnapshotOutcome.SENT
    assert otto.look_again().outcome is SnapshotOutcome.SUPPRESSED
    otto.see(snapshot(ALICE, at=NOON + 6))

    assert otto.reasons == ["first_seen", "profile"]
    assert otto.told.members == (member("Alice", "1001", "tall, red scarf"),)
    assert otto.sent[-1].command
    assert otto.sent[-1].command.observed_at == NOON + 3


def test_a_player_known_by_name_only_gets_the_id_of_the_profile_without_coming_or_going() -> None:
    otto = Filter()
    otto.see(snapshot(cluster=("Alice",)))
    otto.world.players.learn(profile(), NOON + 1)

    otto.look_again()
    otto.see(snapshot(cluster=("Alice",), at=NOON + 3))

    assert otto.reasons == ["first_seen", "profile"]
    assert otto.told.members == (member("Alice", "1001", "tall, red scarf"),)


def test_a_new_description_of_an_npc_reaches_who_stands_with_it() -> None:
    otto = Filter()
    otto.see(snapshot(cluster=("Greta",)))
    otto.world.roster.put(msgspec.structs.replace(GRETA, description="covered in flour"))

    otto.look_again()

    assert otto.reasons == ["first_seen", "profile"]
    assert otto.told.members == (member("Miss Greta", "npc-1", "covered in flour"),)


@pytest.mark.parametrize("says_nothing", ["", "Unknown"])
def test_a_description_that_says_nothing_is_no_update(says_nothing: str) -> None:
    otto = Filter(world=World(roster(), PLACES, players(profile())))
    otto.see(snapshot(ALICE))
    otto.world.players.learn(profile(description=says_nothing), NOON + 1)

    otto.see(snapshot(ALICE, at=NOON + 3))

    assert otto.look_again().outcome is SnapshotOutcome.SUPPRESSED
    assert otto.reasons == ["first_seen"]


def test_a_forgotten_player_keeps_the_appearance_the_npc_knows() -> None:
    otto = Filter(world=World(roster(), PLACES, players(profile(), ttl=60)))
    otto.see(snapshot(ALICE))
    otto.world.players.expire(NOON + 1000)

    otto.see(snapshot(ALICE, at=NOON + 20))

    assert otto.reasons == ["first_seen"]


# ---------------------------------------------------------------- crowds


def test_a_crowd_beyond_the_limit_that_comes_in_another_order_changes_nothing() -> None:
    square = Filter(limit=3)
    crowd = [PlayerRef(id=str(number), name=f"Visitor {number}") for number in range(5)]

    square.see(snapshot(*crowd))
    square.see(snapshot(*reversed(crowd), at=NOON + 3))

    assert square.reasons == ["first_seen"]
    assert len(square.told.members) == 3


def test_who_leaves_a_crowd_beyond_the_limit_makes_room() -> None:
    square = Filter(limit=3)
    crowd = [PlayerRef(id=str(number), name=f"Visitor {number}") for number in range(4)]
    square.see(snapshot(*crowd))

    square.see(snapshot(*crowd[1:], at=NOON + 3))

    assert [one.id for one in square.told.members] == ["1", "2", "3"]


def test_a_crowd_whose_changes_settle_at_different_times_stays_within_the_limit() -> None:
    square = Filter(limit=3, settle=60.0)
    crowd = [PlayerRef(id=str(number), name=f"Visitor {number}") for number in range(5)]
    square.see(snapshot(*crowd[:3]))
    square.see(snapshot(crowd[0], crowd[3], crowd[4], at=NOON + 3))
    square.see(snapshot(crowd[1], crowd[3], crowd[4], at=NOON + 40))

    square.see(snapshot(crowd[1], crowd[3], crowd[4], at=NOON + 63, action="waving"))

    assert len(square.told.members) == 3


# ---------------------------------------------------------------- confirmations and settling


def test_confirmations_cost_no_changelog_write() -> None:
    otto = Filter(Policy(stale_data_threshold=30.0, force_refresh_interval=1e9))

    for at in range(0, 301, 3):
        otto.see(snapshot(ALICE, at=NOON + at))

    assert otto.reasons == ["first_seen"]
    assert otto.writes == 1


def test_a_confirmation_that_was_written_down_is_known_after_a_restart() -> None:
    otto = Filter(Policy(stale_data_threshold=30.0))
    for at in range(0, 100, 3):
        otto.see(snapshot(ALICE, at=NOON + at))
    written_down = list(otto.core.sighted(otto.core.everybody()))
    otto.restart()
    for one in written_down:
        otto.core.recall(one)

    otto.see(snapshot(ALICE, at=NOON + 102))

    assert otto.reasons == ["first_seen"]


def test_a_confirmation_that_was_lost_makes_an_npc_stale_at_worst() -> None:
    otto = Filter(Policy(stale_data_threshold=30.0))
    for at in range(0, 100, 3):
        otto.see(snapshot(ALICE, at=NOON + at))
    otto.restart()

    otto.see(snapshot(ALICE, at=NOON + 102))

    assert otto.reasons == ["first_seen", "stale"]


def test_a_flap_leaves_no_trace_and_what_lasts_comes_through() -> None:
    otto = Filter(settle=5.0)
    otto.see(snapshot(ALICE))
    for at, near in ((3, [ALICE, BOB]), (6, [ALICE]), (9, [ALICE, BOB]), (12, [ALICE, BOB])):
        otto.see(snapshot(*near, at=NOON + at))
    assert otto.reasons == ["first_seen"]

    otto.see(snapshot(ALICE, BOB, at=NOON + 15))

    assert otto.reasons == ["first_seen", "members"]
    assert names(otto.told) == ["Alice", "Bob"]


# ---------------------------------------------------------------- waves and cadences


def refreshes(npcs: int, seconds: int) -> Counter[int]:
    """How many there are at each step of 3 s, of NPCs that all begin in the first."""
    town, counts = Filter(Policy(force_refresh_interval=300.0)), Counter[int]()
    for at, number in itertools.product(range(0, seconds, 3), range(npcs)):
        one = snapshot(npc_id=f"npc-{number}", at=NOON + at + 3 * number / npcs)
        seen = town.see(one)
        if seen.command and seen.command.reason is Reason.FORCE_REFRESH:
            counts[at] += 1
    return counts


def test_npcs_that_began_together_are_not_refreshed_together_for_ever() -> None:
    counts = refreshes(npcs=400, seconds=1200)

    even = 400 * 3 / 300
    assert max(counts.values()) <= BURST + 2 * even + 1
    assert sum(at >= 900 for at in counts) > 45
    assert 400 * 2 <= sum(counts.values()) <= 400 * 3


def test_the_npcs_of_a_small_game_are_refreshed_when_they_are_due() -> None:
    assert {300: BURST, 600: BURST, 900: BURST} == refreshes(npcs=BURST, seconds=1200)


def test_an_npc_seldom_reported_on_is_stale_until_its_cadence_is_known() -> None:
    otto = Filter(Policy(force_refresh_interval=1e9))
    for minute in range(12):
        otto.see(snapshot(ALICE, at=NOON + 60 * minute))
    assert otto.reasons == ["first_seen", *["stale"] * LEARNED]

    otto.see(snapshot(ALICE, at=NOON + 60 * 11 + 200))

    assert otto.reasons[-1] == "stale"
    assert len(otto.reasons) == LEARNED + 2


def test_a_refresh_that_must_wait_hides_no_gap() -> None:
    town = Filter(Policy(force_refresh_interval=300.0))
    many = [f"npc-{number}" for number in range(BURST + 20)]
    for npc_id in many:
        town.see(snapshot(npc_id=npc_id, at=NOON))

    for npc_id in many:
        town.see(snapshot(npc_id=npc_id, at=NOON + 301))

    assert Counter(first_seen=30, force_refresh=BURST, stale=20) == Counter(town.reasons)


def test_an_observation_says_why_nothing_was_sent() -> None:
    otto = Filter(settle=5.0)
    otto.see(snapshot(ALICE))

    same, joined = otto.see(snapshot(ALICE, at=NOON + 3)), otto.see(snapshot(BOB, at=NOON + 6))

    assert (Held.UNCHANGED, Held.SETTLING) == (same.held, joined.held)


def test_who_waits_for_a_refresh_is_told_apart_from_who_needs_none() -> None:
    town = Filter()
    many = [f"npc-{number}" for number in range(BURST + 1)]
    for at in (*range(0, 300, 20), 300):
        seen = [town.see(snapshot(ALICE, npc_id=npc, at=NOON + at)) for npc in many]

    assert [None] * BURST + [Held.PACED] == [one.held for one in seen]


# ---------------------------------------------------------------- properties

GROUPS = st.lists(
    st.sampled_from([ALICE, BOB, PlayerRef(id="1003", name="Carol")]),
    unique_by=lambda p: p.id,
    max_size=3,
)
SEEN = st.tuples(GROUPS, st.sampled_from(["market", "forge"]), st.sampled_from(["idle", "waving"]))
POLICIES = st.builds(
    Policy,
    mode=st.sampled_from(Mode),
    staleness=st.sampled_from(Staleness),
    stale_data_threshold=st.sampled_from([2.0, 30.0, 1e6]),
    force_refresh_interval=st.sampled_from([5.0, 300.0]),
)


def records_of(
    seen: Iterable[tuple[list[PlayerRef], str, str]], times: Iterable[float]
) -> list[Snapshot]:
    return [
        snapshot(*near, at=NOON + at, location=where, action=what)
        for (near, where, what), at in zip(seen, times, strict=False)
    ]


def in_order(steps: list[int]) -> list[float]:
    return [float(sum(steps[: at + 1])) for at in range(len(steps))]


def says(one: Snapshot) -> tuple[frozenset[str], str, str]:
    places = {"market": "Market Square", "forge": "The Forge"}
    return frozenset(p.id for p in one.nearby_players), places[one.location or ""], one.action


def told(by: Filter) -> tuple[frozenset[str], str, str]:
    return frozenset(m.id for m in by.told.members), by.told.location, by.told.action


@given(
    POLICIES,
    st.lists(st.tuples(SEEN, st.integers(0, 40)), min_size=1, max_size=25),
    st.lists(st.tuples(st.integers(0, 24), st.booleans(), st.integers(0, 24)), max_size=4),
)
def test_no_crash_loses_the_newest_snapshot(
    policy: Policy,
    history: list[tuple[tuple[list[PlayerRef], str, str], int]],
    crashes: list[tuple[int, bool, int]],
) -> None:
    """A crash loses the memory, never the Table, and perhaps the state of the record at hand whose
    command is out already; the records come again from there or from anywhere before."""
    records = records_of([seen for seen, _ in history], in_order([step for _, step in history]))
    town, at, pending = Filter(policy), 0, sorted(crashes)
    while at < len(records):
        if pending and pending[0][0] <= at:
            _, is_halfway, back = pending.pop(0)
            if is_halfway:
                kept = dict(town.table)
                town.see(records[at], at)
                town.table = kept
            town.restart()
            at = min(at, back)
            continue
        town.see(records[at], at)
        at += 1

    assert told(town) == says(records[-1])


@given(POLICIES, st.lists(st.tuples(SEEN, st.integers(0, 50)), min_size=1, max_size=25))
def test_snapshots_in_any_order_end_with_the_newest(
    policy: Policy, history: list[tuple[tuple[list[PlayerRef], str, str], int]]
) -> None:
    records = records_of([seen for seen, _ in history], [float(at) for _, at in history])
    town = Filter(policy)

    for one in records:
        town.see(one)

    newest = max(enumerate(records), key=lambda pair: (pair[1].observed_at, pair[0]))[1]
    assert told(town) == says(newest)


@given(POLICIES, st.lists(st.tuples(SEEN, st.integers(0, 50)), max_size=25), st.floats(0, 20))
def test_a_replay_of_the_same_records_gives_the_same_commands(
    policy: Policy,
    history: list[tuple[tuple[list[PlayerRef], str, str], int]],
    settle: float,
) -> None:
    records = records_of([seen for seen, _ in history], [float(at) for _, at in history])
    first, again = Filter(policy, settle), Filter(policy, settle)

    for one in records:
        assert first.see(one) == again.see(one)

    assert first.table == again.table


@given(st.lists(st.tuples(SEEN, st.integers(1, 40)), min_size=1, max_size=25))
def test_cached_sends_no_more_than_direct_and_no_less_than_filtered(
    history: list[tuple[tuple[list[PlayerRef], str, str], int]],
) -> None:
    records = records_of([seen for seen, _ in history], in_order([step for _, step in history]))
    towns = {mode: Filter(replace(Policy(), mode=mode)) for mode in Mode}
    for one in records:
        for town in towns.values():
            town.see(one)

    sent = {mode: len(town.sent) for mode, town in towns.items()}
    assert sent[Mode.FILTERED] <= sent[Mode.CACHED] <= sent[Mode.DIRECT] == len(records)
    assert len({told(town) for town in towns.values()}) == 1


def test_npcs_do_not_disturb_each_other() -> None:
    town = Filter(
        world=World(roster(OTTO, RosterEntry(npc_id="npc-9", name="Nina")), PLACES, players())
    )

    for at in range(3):
        town.see(snapshot(ALICE, at=NOON + at))
        town.see(snapshot(BOB, npc_id="npc-9", at=NOON - at))

    assert town.reasons == ["first_seen", "first_seen"]
