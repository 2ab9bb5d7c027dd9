"""The road of a record through decoder, splitter and filter, and what may come of it.

fate         the record
refused      raised DecodeError: one printable line, bounded
disabled, outdated, suppressed, sent
             is a snapshot that was decided; the command keeps its bounds
split        is a world snapshot; each of its snapshots was decided, too
known        is a profile, a roster entry or a location, and changes what the filter knows
read         is a command, whose texts keep their bounds
UNCAUGHT     anything else: a fault
"""

import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from streams.filter import sighting
from streams.filter.agent import FilterAgent
from streams.filter.core import GroupFilter, Observation, World
from streams.filter.decide import Policy
from streams.filter.players import PlayerCache
from streams.filter.state import GroupState, dump, load
from streams.settings import Mode, Settings, Staleness
from streams.splitter.agent import SplitterAgent
from tests.fuzz.hostile import BATCH, HostileRecord, batch
from topics.catalogue import (
    LOCATIONS,
    NPC_ROSTER,
    NPC_SNAPSHOTS,
    NPC_UPDATE_COMMANDS,
    PLAYER_PROFILES,
    WORLD_SNAPSHOTS,
)
from topics.decode import (
    DecodeError,
    decode_command,
    decode_location,
    decode_profile,
    decode_roster_entry,
    decode_snapshot,
    decode_world,
)
from topics.encode import encode
from topics.models import Desired, Source, UpdateCommand
from topics.places import Places
from topics.roster import Roster
from topics.text import ACTION_LIMIT, DESCRIPTION_LIMIT, ID_LIMIT, NAME_LIMIT
from topics.wire import RECORD_LIMIT
from topics.world import split

UNCAUGHT = "UNCAUGHT"
MESSAGE_LIMIT = 400
"""Characters of a refusal: it stands in a header of the dead letter."""

JOINERS = "\u200c\u200d"
TAGS = range(0xE0000, 0xE1000)
SETTINGS = Settings.model_construct()
POLICIES = [
    Policy(),
    Policy(Mode.DIRECT),
    Policy(Mode.FILTERED),
    Policy(staleness=Staleness.SEED, stale_data_threshold=5.0, force_refresh_interval=60.0),
]
# The agents' own steps, without agents: they need nothing else of them.
FILTER: Any = SimpleNamespace(_settings=SETTINGS)
SPLITTER: Any = SimpleNamespace(_topics={NPC_SNAPSHOTS: None})


class Road:
    """One filter with all it knows, fed record after record. `variant` picks its policy."""

    def __init__(self, variant: int = 0) -> None:
        self._roster = Roster()
        self._places = Places()
        self._players = PlayerCache(SETTINGS.player_cache_ttl)
        self._states: dict[str, GroupState] = {}
        self._members = (SETTINGS.max_group_members, 3)[variant % 2]
        self._core = GroupFilter(
            World(self._roster, self._places, self._players),
            POLICIES[variant % len(POLICIES)],
            (0.0, 4.0, 0.0)[variant % 3],
            self._members,
        )
        self._offset = 0
        self._roads: dict[str, Callable[[HostileRecord], str]] = {
            NPC_SNAPSHOTS: self._snapshot,
            WORLD_SNAPSHOTS: self._world,
            PLAYER_PROFILES: self._profile,
            NPC_ROSTER: self._entry,
            LOCATIONS: self._location,
            NPC_UPDATE_COMMANDS: self._command,
        }

    def take(self, record: HostileRecord) -> str:
        """The fate of a record. Whatever else is raised is a fault."""
        self._offset += 1
        try:
            return self._roads[record.topic](record)
        except DecodeError as error:
            check_message(str(error))
            return "refused"

    def _snapshot(self, record: HostileRecord) -> str:
        snapshot = FilterAgent._decoded(FILTER, record.key, record.value, record.timestamp)
        source = Source(topic=record.topic, partition=3, offset=self._offset)
        state = self._states.get(snapshot.npc_id)
        seen = self._core.observe(snapshot, state, source, record.timestamp)
        self._store(snapshot.npc_id, seen)
        return seen.outcome.value

    def _store(self, npc_id: str, seen: Observation) -> None:
        if seen.command:
            check_command(seen.command, self._members)
        if seen.state:
            stored = load(dump(seen.state))
            assert stored == seen.state, "a state does not come back from the Table"
            self._states[npc_id] = seen.state
        for player in seen.sightings:
            key, value = sighting.dump(3, player)
            found = sighting.load(key, value)
            assert found is not None, "a sighting does not come back from the Table"
            assert (found.id, found.name) == (player.id, player.name), "another player came back"

    def _world(self, record: HostileRecord) -> str:
        world = decode_world(record.value, record.timestamp)
        for sent in SplitterAgent._records(SPLITTER, split(world, self._roster)):
            assert sent.key is not None
            assert sent.value is not None
            decode_snapshot(sent.key, sent.value, record.timestamp)  # never refused: it is ours
            self.take(HostileRecord(NPC_SNAPSHOTS, sent.key, sent.value, record.timestamp))
        return "split"

    def _profile(self, record: HostileRecord) -> str:
        profile = decode_profile(record.key, record.value)
        self._players.learn(profile, record.timestamp)
        for npc_id, state in self._states.items():
            self._store(npc_id, self._core.profile_changed(npc_id, state, record.timestamp))
        if self._offset % 50 == 0:
            self._players.expire(record.timestamp)
            self._players.take_missing()
        return "known"

    def _entry(self, record: HostileRecord) -> str:
        self._roster.put(decode_roster_entry(record.key, record.value))
        return "known"

    def _location(self, record: HostileRecord) -> str:
        location = decode_location(record.key, record.value)
        self._places.put(location)
        return "known"

    def _command(self, record: HostileRecord) -> str:
        command = decode_command(record.value)
        check_texts(command)
        assert decode_command(encode(command)) == command, "a command does not come back"
        return "read"


