"""Topics that pass batches through and send many records, Tables that read and write in batches."""

from collections import defaultdict
from collections.abc import Iterable
from functools import partial
from typing import Any, cast

import faust
from faust.tables import TableManager
from faust.tables.table import Table
from faust.topics import Topic
from faust.types.tuples import TP, Message

from streams.faust_layer.batch import Batch
from streams.faust_layer.producer import Outgoing

RECOVERY_BATCHES = 2
"""Fetched batches that recovery collects before a Table takes them in. Faust's thousand would keep
the whole changelog's records in memory; with one it goes on reading the changelog for ever."""


CHANGELOG_CONFIG = {"segment.bytes": 4 * 2**20}
"""Of a changelog that is made. Kafka compacts what is not the newest segment, and recovery reads
what is not compacted: with Kafka's own 1 GiB that is a thousand states of each NPC."""


class Untouched(faust.Schema[Any, Any]):
    """Keys and values as they are: bytes on the way out, batches on the way in."""

    def loads_key(self, app: Any, message: Message, **_: Any) -> Any:  # noqa: ARG002 - Faust's own
        """See `faust.Schema`."""
        return message.key

    def loads_value(self, app: Any, message: Message, **_: Any) -> Any:  # noqa: ARG002 - Faust's own
        """See `faust.Schema`."""
        return message.value


def untouched() -> Untouched:
    """The schema of every topic of ours."""
    return Untouched(
        key_type=bytes,
        value_type=bytes,
        key_serializer="raw",
        value_serializer="raw",
        allow_empty=True,
    )


class BatchTopic(Topic):
    """A topic of raw bytes."""

    async def send_many(self, records: Iterable[Outgoing]) -> list[Any]:
        """Hand over records, in the order of each key; futures that say when all are delivered.

        The key says the partition, as Kafka's default partitioner has it.
        """
        producer: Any = self.app.producer
        name = self.get_topic_name()
        await producer.know(name)
        partition_of = producer.places(name)
        by_partition: defaultdict[int, list[Outgoing]] = defaultdict(list)
        for record in records:
            by_partition[partition_of(record.key)].append(record)
        return [
            future
            for partition, some in by_partition.items()
            for future in await producer.send_many(name, partition, some)
        ]


class BatchTable(Table[bytes, bytes]):
    """A Table of bytes whose changelog is written and recovered in batches."""

    async def send_changelogs(
        self, changes: Iterable[tuple[int, bytes, bytes | None]]
    ) -> list[Any]:
        """Hand changes over (partition, key, value; None deletes); futures as for a topic."""
        producer: Any = self.app.producer
        name = self.changelog_topic.get_topic_name()
        by_partition: defaultdict[int, list[Outgoing]] = defaultdict(list)
        for partition, key, value in changes:
            by_partition[partition].append(Outgoing(key, value))
        futures: list[Any] = []
        for partition, some in by_partition.items():
            sent = await producer.send_many(name, partition, some)
            sent[-1].add_done_callback(partial(self._note, TP(name, partition), sent[0], len(some)))
            futures += sent
            self._place(partition, some)
        return futures

    def _place(self, partition: int, changes: Iterable[Any]) -> None:
        """What recovery reads and what we write ourselves is dropped with its partition."""
        places = cast("Any", self.data)._key_partition  # noqa: SLF001 - by this a store drops what is not ours
        for change in changes:
            if change.value is None:
                places.pop(change.key, None)
            else:
                places[change.key] = partition

    def _note(self, tp: TP, first: Any, count: int, last: Any) -> None:
        """The changelog is held further: a rebalance need not read what we wrote ourselves.

        `first` and `last`: futures of these changes, which are delivered in their order. Where
        somebody else wrote in between, the next recovery begins there.
        """
        if last.cancelled() or last.exception():
            return
        tables: Any = self.app.tables
        held, begin = tables.recovery.active_offsets, first.result().offset
        if held.get(tp) is not None and 0 <= begin <= held[tp] + 1:
            held[tp] = max(held[tp], begin + count - 1)

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        """Take in what recovery has read: messages whose values are batches."""
        data = cast("Any", self.data).data
        for event in batch:
            told: Batch = event.message.value
            for record in told.records:
                if record.value is None:
                    data.pop(record.key, None)
                else:
                    data[record.key] = record.value
            self._place(event.message.partition, told.records)

    def _new_changelog_topic(self, **options: Any) -> Any:
        topic = super()._new_changelog_topic(**options)
        topic.schema = untouched()
        topic.config = {**(topic.config or {}), **CHANGELOG_CONFIG}
        return topic


class PromptTables(TableManager):
    """Tables that are there when the agents are; Faust waits for a second instead."""

    async def on_start(self) -> None:
        """See `faust.tables.TableManager`."""
        await self.app.agents.wait_until_agents_started()
        if not self.should_stop:
            await self._update_channels()
            await self.recovery.start()


def raw_topic(app: faust.App, name: str) -> BatchTopic:
    """A topic of raw bytes by the name that Kafka knows."""
    return cast("BatchTopic", app.topic(name, schema=untouched()))


def raw_table(app: faust.App, name: str, partitions: int, about: str) -> BatchTable:
    """A Table of raw bytes. `about`: what it is for."""
    table = app.Table(
        name,
        key_type=bytes,
        value_type=bytes,
        partitions=partitions,
        recovery_buffer_size=RECOVERY_BATCHES,
        help=about,
    )
    return cast("BatchTable", table)
