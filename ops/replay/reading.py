"""Stretches of a topic from Kafka, in the order of `stored`, a batch at a time.

No consumer group takes part and nothing is committed. What stands on the topic when the reading
begins is read, and nothing that comes later. A partition that is far ahead of the others waits for
them, so that memory does not grow with the stretch.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from ops.failure import Failure
from ops.records import SILENCE, partition_of, records
from ops.replay.stored import Merge, Stored
from streams.faust_layer.parsed import hand_over_as_parsed
from topics.catalogue import DEAD_LETTER_LIMIT, LOCATIONS, NPC_ROSTER, PLAYER_PROFILES
from topics.connection import KafkaConnection
from topics.encode import encode_key

KNOWN_TOPICS = (NPC_ROSTER, LOCATIONS, PLAYER_PROFILES)

_AHEAD = 4_000
"""Records of a partition that may wait for the others."""

_FETCH_BYTES = 1024 * 1024

OnProgress = Callable[[int, int], None]


class Wanted(NamedTuple):
    """Which records. Times in seconds since the epoch, None: no bound.

    As Kafka finds times: from the first record of `since` or later on, up to the first of `until`
    or later, which is left out.


    `offsets`: by partition, the first and the first left out; None: all partitions, by time.
    """

    topic: str
    since: float | None = None
    until: float | None = None
    npc_id: str | None = None
    offsets: Mapping[int, tuple[int, int]] | None = None


async def known_records(connection: KafkaConnection) -> AsyncIterator[Stored]:
    """The roster, the locations and the profiles as they stand now; the newest of a key is last."""
    for name in KNOWN_TOPICS:
        async for record in records(connection, name):
            yield _stored(name, record.partition, record)


async def stretch(
    connection: KafkaConnection, wanted: Wanted, on_progress: OnProgress
) -> AsyncIterator[list[Stored]]:
    """The records wanted, in order. A Failure where the topic cannot be read to its end."""
    consumer = AIOKafkaConsumer(
        connection.topic(wanted.topic),
        **connection.client_options(),
        group_id=None,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=max(_FETCH_BYTES, DEAD_LETTER_LIMIT),
        fetch_max_bytes=8 * _FETCH_BYTES,
    )
    await consumer.start()
    hand_over_as_parsed(consumer)
    try:
        reader = _Reader(consumer, connection.topic(wanted.topic), wanted)
        await reader.begin()
        while not reader.is_done:
            batch = await reader.next()
            on_progress(reader.done, reader.total)
            yield batch
    finally:
        await consumer.stop()


class _Reader:
    def __init__(self, consumer: Any, topic: str, wanted: Wanted) -> None:
        self._consumer, self._topic, self._wanted = consumer, topic, wanted
        self._key = None if wanted.npc_id is None else encode_key(wanted.npc_id)
        self._ends: dict[TopicPartition, int] = {}
        self._positions: dict[TopicPartition, int] = {}
        self._merge = Merge(set())
        self.total = self.done = 0

    @property
    def is_done(self) -> bool:
        return not self._merge.open and not any(self._merge.waiting().values())

    async def begin(self) -> None:
        partitions = self._partitions()
        self._consumer.pause(*(self._consumer.assignment() - set(partitions)))
        starts, self._ends = await self._bounds(partitions)
        for one, offset in starts.items():
            self._consumer.seek(one, offset)
        self._positions = dict(starts)
        self._merge = Merge({one.partition for one in partitions})
        self.total = sum(max(self._ends[one] - starts[one], 0) for one in partitions)
        self._close_finished()

    async def next(self) -> list[Stored]:
        hungry = [one for one in self._ends if self._is_hungry(one)]
        if hungry:
            self._take_in(await self._fetched(hungry))
        return self._merge.take()

    def _partitions(self) -> list[TopicPartition]:
        numbers = sorted(one.partition for one in self._consumer.assignment())
        if self._wanted.offsets is not None:
            numbers = [one for one in numbers if one in self._wanted.offsets]
        elif self._key is not None and numbers:
            numbers = [partition_of(self._key, numbers)]
        return [TopicPartition(self._topic, one) for one in numbers]

    async def _bounds(
        self, partitions: list[TopicPartition]
    ) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
        first = await self._consumer.beginning_offsets(partitions)
        last = await self._consumer.end_offsets(partitions)
        if self._wanted.offsets is not None:
            asked = self._wanted.offsets
            first = {one: max(first[one], asked[one.partition][0]) for one in partitions}
            last = {one: min(last[one], asked[one.partition][1]) for one in partitions}
            return first, last
        since, until = self._wanted.since, self._wanted.until
        bounds = last
        if until is not None:
            bounds = await self._first_of(until, last)
        if since is not None:
            first = await self._first_of(since, last)
        return first, bounds

    async def _first_of(
        self, time: float, ends: dict[TopicPartition, int]
    ) -> dict[TopicPartition, int]:
        """Where the records of some time begin; the end where there are none."""
        asked = dict.fromkeys(ends, max(int(time * 1000), 0))
        found = await self._consumer.offsets_for_times(asked) if asked else {}
        return {one: found[one].offset if found.get(one) else end for one, end in ends.items()}

    def _is_hungry(self, one: TopicPartition) -> bool:
        is_open = one.partition in self._merge.open
        return is_open and self._merge.waiting().get(one.partition, 0) < _AHEAD

    async def _fetched(self, partitions: list[TopicPartition]) -> dict[TopicPartition, list[Any]]:
        try:
            async with asyncio.timeout(SILENCE):
                while True:
                    found = await self._consumer.getmany(*partitions, timeout_ms=500)
                    await self._look_where_we_are(partitions)
                    self._close_finished()
                    if found or not all(map(self._is_hungry, partitions)):
                        return dict(found)
        except TimeoutError:
            raise Failure(f"{self._topic} could not be read to its end.") from None

    async def _look_where_we_are(self, partitions: list[TopicPartition]) -> None:
        """Compaction and transactions leave offsets without a record."""
        for one in partitions:
            position = await self._consumer.position(one)
            self.done += max(min(position, self._ends[one]) - self._positions[one], 0)
            self._positions[one] = position

    def _take_in(self, found: Mapping[TopicPartition, list[Any]]) -> None:
        for one, fetched in found.items():
            end = self._ends[one]
            wanted = [each for each in fetched if each.offset < end and self._is_wanted(each)]
            self._merge.add(
                one.partition, [_stored(self._wanted.topic, one.partition, each) for each in wanted]
            )

    def _is_wanted(self, record: Any) -> bool:
        return self._key is None or record.key == self._key

    def _close_finished(self) -> None:
        for one, end in self._ends.items():
            if self._positions[one] >= end:
                self._merge.close(one.partition)


def _stored(name: str, partition: int, record: Any) -> Stored:
    return Stored(
        name,
        partition,
        record.offset,
        record.timestamp,
        record.key,
        record.value,
        tuple(record.headers),
    )
