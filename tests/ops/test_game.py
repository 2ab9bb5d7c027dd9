"""The simulated game: seeded, even, and of the change rate it promises."""

import json
from collections import Counter, defaultdict
from itertools import pairwise

import pytest

from ops.demo.game import CADENCE, Record, World
from ops.demo.town import Telling, Town, build_town
from topics.catalogue import NPC_SNAPSHOTS, PLAYER_PROFILES, WORLD_SNAPSHOTS
from topics.decode import decode_profile, decode_snapshot, decode_world
from topics.models import Snapshot
from topics.roster import Roster
from topics.world import split


def played(npcs: int = 30, seconds: float = 120, seed: int = 1) -> tuple[Town, list[Record]]:
    town = build_town(npcs, seed)
    return town, World(town, seed).tick(seconds)


def snapshots_of(record: Record, roster: Roster) -> list[Snapshot]:
    """What a worker reads from a record of the game."""
    value = json.dumps(record.stamped(1e9 + record.at)).encode()
    if record.topic == NPC_SNAPSHOTS:
        return [decode_snapshot(record.key.encode(), value, 0.0)]
    return split(decode_world(value, 0.0), roster)


def test_the_same_seed_gives_the_same_game() -> None:
    assert played(seed=7) == played(seed=7)
    assert played(seed=7)[1] != played(seed=8)[1]


def test_the_steps_of_time_do_not_matter() -> None:
    town, at_once = played(seconds=60)
    world = World(town, 1)

    in_steps = [record for tenths in range(1, 601) for record in world.tick(tenths / 10)]

    assert in_steps == at_once


def test_each_npc_is_told_of_every_three_seconds() -> None:
    town, records = played(seconds=60)
    times: defaultdict[str, list[float]] = defaultdict(list)
    for record in records:
        for truth in record.truths:
            times[truth.npc_id].append(truth.at)

    assert times.keys() == town.npcs.keys()
    for moments in times.values():
        assert moments[0] < CADENCE
        gaps = [b - a for a, b in pairwise(moments)]
        assert gaps == pytest.approx([CADENCE] * len(gaps))


def test_load_is_even() -> None:
    _, records = played(npcs=300, seconds=30)
    by_second: Counter[int] = Counter()
    for record in records:
        by_second[int(record.at)] += len(record.truths)

    assert all(80 <= number <= 120 for second, number in by_second.items() if second < 30)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_about_a_fifth_of_the_snapshots_tell_something_new(seed: int) -> None:
    world = World(build_town(100, seed), seed)

    world.tick(600)

    assert 0.16 <= world.changed / world.told <= 0.24


def test_every_record_tells_what_is_true() -> None:
    town, records = played(seconds=300)
    roster = Roster(town.npcs.values())
    for record in records:
        if record.topic == PLAYER_PROFILES:
            continue
        snapshots = {snapshot.npc_id: snapshot for snapshot in snapshots_of(record, roster)}
        assert snapshots.keys() == {truth.npc_id for truth in record.truths}
        for truth in record.truths:
            snapshot = snapshots[truth.npc_id]
            others = {name for name in snapshot.cluster if name != town.name_of(truth.npc_id)}
            assert others == {town.name_of(who) for who in truth.members}
            assert snapshot.location == truth.place
            assert snapshot.action == truth.action
            assert snapshot.observed_at == 1e9 + record.at
            if truth.place is None:
                assert snapshot.position == truth.position


def test_all_three_ways_of_telling_are_used() -> None:
    town, records = played()

    tellings = {district.telling for district in town.districts}
    shapes = {"humanContext" in r.value for r in records if r.topic == WORLD_SNAPSHOTS}

    assert tellings == set(Telling)
    assert shapes == {True, False}
    assert {record.topic for record in records} == {
        NPC_SNAPSHOTS,
        WORLD_SNAPSHOTS,
        PLAYER_PROFILES,
    }


def test_a_late_player_has_a_profile_later_and_is_told_of_by_id() -> None:
    town, records = played(seconds=120)
    told_by_name = {
        npc_id
        for district in town.districts
        if district.telling is Telling.BY_CLUSTER
        for npc_id in district.npc_ids
    }
    profiles = {
        decode_profile(r.key.encode(), json.dumps(r.value).encode()).player_id
        for r in records
        if r.topic == PLAYER_PROFILES
    }

    assert town.late <= profiles
    assert not World(town, 1).profiles.keys() & town.late
    for record in records:
        for truth in record.truths:
            if truth.npc_id in told_by_name:
                assert not town.late & set(truth.members)


def test_a_large_town_has_names_of_its_own_for_everybody() -> None:
    town = build_town(10_000, 1)
    names = [npc.name for npc in town.npcs.values()]
    names += [npc.display_name for npc in town.npcs.values() if npc.display_name]
    names += [player.name for player in town.players.values()]

    assert len(town.npcs) == 10_000
    assert len({name.casefold() for name in names}) == len(names)
    assert {npc.home_location for npc in town.npcs.values()} <= town.places.keys()
    assert sum(len(district.npc_ids) for district in town.districts) == 10_000


@pytest.mark.parametrize("npcs", [1, 2, 3, 7, 11])
def test_the_smallest_towns_work(npcs: int) -> None:
    town, records = played(npcs=npcs, seconds=30)

    told = [truth.npc_id for record in records for truth in record.truths]

    assert set(told) == town.npcs.keys()
    assert len(told) >= 10 * npcs


def test_npcs_may_appear_one_after_the_other() -> None:
    town = build_town(30, 1)
    first: dict[str, float] = {}
    for record in World(town, 1, wake_up=15).tick(60):
        for truth in record.truths:
            first.setdefault(truth.npc_id, truth.at)

    assert first.keys() == town.npcs.keys()
    assert max(first.values()) < 15 + CADENCE
    by_time = Counter(int(at // CADENCE) for at in first.values())
    assert all(2 <= by_time[step] <= 12 for step in range(5))
