"""Kafka as far as the road leans on it: partitions with offsets, committed offsets, groups.

modelled                                            as
--------------------------------------------------  --------------------------------------------
a send                                              handed over, appended later, acknowledged
                                                    later still; in order for each process
a process killed with sends on the wire             the first of them arrive, the others do not
a failed send                                       the error comes, the record may be there
a commit                                            the highest acked offset: Faust skips over
                                                    unacked records (facts, fault A)
a commit of an old generation                       refused
a process that lost its group without knowing it    goes on for a while: sends and writes count
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any
from zlib import crc32

import msgspec
from aiokafka.errors import KafkaError

from streams.filter.checkpoint import load
from streams.filter.state import DamagedStateError, read
from tests.simulation.timeline import Timeline
from tests.simulation.trace import Trace

if TYPE_CHECKING:
    from tests.simulation.process import Process

PARTITIONS = 2


@dataclass(slots=True)
class Record:
    """A record of a log; `timestamp` in virtual seconds."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: float


@dataclass(slots=True)
class Log:
    """One topic."""

    partitions: list[list[Record]]
    watchers: list[Callable[[Record], None]] = field(default_factory=list)


def partition_of(key: bytes | None) -> int:
    """Where a key's records stand."""
    return crc32(key or b"") % PARTITIONS


class Broker:
    """All topics and groups."""

    def __init__(self, timeline: Timeline, random: Random, trace: Trace) -> None:
        self.timeline, self.random, self.trace = timeline, random, trace
        self.failures = 0.0
        """Share of sends that fail."""
        self.logs: dict[str, Log] = {}
        self.groups: dict[str, Group] = {}

    def log(self, topic: str) -> Log:
        """A topic; made when first heard of."""
        if topic not in self.logs:
            self.logs[topic] = Log([[] for _ in range(PARTITIONS)])
        return self.logs[topic]

    def append(self, topic: str, key: bytes | None, value: bytes | None, partition: int) -> Record:
        """A record arrives."""
        log = self.log(topic)
        records = log.partitions[partition]
        record = Record(partition, len(records), key, value, self.timeline.now)
        records.append(record)
        for watcher in log.watchers:
            watcher(record)
        return record

    def produce(
        self, process: Process, topic: str, key: bytes | None, value: bytes | None, partition: int
    ) -> Any:
        """A process sends; the future is the broker's acknowledgement."""
        delivered = process.node.create_future()
        arrives = process.wire.next_arrival(self.timeline.now + self.random.uniform(0.001, 0.04))
        fails = self.random.random() < self.failures
        self.timeline.after(
            arrives - self.timeline.now,
            self._arrive,
            process,
            (topic, key, value, partition),
            delivered,
            fails,
        )
        return delivered

    def _arrive(self, process: Process, sent: Any, delivered: Any, fails: bool) -> None:
        topic = sent[0]
        if process.wire.is_cut(process.node.is_dead, self.random):
            return
        if not fails or self.random.random() < 0.5:
            record = self.append(*sent)
            where = f"{topic}[{record.partition}] @{record.offset}"
            self.trace.say("kafka", f"{where} appended{self._told(record)}")
        delay = self.random.uniform(0.001, 0.03)
        self.timeline.after(delay, self._acknowledge, process, topic, delivered, fails)

    def _told(self, record: Record) -> str:
        """What a reader of the trace wants to know of a command, a state or a result."""
        if not self.trace.is_kept or not record.value:
            return " (tombstone)" if record.value is None else ""
        if not record.value.startswith(b"{"):
            return _packed(record.value)
        value = json.loads(record.value)
        picked = {
            name: value[name]
            for name in ("npc_id", "reason", "outcome", "observed_at", "last_updated", "desired")
            if name in value
        }
        return f": {json.dumps(picked)}, from {value.get('source', {}).get('offset')}"

    def _acknowledge(self, process: Process, topic: str, delivered: Any, fails: bool) -> None:
        if process.node.is_dead or delivered.done():
            return
        if fails:
            self.trace.fault("send failed", process.name, topic)
            delivered.set_exception(KafkaError("simulated"))
            return
        if process.survives(f"{topic} acknowledged"):
            delivered.set_result(None)


def _packed(value: bytes) -> str:
    """A state; what is neither that nor JSON tells when whom was seen."""
    try:
        state = read(value)
    except DamagedStateError:
        return f": {len(load(value) or ())} NPCs seen"
    assert state is not None  # the value is not empty
    picked = {"last_updated": state.last_updated, "desired": msgspec.to_builtins(state.desired)}
    return f": {json.dumps(picked)}, from {state.source.offset}"


@dataclass(slots=True)
class Wire:
    """One process's way to the broker: in order, and cut once when the process dies."""

    last: float = 0.0
    cut: bool = False

    def next_arrival(self, earliest: float) -> float:
        self.last = max(self.last, earliest)
        return self.last

    def is_cut(self, is_dead: bool, random: Random) -> bool:
        if is_dead and not self.cut:
            self.cut = random.random() < 0.5
        return self.cut


@dataclass(slots=True)
class Group:
    """A consumer group on one topic."""

    topic: str
    generation: int = 0
    committed: dict[int, int] = field(default_factory=dict)
    members: list[Process] = field(default_factory=list)
    owners: dict[int, Process] = field(default_factory=dict)

    def rebalance(self, members: Iterable[Process], random: Random) -> None:
        """Gives the partitions to these processes; whoever is left out hears nothing of it."""
        self.members = [member for member in members if not member.node.is_dead]
        self.generation += 1
        self.owners = {}
        if not self.members:
            return
        shift = random.randrange(len(self.members))
        for partition in range(PARTITIONS):
            owner = self.members[(partition + shift) % len(self.members)]
            self.owners[partition] = owner
        for member in self.members:
            member.consumer.assign(
                self.generation, [p for p, owner in self.owners.items() if owner is member]
            )

    def commit(self, generation: int, acked: dict[int, int]) -> bool:
        """Takes offsets in; refused from a process of an older generation."""
        if generation != self.generation:
            return False
        for partition, offset in acked.items():
            self.committed[partition] = max(self.committed.get(partition, 0), offset + 1)
        return True
