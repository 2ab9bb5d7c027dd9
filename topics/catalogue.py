"""All topics of the contract: one place for names, keys, partitions, retention, writers, readers.

Topics keyed by npc_id have the same number of partitions, so that one NPC's snapshot, command and
result stand in partitions of the same number and each worker owns a whole NPC. This module only
says what should be; `differences` compares it with what a broker has, without talking to one.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from topics.models import (
    Location,
    Model,
    PlayerProfile,
    RosterEntry,
    Snapshot,
    UpdateCommand,
    UpdateResult,
    VerifyRequest,
    WorldSnapshot,
)
from topics.wire import RECORD_LIMIT

NPC_SNAPSHOTS: Final = "npc-snapshots"
WORLD_SNAPSHOTS: Final = "world-snapshots"
PLAYER_PROFILES: Final = "player-profiles"
NPC_ROSTER: Final = "npc-roster"
LOCATIONS: Final = "locations"
NPC_UPDATE_COMMANDS: Final = "npc-update-commands"
NPC_UPDATE_RESULTS: Final = "npc-update-results"
NPC_VERIFY_REQUESTS: Final = "npc-verify-requests"
DEAD_LETTERS: Final = "dead-letters"

PARTITIONS: Final = 8
"""Partitions of a topic keyed by npc_id: up to eight workers of a role share the NPCs."""

DEAD_LETTER_LIMIT: Final = 2 * RECORD_LIMIT
"""Bytes of the largest dead letter: the largest record with headers. A producer needs it too."""

TOPIC_NAME_LIMIT: Final = 249
"""Characters of a Kafka topic name."""

PREFIX_PATTERN: Final = re.compile(r"[a-zA-Z0-9._-]*")
"""What a topic prefix may be made of: the characters Kafka allows in a topic name."""

_HOUR = 3600
_DAY = 24 * _HOUR
_MIB = 1024 * 1024


class Cleanup(StrEnum):
    """Kafka's `cleanup.policy`."""

    DELETE = "delete"
    COMPACT = "compact"
    COMPACT_DELETE = "compact,delete"


@dataclass(frozen=True, kw_only=True)
class Topic:
    """One topic of the contract, without the prefix."""

    name: str
    key: str
    """Which id the record key is."""
    cleanup: Cleanup
    written_by: tuple[str, ...]
    read_by: tuple[str, ...]
    model: type[Model] | None
    """What the value is; None: the bytes of any other topic."""
    purpose: str
    partitions: int = PARTITIONS
    retention: int | None
    """Seconds that a record is kept; None: for good, as compacted topics do."""
    retention_bytes: int | None = None
    """Bytes kept per partition; None: no bound. The smaller of time and bytes wins."""
    compaction_lag: int = 0
    """Seconds in which a record is safe from compaction."""
    max_record_bytes: int | None = None
    """Bytes of the largest record batch; None: the broker's default, 1 MiB and a little."""

    @property
    def configs(self) -> dict[str, str]:
        """The topic's settings in Kafka's own names; only what differs from a broker's defaults."""
        configs = {
            "cleanup.policy": self.cleanup.value,
            "retention.ms": _milliseconds(self.retention),
            "retention.bytes": str(-1 if self.retention_bytes is None else self.retention_bytes),
            "segment.ms": _milliseconds(_DAY),
        }
        if self.cleanup is not Cleanup.DELETE:
            configs["min.compaction.lag.ms"] = _milliseconds(self.compaction_lag)
        if self.max_record_bytes is not None:
            configs["max.message.bytes"] = str(self.max_record_bytes)
        return configs


@dataclass(frozen=True, kw_only=True)
class ObservedTopic:
    """A topic as a broker describes it; `configs` in Kafka's names."""

    partitions: int
    configs: Mapping[str, str] = field(default_factory=dict)


