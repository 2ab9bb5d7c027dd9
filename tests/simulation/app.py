"""Faust as the two agents see it, on the simulated broker: topics, tables, streams, signals.

Only what `FilterAgent` and `WriterAgent` use is here. Anything else they come to use fails loudly.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from faust.types import TP

from streams.broadcast import Entry
from streams.faust_layer.batch import Batch
from streams.faust_layer.producer import Outgoing
from tests.simulation.kafka import PARTITIONS, Group, Record, partition_of

if TYPE_CHECKING:
    from tests.simulation.process import Process

COMMIT_SECONDS = 1.0


class App:
    """What the agents take for their Faust app."""

    def __init__(self, process: Process, group: Group) -> None:
        self.process, self.group = process, group
        self.agents: dict[str, Callable[[Any], Awaitable[None]]] = {}
        self.tasks: list[Callable[[], Any]] = []
        self.tables: list[Table] = []
        self.on_partitions_revoked = Signal()
        self.on_before_shutdown = Signal()

    def topic(self, name: str, **_: Any) -> Topic:
        return Topic(self.process, name)

    def agent(self, topic: Topic, name: str) -> Callable[[Any], Any]:
        def add(agent: Any) -> Any:
            self.agents[topic.name] = agent
            return agent

        return add

    def task(self, work: Any) -> Any:
        self.tasks.append(work)
        return work

    def Table(self, name: str, **_: Any) -> Table:  # noqa: N802 - Faust's name
        table = Table(self.process, f"{self.group.topic}-{name}")
        self.tables.append(table)
        return table

    @property
    def consumer_generation_id(self) -> int:
        return self.process.consumer.generation

    @property
    def consumer(self) -> Consumer:
        return self.process.consumer

    @property
    def assignor(self) -> App:
        return self

    def assigned_actives(self) -> set[TP]:
        owned = self.process.consumer.owned
        return {TP(table.changelog, p) for table in self.tables for p in owned}


class Signal:
    """Faust's, as far as `connect` and `send` go."""

    def __init__(self) -> None:
        self.receivers: list[Callable[..., Awaitable[None]]] = []

    def connect(self, receiver: Any, weak: bool = True) -> None:
        self.receivers.append(receiver)

    def send(self) -> None:
        """For receivers that wait for nothing."""
        for receive in self.receivers:
            try:
                receive().send(None)  # type: ignore[attr-defined]
            except StopIteration:
                continue


class Topic:
    """A topic to send to."""

    def __init__(self, process: Process, name: str) -> None:
        self.process, self.name = process, name

    async def send_many(self, records: Iterable[Outgoing]) -> list[Awaitable[None]]:
        return [self._send(one) for one in records]

    def _send(self, one: Outgoing) -> Awaitable[None]:
        self.process.step(f"sends {self.name}")
        sent: Awaitable[None] = self.process.world.broker.produce(
            self.process, self.name, one.key, one.value, partition_of(one.key)
        )
        return sent


class Table:
    """A changelog-backed table in memory. As in Faust it keeps what it no longer owns."""

    def __init__(self, process: Process, name: str) -> None:
        self.process, self.name = process, name
        self.changelog = f"{name}-changelog"
        self.changelog_topic = SimpleNamespace(get_topic_name=lambda: self.changelog)
        self.data: dict[bytes, bytes] = {}
        self.recovered: list[Callable[[], Awaitable[None]]] = []

    def on_recover(self, do: Callable[[], Awaitable[None]]) -> Any:
        self.recovered.append(do)
        return do

    async def send_changelogs(
        self, changes: Iterable[tuple[int, bytes, bytes | None]]
    ) -> list[Any]:
        return [self._send(*change) for change in changes]

    def _send(self, partition: int, key: bytes, value: bytes | None) -> Any:
        self.process.step(f"sends {self.changelog}")
        self.process.world.letta.shelf.sent(self.process, self.changelog, key, value)
        broker = self.process.world.broker
        return broker.produce(self.process, self.changelog, key, value, partition)

    def recover(self, partitions: list[int]) -> None:
        log = self.process.world.broker.log(self.changelog)
        for partition in partitions:
            for record in log.partitions[partition]:
                assert record.key is not None
                if record.value is None:
                    self.data.pop(record.key, None)
                else:
                    self.data[record.key] = record.value


class Event:
    """One record in an agent's hands: a batch of one."""

    __slots__ = ("message",)

    def __init__(self, consumer: Consumer, record: Record, generation: int) -> None:
        topic, at = consumer.group.topic, record.timestamp + consumer.process.world.epoch
        fetched = SimpleNamespace(
            partition=record.partition,
            offset=record.offset,
            timestamp=at * 1000,
            key=record.key,
            value=record.value,
            headers=[],
        )
        self.message = SimpleNamespace(
            topic=topic,
            partition=record.partition,
            offset=record.offset,
            value=Batch([fetched]),
            timestamp=at,
            tp=TP(topic, record.partition),
            generation_id=generation,
        )


