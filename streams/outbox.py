"""What a batch of records leads to, before any of it is sent.

An outbox is filled without waiting and then emptied through the delivery barrier: see
`streams.barrier` for the order, and why.
"""

from dataclasses import dataclass, field
from time import time
from typing import Any

from streams.barrier import OrderedAcks, Taken, delivered
from streams.faust_layer.channels import BatchTable, BatchTopic
from streams.faust_layer.producer import Outgoing
from topics.dead_letter import headers_for
from topics.trace import Headers
from topics.wire import RECORD_LIMIT

KEY_LIMIT = RECORD_LIMIT // 4
"""Bytes of the largest key of a dead letter."""

Key = bytes
RawTable = BatchTable


@dataclass(slots=True)
class Record:
    """One record to send."""

    topic: BatchTopic
    key: Key | None
    value: bytes | None
    headers: Headers | None = None


@dataclass(slots=True)
class Change:
    """One change of a Table; `value` None deletes."""

    table: RawTable
    partition: int
    key: Key
    value: bytes | None


@dataclass(slots=True)
class Outbox:
    """Records, changes and finished source records of a batch; the last change of a key counts."""

    records: list[Record] = field(default_factory=list)
    changes: dict[tuple[str, Key], Change] = field(default_factory=dict)
    finished: list[Taken] = field(default_factory=list)

    def change(self, table: RawTable, partition: int, key: Key, value: bytes | None) -> None:
        """Stage a Table write; it shows in `staged` at once, in the Table after delivery."""
        self.changes[table.name, key] = Change(table, partition, key, value)

    def staged(self, table: RawTable, key: Key) -> bytes | None:
        """The value as this batch left it, else the Table's."""
        change = self.changes.get((table.name, key))
        return change.value if change else table.data.get(key)

    def keys(self, table: RawTable) -> set[Key]:
        """The keys of a Table as this batch leaves it."""
        of_table = [change for change in self.changes.values() if change.table is table]
        deleted = {change.key for change in of_table if change.value is None}
        return {*table.data, *(change.key for change in of_table)} - deleted

    def dead_letter(self, topic: BatchTopic, stage: str, error: Exception, message: Any) -> None:
        """Give a record up, with the reason in the headers. `message`: a single record.

        A record can unpack to more bytes than the topic takes; such a one is cut, and says so.
        """
        key, value = _cut(message.key, KEY_LIMIT), _cut(message.value, RECORD_LIMIT)
        is_whole = (key, value) == (message.key, message.value)
        size = len(message.key or b"") + len(message.value or b"")
        reason = str(error) if is_whole else f"{error} (cut short: it has {size} bytes)"
        headers = headers_for(
            stage, reason, message.topic, message.partition, message.offset, time()
        )
        self.records.append(Record(topic, key, value, headers))

    async def deliver(self, acks: OrderedAcks) -> bool:
        """Send all, each step after the one before is acknowledged; then ack the source.

        False where a rebalance came while the records were on their way: then nothing is stored,
        the state of these partitions may be another worker's by now, and further on.
        """
        generation = acks.generation
        await delivered(topic.send_many(some) for topic, some in self._by_topic())
        if acks.generation != generation:
            return False
        await self.store()
        for taken in self.finished:
            acks.finish(taken)
        return True

    async def store(self) -> None:
        """Write the changes: the changelog first, the local store once that is durable."""
        await delivered(table.send_changelogs(some) for table, some in self._by_table())
        for change in self.changes.values():
            if change.value is None:
                change.table.data.pop(change.key, None)
            else:
                change.table.data[change.key] = change.value

    def _by_topic(self) -> list[tuple[BatchTopic, list[Outgoing]]]:
        found: dict[int, tuple[BatchTopic, list[Outgoing]]] = {}
        for one in self.records:
            some = found.setdefault(id(one.topic), (one.topic, []))[1]
            some.append(Outgoing(one.key, one.value, one.headers or ()))
        return list(found.values())

    def _by_table(self) -> list[tuple[RawTable, list[tuple[int, Key, bytes | None]]]]:
        found: dict[str, tuple[RawTable, list[tuple[int, Key, bytes | None]]]] = {}
        for one in self.changes.values():
            changes = found.setdefault(one.table.name, (one.table, []))[1]
            changes.append((one.partition, one.key, one.value))
        return list(found.values())


def _cut(data: bytes | None, limit: int) -> bytes | None:
    return data if data is None else data[:limit]