CATALOGUE: Final[tuple[Topic, ...]] = (
    Topic(
        name=NPC_SNAPSHOTS,
        key="npc_id",
        cleanup=Cleanup.DELETE,
        # A week covers a long weekend and the bug found after it; the bytes bound a large world,
        # whose replay then reaches back less far (8 GiB in all).
        retention=7 * _DAY,
        retention_bytes=1024 * _MIB,
        written_by=("game", "gateway", "splitter"),
        read_by=("filter", "rollcall replay"),
        model=Snapshot,
        purpose="What the game saw around one NPC.",
    ),
    Topic(
        name=WORLD_SNAPSHOTS,
        key="world_id",
        cleanup=Cleanup.DELETE,
        # Its snapshots live on in npc-snapshots: a day is for a splitter that was down.
        retention=_DAY,
        retention_bytes=512 * _MIB,
        written_by=("game",),
        read_by=("splitter",),
        model=WorldSnapshot,
        purpose="What the game saw around many NPCs, in one record.",
    ),
    Topic(
        name=PLAYER_PROFILES,
        key="player_id",
        cleanup=Cleanup.COMPACT,
        retention=None,
        written_by=("game",),
        read_by=("filter",),
        model=PlayerProfile,
        purpose="Who a player is and looks like; a null value deletes.",
    ),
    Topic(
        name=NPC_ROSTER,
        key="npc_id",
        cleanup=Cleanup.COMPACT,
        retention=None,
        written_by=("rollcall load",),
        read_by=("splitter", "filter", "writer"),
        model=RosterEntry,
        purpose="The NPCs, their names and their Letta agents; a null value deletes.",
    ),
    Topic(
        name=LOCATIONS,
        key="slug",
        # A few dozen places for the whole world: one partition is read by every worker at once.
        partitions=1,
        cleanup=Cleanup.COMPACT,
        retention=None,
        written_by=("rollcall load",),
        read_by=("filter",),
        model=Location,
        purpose="The places of the world; a null value deletes.",
    ),
    Topic(
        name=NPC_UPDATE_COMMANDS,
        key="npc_id",
        cleanup=Cleanup.COMPACT_DELETE,
        # The newest command of an NPC is all a writer needs; a day before compaction lets
        # `rollcall explain` and `rollcall block` show the ones before it.
        retention=7 * _DAY,
        retention_bytes=512 * _MIB,
        compaction_lag=_DAY,
        written_by=("filter",),
        read_by=("writer", "rollcall explain", "rollcall block"),
        model=UpdateCommand,
        purpose="The whole state that one NPC's memory shall have.",
    ),
    Topic(
        name=NPC_UPDATE_RESULTS,
        key="npc_id",
        cleanup=Cleanup.DELETE,
        retention=7 * _DAY,
        retention_bytes=256 * _MIB,
        written_by=("writer",),
        read_by=("console", "rollcall explain", "rollcall block"),
        model=UpdateResult,
        purpose="What became of a command.",
    ),
    Topic(
        name=NPC_VERIFY_REQUESTS,
        key="npc_id",
        cleanup=Cleanup.DELETE,
        # Whoever asked waits a minute or two; a worker that was down for longer need not hear it.
        retention=_HOUR,
        retention_bytes=64 * _MIB,
        written_by=("rollcall verify",),
        read_by=("filter",),
        model=VerifyRequest,
        purpose="A wish to have one NPC's memory compared with its state, and mended.",
    ),
    Topic(
        name=DEAD_LETTERS,
        key="the record's own",
        # One partition keeps them in the order of failure; a flood of them is bounded by bytes.
        partitions=1,
        cleanup=Cleanup.DELETE,
        retention=30 * _DAY,
        retention_bytes=1024 * _MIB,
        max_record_bytes=DEAD_LETTER_LIMIT,
        written_by=("every stage",),
        read_by=("rollcall dead-letters",),
        model=None,
        purpose="Records that a stage could not handle, with the reason in their headers.",
    ),
)

BY_NAME: Final[Mapping[str, Topic]] = {topic.name: topic for topic in CATALOGUE}


def topic_name(prefix: str, name: str) -> str:
    """The topic's name on the broker. ValueError where Kafka would not take it."""
    full = prefix + name
    if not PREFIX_PATTERN.fullmatch(prefix):
        raise ValueError(f"topic prefix {prefix!r}: only letters, digits, '.', '_' and '-'")
    if len(full) > TOPIC_NAME_LIMIT:
        raise ValueError(f"topic prefix: {full[:40]}... is longer than {TOPIC_NAME_LIMIT}")
    return full


def differences(topic: Topic, observed: ObservedTopic | None) -> list[str]:
    """What a broker's topic has other than the catalogue says, one sentence each; [] is agreement.

    `observed` None means that the topic does not exist. A setting that the broker does not name
    is not compared.
    """
    if observed is None:
        return ["does not exist"]
    found = []
    if observed.partitions != topic.partitions:
        found.append(f"partitions: {observed.partitions}, expected {topic.partitions}")
    for name, expected in topic.configs.items():
        actual = observed.configs.get(name, expected)
        if _comparable(actual) != _comparable(expected):
            found.append(f"{name}: {actual}, expected {expected}")
    return found


def _comparable(value: str) -> list[str]:
    # "delete,compact" and "compact, delete" are the same policy.
    return sorted(part.strip() for part in value.split(","))


def _milliseconds(seconds: int | None) -> str:
    return str(-1 if seconds is None else seconds * 1000)
