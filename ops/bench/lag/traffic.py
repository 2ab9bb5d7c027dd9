"""A topic under load: a publisher at a steady rate on all partitions, and a group that is slower.

Both can be held between two steps: then every record sent is acknowledged and every offset
committed is on the broker, so nothing moves. The publisher keeps the time at which it sent each
record, by its own clock, and the consumer the offsets that it committed.
"""

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition

from ops.failure import Failure
from topics.connection import KafkaConnection
from topics.producer import Producer

STEP = 0.05
"""Seconds between two steps of the publisher; the consumer takes twice as long."""

PATIENCE = 60.0
_LONG_PAUSE = 1.0
_RECORD = b"x" * 200


class Traffic:
    """A publisher and a consumer that run until they are cancelled."""

    def __init__(
        self,
        producer: Producer,
        consumer: AIOKafkaConsumer,
        topic: str,
        partitions: int,
        rate: float,
        seed: int,
    ) -> None:
        self._producer, self._consumer, self._topic = producer, consumer, topic
        self._partitions, self._rate = itertools.cycle(range(partitions)), rate
        self._chance = random.Random(seed)  # noqa: S311 - a load, not a secret
        self._publishing, self._consuming = asyncio.Lock(), asyncio.Lock()
        self.sent: dict[tuple[int, int], float] = {}
        """By partition and offset, seconds since the epoch."""
        self.committed: dict[int, int] = {}
        self.is_slow = True
        """Takes four fifths of what comes, and rests now and then; otherwise all there is."""

    async def publish(self) -> None:
        """For ever, the same number of records in each step."""
        while True:
            begin = time.monotonic()
            async with self._publishing:
                await asyncio.gather(*map(self._send, self._of_a_step()))
            await asyncio.sleep(max(0.0, STEP - (time.monotonic() - begin)))

    async def consume(self) -> None:
        """For ever; what was taken is committed in the same step."""
        while True:
            async with self._consuming:
                await self._take(self._chance.randint(1, self._most()))
            await asyncio.sleep(self._pause())

    @asynccontextmanager
    async def at_rest(self) -> AsyncIterator[None]:
        """Nothing is sent and nothing committed."""
        async with self._publishing, self._consuming:
            yield

    @asynccontextmanager
    async def consumer_stopped(self) -> AsyncIterator[None]:
        """Nothing is committed, and as much sent as ever."""
        async with self._consuming:
            yield

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """A Failure where it does not come true."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                raise Failure(f"not within {PATIENCE:.0f} seconds: {what}.")
            await asyncio.sleep(STEP)

    def has_caught_up(self) -> bool:
        """Whether no more than half a second's records are sent and not committed."""
        return len(self.sent) - sum(self.committed.values()) <= self._rate / 2

    def age(self, partition: int, now: float) -> float:
        """How long the next record that is not committed has waited; 0: there is none."""
        at = self.sent.get((partition, self.committed.get(partition, 0)))
        return 0.0 if at is None else now - at

    def _of_a_step(self) -> list[int]:
        return list(itertools.islice(self._partitions, max(1, round(self._rate * STEP))))

    async def _send(self, partition: int) -> None:
        at = time.time()
        sent = await self._producer.send(self._topic, _RECORD, partition=partition)
        self.sent[partition, (await sent).offset] = at

    async def _take(self, most: int) -> None:
        fetched = await self._consumer.getmany(timeout_ms=200, max_records=most)
        done = {one: records[-1].offset + 1 for one, records in fetched.items()}
        if done:
            await self._consumer.commit(done)
            self.committed |= {one.partition: offset for one, offset in done.items()}

    def _most(self) -> int:
        """Twice the mean of a step of the consumer."""
        return max(1, round(self._rate * 2 * STEP * (1.6 if self.is_slow else 20)))

    def _pause(self) -> float:
        rests = self.is_slow and self._chance.random() < STEP
        return _LONG_PAUSE if rests else 2 * STEP


@asynccontextmanager
async def traffic(
    connection: KafkaConnection, topic: str, group: str, rate: float, seed: int
) -> AsyncIterator[Traffic]:
    """Traffic on an empty topic of ours."""
    consumer = AIOKafkaConsumer(
        topic,
        **connection.client_options(),
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    async with Producer(**connection.client_options()) as producer, consumer:
        partitions = {TopicPartition(topic, one) for one in await producer.partitions_for(topic)}
        load = Traffic(producer, consumer, topic, len(partitions), rate, seed)
        running = [asyncio.create_task(one) for one in (load.publish(), load.consume())]
        try:
            yield load
        finally:
            for task in running:
                task.cancel()
            ended = await asyncio.gather(*running, return_exceptions=True)
        for error in ended:
            if isinstance(error, Exception):
                raise error
