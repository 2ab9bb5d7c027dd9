"""A record that is recognised would have been decided just so."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.filter.core import GroupFilter, Held, SnapshotOutcome, World
from streams.filter.decide import Policy
from streams.filter.players import PlayerCache
from streams.filter.standing import outline
from streams.filter.state import GroupState
from streams.settings import Mode, Staleness
from topics.decode import DecodeError, decode_snapshot
from topics.models import Location, PlayerProfile, RosterEntry, Source
from topics.places import Places
from topics.roster import Roster

NOON = 1_795_426_413.0
NPCS = ("npc-1", "npc-2")

CLUSTERS: tuple[list[str], ...] = ([], ["Ann"], ["Ann", "npc-2"], ["p1"])
NEARBY: tuple[list[dict[str, str]], ...] = (
    [],
    [{"id": "p1", "name": "Ann"}],
    [{"id": "p2", "name": "p2"}],
)


def record(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


@dataclass
class Side:
    """A filter; `recognising`: it need not decide what it has seen."""

    recognising: bool
    policy: Policy
    settle: float
    ttl: float = 160.0
    states: dict[str, GroupState] = field(default_factory=dict)
    recognised: int = 0

    def __post_init__(self) -> None:
        self.world = World(Roster(), Places(), PlayerCache(self.ttl))
        self.core = GroupFilter(self.world, self.policy, self.settle, 3, lambda: len(self.states))

    def take(self, npc_id: str, value: bytes, at: float, offset: int) -> object:
        """What a record leads to, as the agent has it."""
        key = npc_id.encode()
        if self.recognising and self.core.holds(key, value, at + 5):
            self.recognised += 1
            return SnapshotOutcome.SUPPRESSED, Held.UNCHANGED, None, None
        try:
            snapshot = decode_snapshot(key, value, at)
        except DecodeError as error:
            return str(error)
        state = self.states.get(npc_id)
        source = Source(topic="npc-snapshots", partition=0, offset=offset)
        seen = self.core.observe(snapshot, state, source, at)
        if self.recognising:
            self.core.remember(key, value, snapshot, state, seen)
        if seen.state:
            self.states[npc_id] = seen.state
        return seen.outcome, seen.held, seen.command, seen.state

    def happen(self, what: object, now: float) -> object:
        """Something besides records."""
        match what:
            case PlayerProfile():
                return self.world.players.learn(what, now)
            case RosterEntry():
                self.world.roster.put(what)
            case Location():
                self.world.places.put(what)
            case "expire":
                self.core.keep_players()
                return self.world.players.expire(now)
            case "revoked":
                self.core.forget_unsaved()
            case str() if what in self.states:
                seen = self.core.profile_changed(what, self.states[what], now)
                self.states[what] = seen.state or self.states[what]
                return seen
            case str():
                self.world.players.forget(what)
        return None

    def seen(self) -> object:
        """What is known in memory only."""
        self.core.keep_players()
        return (
            {npc: self.core.last_seen(npc, state) for npc, state in self.states.items()},
            {player.id: (player.name, player.last_seen) for player in self.world.players},
            self.world.players.take_counts(),
        )


tellings = st.fixed_dictionaries(
    {
        "npc_id": st.sampled_from(NPCS),
        "cluster": st.sampled_from(CLUSTERS),
        "nearby_players": st.sampled_from(NEARBY),
        "location": st.sampled_from(["inn", None]),
        "action": st.sampled_from(["idle", 'says "observed_at": 5, loudly']),
    }
)
changes = (
    st.builds(
        PlayerProfile,
        player_id=st.sampled_from(["p1", "p2"]),
        name=st.sampled_from(["Ann", "Bob"]),
        description=st.sampled_from(["", "tall", "small"]),
    )
    | st.builds(
        RosterEntry,
        npc_id=st.sampled_from(NPCS),
        name=st.sampled_from(["Ann", "Otto"]),
        enabled=st.booleans(),
    )
    | st.builds(
        Location,
        slug=st.just("inn"),
        name=st.sampled_from(["The Inn", "The Old Inn"]),
        coordinates=st.just((0.0, 0.0, 0.0)),
    )
    | st.sampled_from(["expire", "revoked", "p1", *NPCS])
)
# The same told several times in a row, with gaps; sometimes something happens in between.
stories = st.lists(
    st.tuples(
        tellings,
        st.lists(
            st.tuples(st.sampled_from([0.0, 0.1, 3.0, 3.0, 11.0, 31.0, 200.0]), changes | st.none())
        ),
    ),
    min_size=1,
    max_size=12,
)
policies = st.builds(
    Policy,
    mode=st.sampled_from(Mode),
    staleness=st.sampled_from(Staleness),
    force_refresh_interval=st.sampled_from([12.0, 300.0]),
)


@settings(max_examples=1500, deadline=None)
@given(stories, policies, st.sampled_from([0.0, 4.0]))
def test_a_filter_that_recognises_records_decides_as_one_that_decides_each(
    story: Sequence[tuple[dict[str, Any], Sequence[tuple[float, object]]]],
    policy: Policy,
    settle: float,
) -> None:
    sides = [Side(recognising, policy, settle) for recognising in (True, False)]
    now, offset = NOON, 0
    for telling, gaps in story:
        for gap, change in [(0.0, None), *gaps]:
            now, offset = now + gap, offset + 1
            first, second = (side.happen(change, now) for side in sides)
            assert second == first
            x = 120 + (offset % 3 if telling["location"] else 0)
            value = record(**telling, observed_at=now, position=[x, 0, 4])
            first, second = (side.take(telling["npc_id"], value, now, offset) for side in sides)
            assert second == first
        assert sides[1].seen() == sides[0].seen()


def test_the_second_of_two_alike_is_recognised_and_so_is_the_next() -> None:
    side = Side(True, Policy(), 0.0)
    for at in range(5):
        side.take("npc-1", record(npc_id="npc-1", observed_at=NOON + 3 * at), NOON + 3 * at, at)

    assert 4 == side.recognised


def shown(side: Side, *times: float) -> list[object]:
    """The same told of an NPC again and again."""
    return [
        side.take("npc-1", record(npc_id="npc-1", observed_at=NOON + at), NOON + at, offset)
        for offset, at in enumerate(times)
    ]


SCHEDULES: list[tuple[Policy, tuple[float, ...], int]] = [
    (Policy(), (0, 3, 6), 2),
    (Policy(), (0, 3, 6, 6), 2),  # the same record again
    (Policy(), (0, 1, 12, 13), 1),  # a gap that is learned from, with nothing else due
    (Policy(), (0, 3, 6, 17, 20, 23), 3),  # a gap that is learned from, and shorter ones
    (Policy(), tuple(range(0, 340, 3)), 112),  # a refresh
    (Policy(staleness=Staleness.SEED), tuple(range(0, 100, 3)), 27),
    (Policy(mode=Mode.DIRECT), (0, 3, 6), 0),
    (Policy(mode=Mode.FILTERED), tuple(range(0, 340, 3)), 113),
]


@pytest.mark.parametrize(("policy", "times", "recognised"), SCHEDULES)
def test_what_is_due_is_decided(policy: Policy, times: tuple[float, ...], recognised: int) -> None:
    side, other = Side(True, policy, 0.0, 4000.0), Side(False, policy, 0.0, 4000.0)

    assert shown(other, *times) == shown(side, *times)
    assert recognised == side.recognised
    assert other.seen() == side.seen()


def test_players_who_stay_are_stored_now_and_then() -> None:
    side = Side(True, Policy(), 0.0, ttl=16.0)

    shown(side, 0, 1, 3)

    assert 1 == side.recognised


HOSTILE = [
    b"nan",
    b"inf",
    b"1_0",
    b"01795426500",
    b"1795426500.",
    b".5",
    b"",
    b"null",
    b'"1795426500"',
    b"1795426500}",
    b"-1795426500",
    b"1e400",
    b"\xff",
    b"1795426500 1",
    b'1795426500,"action":"x"',
]


@pytest.mark.parametrize("number", HOSTILE)
def test_what_is_no_number_is_decided_and_not_recognised(number: bytes) -> None:
    side, other = Side(True, Policy(), 0.0), Side(False, Policy(), 0.0)
    for at in range(4):
        value = b'{"npc_id":"npc-1","observed_at":%d,"action":"idle"}' % (NOON + at)
        side.take("npc-1", value, NOON + at, at)
        other.take("npc-1", value, NOON + at, at)
    assert side.recognised == 3
    hostile = b'{"npc_id":"npc-1","observed_at":%b,"action":"idle"}' % number

    assert other.take("npc-1", hostile, NOON + 9, 9) == side.take("npc-1", hostile, NOON + 9, 9)
    assert side.recognised == 3


def test_a_time_far_ahead_is_not_recognised() -> None:
    side = Side(True, Policy(stale_data_threshold=1e6), 0.0)
    for at in range(4):
        side.take("npc-1", record(npc_id="npc-1", observed_at=NOON + at), NOON + at, at)

    assert not side.core.holds(b"npc-1", record(npc_id="npc-1", observed_at=NOON + 9), NOON + 8)


@pytest.mark.parametrize(
    "value",
    [
        b'{"npc_id":"npc-1","observed_at":1795426413,"observed_at":1795426499}',
        b'{"npc_id":"npc-1","position":{"observed_at":5,"x":1,"y":2,"z":3}}',
        b'{"npc_id":"npc-1","more":{"observed_at":5},"observed\\u005fat":1795426413}',
        b'{"npc_id":"npc-1","action":"\\"observed_at\\":5,"}',
        b'{"npc_id":"npc-1","observed_at":"2026-11-23T12:00:00Z"}',
        b'{"npc_id":"npc-1"}',
    ],
)
def test_a_number_that_is_not_the_time_is_not_taken_for_it(value: bytes) -> None:
    assert outline(value, with_place=True) is None


names = st.sampled_from(["action", "cluster", "location", "position", "extra", "observed_at"])
values = st.recursive(
    st.text(max_size=20) | st.none() | st.floats(allow_nan=False) | st.sampled_from(list(NPCS)),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(names, inner, max_size=2),
    max_leaves=5,
)
times = st.floats(1, 4e9, allow_nan=False) | st.integers(1, 4_000_000_000)


points = st.tuples(*[st.floats(-1e9, 1e9) | st.integers(-1000, 1000)] * 3)


@settings(max_examples=1000, deadline=None)
@given(
    st.dictionaries(names, values),
    times,
    times,
    st.none() | points,
    points,
    st.permutations(["npc_id", "observed_at", "position", "more"]),
    st.booleans(),
    st.booleans(),
)
def test_another_time_and_position_in_their_places_change_nothing_else(
    fields: dict[str, Any],
    first: float,
    second: float,
    here: tuple[float, float, float] | None,
    there: tuple[float, float, float],
    order: list[str],
    is_plain: bool,
    with_place: bool,
) -> None:
    parts: dict[str, dict[str, Any]] = {
        "npc_id": {"npc_id": "npc-1"},
        "observed_at": {"observed_at": first},
        "position": {} if here is None else {"position": here},
        "more": fields,
    }
    told = {name: value for part in order for name, value in parts[part].items()}
    value = json.dumps(told, ensure_ascii=is_plain).encode(errors="replace")
    try:
        snapshot = decode_snapshot(b"npc-1", value, NOON)
    except DecodeError:
        return
    drawn = outline(value, with_place=with_place)
    if drawn is None:
        return

    other = json.dumps(
        {
            **told,
            "observed_at": second,
            **({"position": there} if drawn.shape.gap else {}),
        },
        ensure_ascii=is_plain,
    ).encode(errors="replace")

    assert drawn == outline(other, with_place=with_place)
    assert not (with_place and drawn.shape.gap)
    expected = msgspec.structs.replace(
        snapshot,
        observed_at=float(second),
        position=tuple(map(float, there)) if drawn.shape.gap else snapshot.position,
    )
    assert expected == decode_snapshot(b"npc-1", other, NOON)


POSITIONS = [b"[1,2]", b"[1,2,3,4]", b"[1,2,null]", b"[1,2,3e9]", b"[1,,2]", b"[nan,1,2]", b"[]"]


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("is_time_first", [True, False])
def test_what_is_no_position_is_decided_and_not_recognised(
    position: bytes, is_time_first: bool
) -> None:
    side, other = Side(True, Policy(), 0.0), Side(False, Policy(), 0.0)

    def told(at: int, where: bytes) -> bytes:
        time, place = b'"observed_at":%d' % (NOON + at), b'"position":%b' % where
        both = (time, place) if is_time_first else (place, time)
        return b'{"npc_id":"npc-1","location":"inn",%b,%b}' % both

    for at in range(4):
        for each in (side, other):
            each.take("npc-1", told(at, b"[%d,2,3]" % at), NOON + at, at)
    assert side.recognised == 3
    hostile = told(9, position)

    assert other.take("npc-1", hostile, NOON + 9, 9) == side.take("npc-1", hostile, NOON + 9, 9)
    assert side.recognised == 3


def test_who_has_no_place_is_where_its_position_says() -> None:
    side = Side(True, Policy(), 0.0)
    for at in range(4):
        told = record(npc_id="npc-1", observed_at=NOON + at, position=[at, 2, 3])
        side.take("npc-1", told, NOON + at, at)

    assert side.recognised == 0


def test_of_two_positions_neither_is_left_out() -> None:
    value = record(observed_at=5, more={"position": [1, 2, 3]}, position=[1, 2, 3])

    drawn = outline(value, with_place=False)

    assert drawn is not None
    assert 0 == drawn.shape.gap
