"""A compacted topic that every worker holds whole: roster, locations, profiles.

Complete before the first decision (`ready`), live within a fetch from then on. Each worker reads
all partitions itself, outside of the consumer group; a GlobalTable of Faust is neither complete at
start nor kept over a rebalance (docs/decisions/0003).
"""

import asyncio
import gc
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from topics.connection import KafkaConnection

log = structlog.get_logger()

_FETCH_BYTES = 256 * 1024
"""Bytes fetched of a partition at a time: what is fetched of all of them stands in memory."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One record of a broadcast topic. `value` None deletes; `timestamp` in seconds."""

    topic: str
    key: bytes | None
    value: bytes | None
    timestamp: float


@contextmanager
def lasting() -> Iterator[None]:
    """What is made meanwhile stays: the cycle collector looks through none of it, now or later.

    Every record makes objects, none of them garbage, and the collector would look through all that
    stand again and again: a quarter of the time that a large roster takes.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


Apply = Callable[[Entry], None]


class Broadcast:
    """Feeds every record of some compacted topics, old and new, to `apply`."""

    def __init__(self, connection: KafkaConnection, topics: Iterable[str], apply: Apply) -> None:
        self._connection = connection
        self._topics = tuple(topics)
        self._apply = apply
        self._ready = asyncio.Event()
        self._follower: asyncio.Task[None] | None = None
        # What came in while something is recalled: newer than anything that is recalled.
        self._heard: set[tuple[str, bytes | None]] | None = None

    @property
    def is_ready(self) -> bool:
        """Whether all that stood on the topics has been applied."""
        return self._ready.is_set()

    async def start(self) -> None:
        """Begin to read; returns once all that stood on the topics has been applied.

        May be called again: it waits for the same reading.
        """
        if self.is_ready:
            return
        if self._follower is None:
            self._follower = asyncio.create_task(self._follow(), name="broadcast")
        waiting = asyncio.create_task(self._ready.wait())
        with lasting():
            await asyncio.wait({waiting, self._follower}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self._follower.done():
            self._follower.result()

    async def stop(self) -> None:
        """Stop reading."""
        if self._follower:
            self._follower.cancel()
            with suppress(asyncio.CancelledError, KafkaError):
                await self._follower

    async def failed(self) -> None:
        """Wait for the reader to fail; raises what it failed with."""
        if self._follower:
            await asyncio.shield(self._follower)

    async def recall(self, topic: str, keys: set[bytes]) -> None:
        """Apply once more the records of these keys, reading the topic from its beginning."""
        heard = self._heard = set()
        try:
            async with self._consumer() as consumer:
                ends = await self._assign(consumer, (topic,))
                await self._read_to(
                    consumer, ends, lambda e: e.key in keys and (topic, e.key) not in heard
                )
        finally:
            self._heard = None

    def _consumer(self) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            **self._connection.client_options(),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=_FETCH_BYTES,
        )

    async def _follow(self) -> None:
        async with self._consumer() as consumer:
            ends = await self._assign(consumer, self._topics)
            await self._read_to(consumer, ends, lambda _: True)
            self._ready.set()
            log.info("broadcast_ready", topics=self._topics, records=sum(ends.values()))
            async for record in consumer:
                self._take(record, self._hear)

    def _hear(self, entry: Entry) -> bool:
        if self._heard is not None:
            self._heard.add((entry.topic, entry.key))
        return True

    async def _assign(
        self, consumer: AIOKafkaConsumer, topics: Iterable[str]
    ) -> dict[TopicPartition, int]:
        """Start at the beginning of every partition; the end of each.

        The end is asked for first: behind a fetch the answer would wait for half a second.
        """
        partitions = [
            TopicPartition(topic, number)
            for topic in topics
            for number in await _partitions(consumer, topic)
        ]
        ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
        consumer.assign(partitions)
        return ends

    async def _read_to(
        self,
        consumer: AIOKafkaConsumer,
        ends: dict[TopicPartition, int],
        wanted: Callable[[Entry], bool],
    ) -> None:
        behind = {tp for tp, end in ends.items() if end}
        while behind:
            fetched = await consumer.getmany(timeout_ms=200)
            for records in fetched.values():
                for record in records:
                    self._take(record, wanted)
            behind = {tp for tp in behind if await consumer.position(tp) < ends[tp]}

    def _take(self, record: object, wanted: Callable[[Entry], bool]) -> None:
        entry = Entry(record.topic, record.key, record.value, record.timestamp / 1000)  # type: ignore[attr-defined]
        if wanted(entry):
            self._apply(entry)


async def _partitions(consumer: AIOKafkaConsumer, topic: str) -> set[int]:
    """The partitions of a topic; refreshes what the client knows of it first."""
    await consumer._client.add_topic(topic)  # noqa: SLF001 - the only way to ask without a group
    found: set[int] | None = consumer.partitions_for_topic(topic)
    if not found:
        message = f"topic {topic} does not exist: run `rollcall topics apply`"
        raise LookupError(message)
    return found
