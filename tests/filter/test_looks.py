"""What is remembered of a look at an NPC never changes what is decided."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.filter.core import GroupFilter, Observation, World
from streams.filter.decide import Policy
from streams.filter.players import PlayerCache
from streams.filter.standing import Standing
from streams.filter.state import GroupState
from topics.models import PlayerProfile, PlayerRef, RosterEntry, Snapshot, Source
from topics.places import Places
from topics.roster import Roster

NPCS = ("npc-1", "npc-2")
NAMES = ("Ann", "ann", "Bob", "p1")
IDS = ("p1", "p2")
CLUSTERS = ((), ("Ann",), ("Ann", "Bob"), ("ann", "p1"), ("Bob", "npc-2"))

names, ids = st.sampled_from(NAMES), st.sampled_from(IDS)
refs = st.builds(PlayerRef, id=ids, name=names) | st.builds(
    lambda one: PlayerRef(id=one, name=one), ids
)
snapshots = st.builds(
    Snapshot,
    npc_id=st.sampled_from(NPCS),
    observed_at=st.just(0.0),
    cluster=st.sampled_from(CLUSTERS),
    nearby_players=st.just(()) | refs.map(lambda one: (one,)),
)
profiles = st.builds(
    PlayerProfile, player_id=ids, name=names, description=st.sampled_from(["", "tall", "small"])
)
entries = st.builds(
    RosterEntry, npc_id=st.sampled_from([*NPCS, "npc-3"]), name=names, description=names
)


class Side:
    """A filter with its own world and states; `forgetful`: it remembers no look."""

    def __init__(self, settle: float, *, forgetful: bool) -> None:
        self.world = World(Roster(), Places(), PlayerCache(30.0))
        self.core = GroupFilter(self.world, Policy(), settle, max_members=3)
        self.states: dict[str, GroupState] = {}
        self._forgetful = forgetful

    def take(self, step: object, number: int) -> Observation | bool | list[str] | None:
        """One thing that happens, at three seconds times `number`."""
        now = 3.0 * number
        if self._forgetful:
            self._forget_looks()
        match step:
            case Snapshot():
                return self._observe(step, now, number)
            case PlayerProfile():
                return self.world.players.learn(step, now)
            case RosterEntry():
                self.world.roster.put(step)
            case str() if step in NPCS and step in self.states:
                return self._kept(step, self.core.profile_changed(step, self.states[step], now))
            case str() if step in IDS:
                self.world.players.forget(step)
            case float():
                return self.world.players.expire(now)
        return None

    def _forget_looks(self) -> None:
        standing = self.core._standing
        for stand in map(standing.get, standing.keys()):
            assert stand
            standing.forget_look(stand)

    def _observe(self, snapshot: Snapshot, now: float, number: int) -> Observation:
        seen = Snapshot(
            npc_id=snapshot.npc_id,
            observed_at=now,
            cluster=snapshot.cluster,
            nearby_players=snapshot.nearby_players,
        )
        source = Source(topic="npc-snapshots", partition=0, offset=number)
        state = self.states.get(snapshot.npc_id)
        return self._kept(snapshot.npc_id, self.core.observe(seen, state, source, now))

    def _kept(self, npc_id: str, seen: Observation) -> Observation:
        if seen.state:
            self.states[npc_id] = seen.state
        return seen


happenings = st.lists(
    snapshots | snapshots | profiles | entries | st.sampled_from([*NPCS, *IDS]) | st.just(0.0),
    min_size=10,
    max_size=60,
)


@settings(max_examples=600)
@given(happenings, st.sampled_from([0.0, 5.0]))
def test_a_filter_that_remembers_looks_decides_as_one_that_forgets_each(
    steps: Sequence[object], settle: float
) -> None:
    remembering, forgetful = (Side(settle, forgetful=each) for each in (False, True))

    for number, step in enumerate(steps, 1):
        assert forgetful.take(step, number) == remembering.take(step, number)


def _look(*cluster: str) -> Snapshot:
    return Snapshot(npc_id="npc-1", observed_at=0.0, cluster=cluster)


@dataclass
class Looked:
    """An NPC's stand, after it was looked at with Ann."""

    standing: Standing = field(
        default_factory=lambda: Standing(Roster(), Places(), PlayerCache(30.0), 10.0)
    )

    def __post_init__(self) -> None:
        self.stand = self.standing.at(b"npc-1", 0)
        self.look()

    def look(self) -> None:
        self.standing.look(self.stand, _look("Ann"), self.standing.heard())

    def is_familiar(self, *names: str) -> bool:
        return self.standing.is_familiar(self.stand, _look(*names))


def test_the_same_people_are_familiar() -> None:
    looked = Looked()

    assert looked.is_familiar("Ann")
    assert not looked.is_familiar("Ann", "Bob")


CHANGES: list[tuple[str, Callable[[Standing], object], bool]] = [
    ("of her", lambda one: one.players.see("p1", "Ann", 1.0), False),
    ("of somebody else", lambda one: one.players.see("p2", "Bob", 1.0), True),
    ("of an NPC", lambda one: one.roster.put(RosterEntry(npc_id="npc-9", name="Eve")), False),
]


@pytest.mark.parametrize(
    ("change", "is_same"), [c[1:] for c in CHANGES], ids=[c[0] for c in CHANGES]
)
def test_she_is_familiar_until_something_is_heard(
    change: Callable[[Standing], object], is_same: bool
) -> None:
    looked = Looked()

    change(looked.standing)

    assert is_same == looked.is_familiar("Ann")


def test_nobody_is_familiar_once_somebody_was_forgotten() -> None:
    looked = Looked()
    looked.standing.players.see("p2", "Bob", 1.0)
    looked.look()

    looked.standing.players.forget("p2")

    assert not looked.is_familiar("Ann")


def test_seeing_the_same_player_again_is_no_news() -> None:
    standing = Looked().standing
    standing.players.see("p1", "Ann", 1.0)
    before = standing.heard()

    standing.players.see("p1", "Ann", 2.0)

    assert before == standing.heard()


def test_nobody_is_familiar_once_a_player_has_given_up_a_name() -> None:
    looked = Looked()
    looked.standing.players.see("p1", "Ann", 1.0)
    looked.look()

    looked.standing.players.see("p1", "Bob", 2.0)

    assert not looked.is_familiar("Ann")


def test_who_was_told_anew_is_looked_up() -> None:
    looked = Looked()

    looked.standing.forget_look(looked.stand)

    assert not looked.is_familiar("Ann")