# ---------------------------------------------------------------- bounds


def check_message(message: str) -> None:
    """A refusal is one line that a person can read."""
    assert message, "an empty refusal"
    assert message.isprintable(), f"not printable: {message!r}"
    assert len(message) <= MESSAGE_LIMIT, f"{len(message)} characters: {message[:100]!r}"


def check_command(command: UpdateCommand, most_members: int) -> None:
    """A command of ours is bounded in every way."""
    sent = encode(command)
    assert len(sent) <= RECORD_LIMIT, f"a command of {len(sent)} bytes"
    members = command.desired.members
    assert len(members) <= most_members, f"{len(members)} members"
    assert len({member.id for member in members}) == len(members), "a member twice"
    check_texts(command)
    assert decode_command(sent) == command, "the writer reads another command"


def check_texts(command: UpdateCommand) -> None:
    """Every text has its limit, and nothing that cannot be seen."""
    for field_name, text, limit in _texts(command):
        assert len(text) <= limit, f"{field_name} of {len(text)} characters"
        if not text.isprintable() or not text.isascii():
            hidden = [char for char in text if _is_hidden(char)]
            assert not hidden, f"{field_name} has {hidden!r}"


def _texts(command: UpdateCommand) -> Iterable[tuple[str, str, int]]:
    desired: Desired = command.desired
    yield "npc_id", command.npc_id, ID_LIMIT
    yield "location", desired.location, DESCRIPTION_LIMIT
    yield "action", desired.action, ACTION_LIMIT
    for member in desired.members:
        yield "a member's id", member.id, ID_LIMIT
        yield "a member's name", member.name, NAME_LIMIT
        yield "a member's appearance", member.appearance, DESCRIPTION_LIMIT


def _is_hidden(char: str) -> bool:
    if char in JOINERS:
        return False
    category = unicodedata.category(char)
    is_break = category.startswith("Z") and char != " "
    return category in {"Cc", "Cf", "Cs", "Co"} or is_break or ord(char) in TAGS


# ---------------------------------------------------------------- many


@dataclass(slots=True)
class Tally:
    """What became of many records. `faults`: where each was found, and what it was."""

    seed: int
    records: int = 0
    cpu: float = 0.0
    """Seconds of one core, the making of the records included."""
    fates: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        names = ("seed", "records", "cpu", "faults")
        return {**{name: getattr(self, name) for name in names}, "fates": dict(self.fates)}


def fuzz(seed: int, records: int, on_batch: Callable[[Tally], None] = lambda _: None) -> Tally:
    """So many records in batches; each batch begins with a filter that knows nothing."""
    tally, began = Tally(seed), time.process_time()
    for number in range(-(-records // BATCH)):
        _take_batch(tally, seed, number, min(BATCH, records - tally.records))
        tally.cpu = time.process_time() - began
        on_batch(tally)
    return tally


def _take_batch(tally: Tally, seed: int, number: int, size: int) -> None:
    road = Road(variant=number)
    for at, record in enumerate(batch(seed, number, size)):
        tally.records += 1
        try:
            fate = road.take(record)
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            fate = UNCAUGHT
            where = f"seed {seed}, batch {number}, record {at} of {record.topic}"
            tally.faults.append(f"{where}: {type(error).__name__}: {error}; {record.value[:200]!r}")
        tally.fates[fate] += 1
