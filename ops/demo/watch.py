"""Follows commands, results and dead letters of a run, and adds them up."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer

from topics.catalogue import DEAD_LETTERS, NPC_UPDATE_COMMANDS, NPC_UPDATE_RESULTS
from topics.connection import KafkaConnection
from topics.dead_letter import parse_headers
from topics.decode import DecodeError, decode_command, decode_result
from topics.models import Outcome, Reason, UpdateCommand, UpdateResult

NEWEST = 8

_WITHOUT_SNAPSHOT = frozenset({Reason.PROFILE, Reason.VERIFY})
"""Reasons that no snapshot gave: their age says nothing about the way of a snapshot."""


@dataclass(slots=True)
class Tally:
    """What has been seen so far. `waiting`: command_ids without a result, by npc_id."""

    commands: Counter[str] = field(default_factory=Counter)
    results: Counter[str] = field(default_factory=Counter)
    waiting: dict[str, set[str]] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)
    """Seconds from each snapshot to the memory it asked for, results `applied` only."""
    calls: int = 0
    changes: int = 0
    """Results that changed a memory."""
    conflicts: int = 0
    faults: list[str] = field(default_factory=list)
    """Failed results and dead letters, a sentence each."""
    dead_letters: int = 0
    newest: deque[str] = field(default_factory=lambda: deque(maxlen=NEWEST))
    last_command_at: float = 0.0
    """Monotonic seconds."""
    finished: set[str] = field(default_factory=set)
    """command_ids with a result: it may be read before its command, from another topic."""

    def take_command(self, command: UpdateCommand) -> None:
        """A command the filter sent."""
        self.commands[command.reason.value] += 1
        if command.command_id not in self.finished:
            self.waiting.setdefault(command.npc_id, set()).add(command.command_id)

    def take_result(self, result: UpdateResult, sent_at: float | None) -> None:
        """What became of one. `sent_at`: when its snapshot was sent, None for its `observed_at`."""
        self.results[result.outcome.value] += 1
        self.finished.add(result.command_id)
        self.waiting.get(result.npc_id, set()).discard(result.command_id)
        self.calls += result.calls
        self.conflicts += len(result.conflicts)
        if result.outcome is Outcome.FAILED:
            self.faults.append(f"{result.npc_id}: {result.error}")
        if result.outcome in (Outcome.APPLIED, Outcome.REPAIRED):
            self._take_change(result, result.observed_at if sent_at is None else sent_at)

    def _take_change(self, result: UpdateResult, since: float) -> None:
        self.changes += 1
        self.newest.appendleft(f"{result.npc_id}: {result.reason} -> {', '.join(result.blocks)}")
        if result.reason not in _WITHOUT_SNAPSHOT:
            self.latencies.append(result.finished_at - since)

    def is_waiting(self, npc_id: str) -> bool:
        """Whether a command of this NPC has no result yet."""
        return bool(self.waiting.get(npc_id))

    @property
    def waiting_commands(self) -> int:
        """Commands without a result."""
        return sum(map(len, self.waiting.values()))


SentAt = Callable[[str, float], float | None]
"""Wall-clock seconds at which the snapshot of an NPC with this `observed_at` was sent."""


class Watch:
    """A consumer of its own, without a group, from the beginning of the topics."""

    def __init__(self, connection: KafkaConnection, sent_at: SentAt) -> None:
        self.tally = Tally()
        self._connection = connection
        self._sent_at = sent_at
        self._readers = {
            connection.topic(NPC_UPDATE_COMMANDS): self._read_command,
            connection.topic(NPC_UPDATE_RESULTS): self._read_result,
            connection.topic(DEAD_LETTERS): self._read_dead_letter,
        }

    async def run(self) -> None:
        """Follow until cancelled."""
        consumer = AIOKafkaConsumer(
            *self._readers,
            **self._connection.client_options(),
            group_id=None,
            auto_offset_reset="earliest",
        )
        try:
            await consumer.start()
            async for record in consumer:
                self._readers[record.topic](record)
        finally:
            await asyncio.shield(consumer.stop())

    def _read_command(self, record: Any) -> None:
        self.tally.last_command_at = time.monotonic()
        try:
            self.tally.take_command(decode_command(record.value))
        except DecodeError as error:
            self.tally.faults.append(f"a command at offset {record.offset}: {error}")

    def _read_result(self, record: Any) -> None:
        try:
            result = decode_result(record.value)
        except DecodeError as error:
            self.tally.faults.append(f"a result at offset {record.offset}: {error}")
            return
        self.tally.take_result(result, self._sent_at(result.npc_id, result.observed_at))

    def _read_dead_letter(self, record: Any) -> None:
        why = parse_headers(record.headers)
        self.tally.dead_letters += 1
        self.tally.faults.append(f"dead letter of {why.stage} ({why.topic}): {why.error}")
