"""What today's rules decide on a stretch, in its order. Pure.

    record of                        does
    -------------------------------  ------------------------------------------------
    npc-roster, locations, profiles  tells who and what there is, as in a worker
    npc-snapshots                    one decision
    world-snapshots                  one for each NPC it tells of
    another topic, a deletion        nothing

The decisions are the filter's own (`streams.filter.core`), from an empty state on or from what an
earlier part of the stretch led to. Roster, locations and profiles come first, as they stand at the
time of the replay. Not played: surveys and verifications, which depend on no snapshot.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ops.history.memory import Change, Memory, changes
from ops.replay.stored import Fields, Stored
from streams.filter.core import GroupFilter, Observation, SnapshotOutcome, World
from streams.filter.decide import Policy
from streams.filter.players import PlayerCache
from streams.filter.standing import Outline, Shape
from streams.filter.state import GroupState
from streams.settings import Settings
from topics.catalogue import (
    LOCATIONS,
    NPC_ROSTER,
    NPC_SNAPSHOTS,
    PLAYER_PROFILES,
    WORLD_SNAPSHOTS,
)
from topics.decode import (
    DecodeError,
    decode_key,
    decode_location,
    decode_profile,
    decode_roster_entry,
    decode_snapshot,
    decode_world,
)
from topics.models import Desired, PlayerProfile, Reason, Snapshot, Source
from topics.places import Places
from topics.roster import Roster
from topics.text import fold
from topics.world import split

DECIDED = (NPC_SNAPSHOTS, WORLD_SNAPSHOTS)
"""Topics on which decisions are made."""

EXPIRY_SECONDS = 30.0
RECALL_SECONDS = 5.0
"""Of the game's time; as a worker's ticks."""

_DRAWN = Outline(Shape(begin=0, gap=0, is_time_first=True, mark=b""), around=0)
"""Of every record: none is compared with it, `Echoes` has done that."""


class Decision(NamedTuple):
    """What became of one snapshot, or of a look at an NPC afterwards. Times in seconds."""

    source: Source
    npc_id: str
    observed_at: float
    outcome: SnapshotOutcome
    reason: Reason | None = None
    before: Desired | None = None
    after: Desired | None = None
    """What the memory should say before and after; None where nothing is sent, or nothing was."""
    error: str = ""
    """Of a dead letter."""

    @property
    def changes(self) -> tuple[Change, ...]:
        """What the command would change in memory."""
        return changes(_memory(self.before), _memory(self.after)) if self.after else ()

    @property
    def writes(self) -> int:
        """Blocks that differ: one says who is there, another where the NPC is and what it does."""
        if self.after is None:
            return 0
        if self.before is None:
            return 2
        before, after = self.before, self.after
        does = (before.location, before.action) != (after.location, after.action)
        return does + (before.members != after.members)


@dataclass(slots=True)
class Known:
    """Roster, locations and profiles, as their topics tell them."""

    roster: Roster = field(default_factory=Roster)
    places: Places = field(default_factory=Places)
    profiles: dict[str, tuple[PlayerProfile, float]] = field(default_factory=dict)
    """With the record's time, seconds."""

    def hear(self, record: Stored) -> None:
        """One record of the three topics; one that cannot be read is left out, as workers do."""
        try:
            self._hear(record)
        except DecodeError:
            return

    def _hear(self, record: Stored) -> None:
        key, value = record.key, record.value
        match record.topic:
            case topic if topic == NPC_ROSTER:
                self._hear_npc(key, value)
            case topic if topic == LOCATIONS and value:
                self.places.put(decode_location(key, value))
            case topic if topic == LOCATIONS:
                self.places.remove(decode_key(key or b""))
            case topic if topic == PLAYER_PROFILES and value:
                profile = decode_profile(key, value)
                self.profiles[profile.player_id] = (profile, record.timestamp / 1000)
            case topic if topic == PLAYER_PROFILES:
                self.profiles.pop(decode_key(key or b""), None)

    def _hear_npc(self, key: bytes | None, value: bytes | None) -> None:
        if value:
            self.roster.put(decode_roster_entry(key, value))
        else:
            self.roster.remove(decode_key(key or b""))