class Consumer:
    """A member of a group: fetches, hands out, acks, commits."""

    def __init__(self, process: Process, group: Group) -> None:
        self.process, self.group = process, group
        self.generation = 0
        self.owned: list[int] = []
        self.is_settled = False
        """The group has told its partitions, and the tables stand."""
        self.acked: dict[int, int] = {}
        self.handed_out: dict[int, int] = {}
        self._positions: dict[int, int] = {}
        self._buffer: deque[Event] = deque()
        self._waiting: Any = None
        process.world.broker.log(group.topic).watchers.append(self._appended)

    # as a stream

    def noack(self) -> Consumer:
        return self

    def events(self) -> Consumer:
        return self

    def __aiter__(self) -> Consumer:
        return self

    async def __anext__(self) -> Event:
        while not self._buffer:
            self._waiting = self.process.node.create_future()
            await self._waiting
        event = self._buffer.popleft()
        message = event.message
        self.handed_out[message.partition] = message.offset
        self.process.step(f"takes {message.topic}[{message.partition}] @{message.offset}")
        return event

    # in a group

    def assign(self, generation: int, partitions: list[int]) -> None:
        """A rebalance: everything is taken away, recovered and given back."""
        self.revoke(generation)
        self.process.say(f"is given {partitions} in generation {generation}")
        delay = self.process.world.random.uniform(0.02, 0.3)
        self.process.world.timeline.after(delay, self._recover, generation, partitions)

    def revoke(self, generation: int) -> None:
        """Nothing is ours any more; what is in work goes on."""
        if self.process.node.is_dead:
            return
        self.process.on_node(self.process.app.on_partitions_revoked.send)
        self.generation, self.owned, self._positions = generation, [], {}
        self.acked, self.handed_out, self.is_settled = {}, {}, False
        self._buffer.clear()

    def is_idle(self) -> bool:
        """Whether everything that was handed out is acked, as `stream_wait_empty` asks."""
        return self.acked == self.handed_out

    def _recover(self, generation: int, partitions: list[int]) -> None:
        if self.process.node.is_dead or generation != self.generation:
            return
        self.owned, self.is_settled = partitions, True
        for table in self.process.app.tables:
            table.recover(partitions)
            for recovered in table.recovered:
                self.process.node.begin(recovered)
        self._positions = {p: self.group.committed.get(p, 0) for p in partitions}
        self.process.say(f"recovered, seeks {self._positions}")
        self._fetch()

    def _appended(self, record: Record) -> None:
        if record.partition in self._positions and not self.process.node.is_dead:
            delay = self.process.world.random.uniform(0.001, 0.1)
            self.process.world.timeline.after(delay, self._fetch)

    def _fetch(self) -> None:
        if self.process.node.is_dead:
            return
        log = self.process.world.broker.log(self.group.topic)
        for partition, position in self._positions.items():
            for record in log.partitions[partition][position:]:
                self._buffer.append(Event(self, record, self.generation))
            self._positions[partition] = len(log.partitions[partition])
        if self._buffer and self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def ack(self, message: Any) -> None:
        self.process.step(f"acks {message.topic}[{message.partition}] @{message.offset}")
        newest = self.acked.get(message.partition, -1)
        self.acked[message.partition] = max(newest, message.offset)

    def commit(self) -> None:
        """Commits what was acked; also what Faust's commit skips over."""
        if self.process.node.is_dead or not self.acked:
            return
        if self.process.survives("commits"):
            self.hand_in()

    def hand_in(self) -> None:
        if not self.group.commit(self.generation, self.acked):
            self.process.world.trace.counts["commits refused"] += 1

    def keep_committing(self) -> None:
        if not self.process.node.is_dead:
            self.commit()
            self.process.world.timeline.after(COMMIT_SECONDS, self.keep_committing)


class Broadcast:
    """A compacted topic that every process holds whole: complete at first, then a little late."""

    def __init__(self, process: Process, real: Any) -> None:
        self._process = process
        self._topics: tuple[str, ...] = real._topics
        self._apply: Callable[[Entry], None] = real._apply

    async def start(self) -> None:
        self._process.step("reads the reference topics")
        for topic in self._topics:
            for record in self._records(topic):
                self._apply(self._entry(topic, record))
            self._process.world.broker.log(topic).watchers.append(self._follow(topic))

    async def failed(self) -> None:
        await self._process.node.create_future()

    async def recall(self, topic: str, keys: set[bytes]) -> None:
        for record in self._records(topic):
            if record.key in keys:
                self._apply(self._entry(topic, record))

    async def stop(self) -> None:
        return None

    def _records(self, topic: str) -> list[Record]:
        partitions = self._process.world.broker.log(topic).partitions
        return [record for partition in range(PARTITIONS) for record in partitions[partition]]

    def _follow(self, topic: str) -> Callable[[Record], None]:
        last = 0.0

        def follow(record: Record) -> None:
            nonlocal last
            world = self._process.world
            last = max(last, world.timeline.now + world.random.uniform(0.01, 0.6))
            world.timeline.after(last - world.timeline.now, self._hear, topic, record)

        return follow

    def _hear(self, topic: str, record: Record) -> None:
        if not self._process.node.is_dead:
            self._process.on_node(lambda: self._apply(self._entry(topic, record)))

    def _entry(self, topic: str, record: Record) -> Entry:
        at = record.timestamp + self._process.world.epoch
        return Entry(topic, record.key, record.value, at)
