"""Samples of consumer lag from the broker. Joins no group, commits nothing.

Lag in seconds is the age of the next record that a group has not finished: that record is read for
its timestamp, so that a quiet topic or a burst does not make an estimate of it. A record that has
been compacted away stands aside for the next that is there.
"""

import asyncio
import fnmatch
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from ops.failure import Failure
from ops.lag.verdict import Sample
from ops.tables import admin_client, members_of
from streams.topology import Role, group_id
from topics.catalogue import NPC_SNAPSHOTS, NPC_UPDATE_COMMANDS, WORLD_SNAPSHOTS
from topics.connection import KafkaConnection

INPUT = {
    Role.SPLITTER: WORLD_SNAPSHOTS,
    Role.FILTER: NPC_SNAPSHOTS,
    Role.WRITER: NPC_UPDATE_COMMANDS,
}
"""What each role reads, in the order in which records pass."""

_READING = 5.0
"""Seconds in which the next records have to be there; a lag in seconds is left out otherwise."""
_FETCH = 16 * 1024


class Position(NamedTuple):
    """A group on a partition, now."""

    group: str
    topic: str
    partition: int
    sample: Sample
    seconds: float | None
    """Age of the next record not finished, 0: there is none; None: no commit, or not to be had."""
    members: int


def matching(names: Iterable[str], pattern: str, prefix: str) -> set[str]:
    """The names that a pattern fits, with the prefix of this game or without it."""
    both = {name: (name, name.removeprefix(prefix)) for name in names}
    return {name for name, forms in both.items() if fnmatch.filter(forms, pattern)}


@dataclass(frozen=True, slots=True)
class LagReader:
    """Asks the broker through open clients."""

    connection: KafkaConnection
    admin: Any
    consumer: AIOKafkaConsumer

    def own_groups(self) -> dict[str, list[str]]:
        """The groups of rollcall's roles and the topic of each."""
        prefix = self.connection.topic_prefix
        return {group_id(role, prefix): [self.connection.topic(INPUT[role])] for role in INPUT}

    async def named_groups(self, patterns: Collection[str]) -> dict[str, list[str]]:
        """Those on the broker that a pattern (`*`, `?`) fits. A Failure where one fits none."""
        names = sorted(name for name, *_ in await self.admin.list_consumer_groups())
        prefix = self.connection.topic_prefix
        found = {pattern: matching(names, pattern, prefix) for pattern in patterns}
        for pattern, some in found.items():
            if not some:
                raise Failure(f"the broker knows no consumer group {pattern!r}.")
        return {name: [] for name in names if any(name in some for some in found.values())}

    async def read(self, groups: Mapping[str, list[str]]) -> list[Position]:
        """Where these groups stand, on the topics given for them and wherever they committed."""
        there = set(await self.admin.list_topics())
        committed = {group: await self._committed(group, groups[group], there) for group in groups}
        partitions = sorted({one for offsets in committed.values() for one in offsets})
        starts = await self.consumer.beginning_offsets(partitions) if partitions else {}
        ends = await self.consumer.end_offsets(partitions) if partitions else {}
        now = time.time()
        samples = {
            (group, one): Sample(now, offset, ends[one], starts[one])
            for group, offsets in committed.items()
            for one, offset in offsets.items()
        }
        ages = await self._ages(samples)
        members = {group: await members_of(self.admin, group) for group in groups}
        return [
            Position(
                group, one.topic, one.partition, sample, ages.get((group, one)), members[group]
            )
            for (group, one), sample in sorted(samples.items())
        ]

    async def _committed(
        self, group: str, topics: Iterable[str], there: Collection[str]
    ) -> dict[TopicPartition, int | None]:
        offsets: dict[TopicPartition, int | None] = {}
        for topic in topics:
            if topic in there:
                offsets |= dict.fromkeys(await self._partitions(topic))
        for one, found in (await self.admin.list_consumer_group_offsets(group)).items():
            if one.topic in there:
                offsets[one] = found.offset if found.offset >= 0 else None
        return offsets

    async def _partitions(self, topic: str) -> list[TopicPartition]:
        [found] = await self.admin.describe_topics([topic])
        return [TopicPartition(topic, one["partition"]) for one in found["partitions"]]

    async def _ages(
        self, samples: Mapping[tuple[str, TopicPartition], Sample]
    ) -> dict[tuple[str, TopicPartition], float]:
        """By group and partition; two groups at different places are read one after the other."""
        ages = {where: 0.0 for where, sample in samples.items() if sample.lag == 0}
        wanted: defaultdict[TopicPartition, set[int]] = defaultdict(set)
        for (_, one), sample in samples.items():
            if sample.lag:
                wanted[one].add(_next_of(sample))
        times: dict[tuple[TopicPartition, int], float] = {}
        while wanted:
            offsets = {one: places.pop() for one, places in wanted.items()}
            times |= await self._times(offsets)
            wanted = defaultdict(set, {one: places for one, places in wanted.items() if places})
        now = time.time()
        for where, sample in samples.items():
            if sample.lag and (found := times.get((where[1], _next_of(sample)))) is not None:
                ages[where] = max(now - found, 0.0)
        return ages

    async def _times(
        self, offsets: Mapping[TopicPartition, int]
    ) -> dict[tuple[TopicPartition, int], float]:
        """When the next record at or after each offset was made, seconds since the epoch."""
        self.consumer.assign(list(offsets))
        for one, offset in offsets.items():
            self.consumer.seek(one, offset)
        times: dict[tuple[TopicPartition, int], float] = {}
        left = set(offsets)
        try:
            async with asyncio.timeout(_READING):
                while left:
                    fetched = await self.consumer.getmany(*left, timeout_ms=500)
                    for one, records in fetched.items():
                        times[one, offsets[one]] = records[0].timestamp / 1000
                        left.discard(one)
        except TimeoutError:
            pass  # nothing but markers of transactions there, or a broker that is slow
        return times


def _next_of(sample: Sample) -> int:
    return max(sample.committed or 0, sample.start)


@asynccontextmanager
async def lag_reader(connection: KafkaConnection) -> AsyncIterator[LagReader]:
    """A reader with clients of its own."""
    async with admin_client(connection) as admin:
        consumer = AIOKafkaConsumer(
            **connection.client_options(),
            group_id=None,
            enable_auto_commit=False,
            max_partition_fetch_bytes=_FETCH,
        )
        try:
            await consumer.start()
            yield LagReader(connection, admin, consumer)
        finally:
            await consumer.stop()