class DryRun:
    """A filter's decisions under some settings; `known` is not changed and may be shared."""

    def __init__(self, settings: Settings, known: Known) -> None:
        self._known, self._max_ahead = known, settings.max_clock_ahead
        self._players = PlayerCache(settings.player_cache_ttl)
        for profile, at in known.profiles.values():
            self._players.learn(profile, at)
        self._states: dict[str, GroupState] = {}
        self._core = GroupFilter(
            World(known.roster, known.places, self._players),
            Policy.of(settings),
            settings.settle_seconds,
            settings.max_group_members,
            lambda: len(self._states),
        )
        self._newest = self._expired_at = 0.0
        self._tick_at = RECALL_SECONDS

    def holds(self, record: Fields, again: float) -> bool:
        """Whether a record that tells the same again is suppressed; if so, all is done.

        `again`: its time, 0 if it tells something else (`Echoes`). False: `take` decides it.
        """
        _, _, _, timestamp, key, _, _ = record
        if not again or key is None or again >= self._tick_at:
            return False
        if not self._core.stays(key, again, timestamp / 1000 + self._max_ahead):
            return False
        if again > self._newest:
            self._newest = again
        return True

    def held(self, record: Stored) -> Decision:
        """What was decided on a record that `holds`."""
        source = Source(topic=record.topic, partition=record.partition, offset=record.offset)
        npc_id = decode_key(record.key or b"")
        at = self._core.last_held(npc_id)
        return Decision(source, npc_id, at, SnapshotOutcome.SUPPRESSED)

    def take(self, record: Stored) -> Sequence[Decision]:
        """The decisions on one record, and of a tick that has become due with it or before it."""
        if record.value is None or record.topic not in DECIDED:
            return ()
        made = self._decided(record, record.value)
        return made + list(self._tick()) if self._newest >= self._tick_at else made

    def _decided(self, record: Stored, value: bytes) -> list[Decision]:
        at = record.timestamp / 1000
        source = Source(topic=record.topic, partition=record.partition, offset=record.offset)
        try:
            told = self._snapshots(record, value, at)
            return [self._decide(record, snapshot, source) for snapshot in told]
        except DecodeError as error:
            self._core.overlook(record.key or b"")
            npc_id = (record.key or b"").decode(errors="backslashreplace")
            return [Decision(source, npc_id, at, SnapshotOutcome.DEAD_LETTER, error=str(error))]

    def _snapshots(self, record: Stored, value: bytes, at: float) -> Iterable[Snapshot]:
        if record.topic == WORLD_SNAPSHOTS:
            return split(decode_world(value, at), self._known.roster)
        snapshot = decode_snapshot(record.key, value, at)
        ahead = snapshot.observed_at - at
        if ahead > self._max_ahead:
            raise DecodeError(f"observed_at: {ahead:.0f} s ahead of the record's own time")
        return (snapshot,)

    def _decide(self, record: Stored, snapshot: Snapshot, source: Source) -> Decision:
        npc_id, now = snapshot.npc_id, snapshot.observed_at
        self._newest = max(self._newest, now)
        state = self._states.get(npc_id)
        seen = self._core.observe(snapshot, state, source, now)
        if record.key and record.value and record.topic == NPC_SNAPSHOTS:
            self._core.remember(record.key, record.value, snapshot, state, seen, _DRAWN)
        if seen.state is not None:
            self._states[npc_id] = seen.state
        return _decision(npc_id, now, source, state, seen)

    def _tick(self) -> Iterator[Decision]:
        """What a worker does now and then: recall players it had forgotten, and forget others."""
        self._tick_at = self._newest + RECALL_SECONDS
        yield from self._recall()
        if self._newest - self._expired_at >= EXPIRY_SECONDS:
            self._expired_at = self._newest
            self._core.keep_players()
            self._players.expire(self._newest)

    def _recall(self) -> Iterator[Decision]:
        missing = sorted(self._players.take_missing() & self._known.profiles.keys())
        found = [self._known.profiles[player_id] for player_id in missing]
        told = {
            name
            for profile, at in found
            if self._players.learn(profile, at)
            for name in (profile.player_id, fold(profile.name))
        }
        if told:
            yield from self._look_again(lambda one: one.id in told or fold(one.name) in told)

    def _look_again(self, is_meant: Callable[..., bool]) -> Iterator[Decision]:
        for npc_id, state in list(self._states.items()):
            if not any(map(is_meant, state.desired.members)):
                continue
            seen = self._core.profile_changed(npc_id, state, self._newest)
            if seen.command is not None and seen.state is not None:
                self._states[npc_id] = seen.state
                yield _decision(npc_id, seen.command.observed_at, state.source, state, seen)


def _decision(
    npc_id: str, now: float, source: Source, state: GroupState | None, seen: Observation
) -> Decision:
    if seen.command is None:
        return Decision(source, npc_id, now, seen.outcome)
    before = state.desired if state else None
    command = seen.command
    return Decision(source, npc_id, now, seen.outcome, command.reason, before, command.desired)


def _memory(desired: Desired | None) -> Memory:
    if desired is None:
        return Memory(members=(), location="", action="")
    return Memory(members=desired.members, location=desired.location, action=desired.action)
