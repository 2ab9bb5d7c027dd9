"""Stand-ins for Faust's events, topics and tables that write down what happens to them."""

import asyncio
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

from faust.types import TP

from streams.barrier import OrderedAcks, Taken
from streams.faust_layer.batch import Batch
from streams.faust_layer.producer import Outgoing

Journal = list[tuple[Any, ...]]
SOURCE = TP("npc-snapshots", 3)


@dataclass
class FakeMessage:
    offset: int
    generation_id: int = 1
    tp: TP = SOURCE
    key: bytes | None = b"npc-7"
    value: Any = b"{}"
    timestamp: float = 0.0
    headers: list[tuple[str, bytes]] = field(default_factory=list)

    @property
    def topic(self) -> str:
        return self.tp.topic

    @property
    def partition(self) -> int:
        return self.tp.partition


@dataclass
class FakeEvent:
    message: Any


def in_a_batch(*events: Any) -> FakeEvent:
    """Single records of a partition, in a row, as a fetch would bring them."""
    records = [
        SimpleNamespace(
            partition=one.partition,
            offset=one.offset,
            timestamp=round(one.timestamp * 1000),
            key=one.key,
            value=one.value,
            headers=one.headers,
        )
        for one in (event.message for event in events)
    ]
    return FakeEvent(replace(events[-1].message, key=None, value=Batch(records)))


@dataclass
class Group:
    """A consumer group's generation, and what was acked of it."""

    generation: int = 1
    journal: Journal = field(default_factory=list)
    made: set[tuple[int, int]] = field(default_factory=set)
    """Partition and offset of every record there was."""

    def acks(self) -> OrderedAcks:
        return OrderedAcks(lambda: self.generation, self._ack_offset)

    def _ack_offset(self, tp: TP, offset: int) -> None:
        self.journal.append(("ack", tp.partition, offset))

    def event(self, offset: int, partition: int = 3, generation: int | None = None) -> Any:
        number = self.generation if generation is None else generation
        self.made.add((partition, offset))
        return FakeEvent(FakeMessage(offset, number, TP("npc-snapshots", partition)))

    def take(self, acks: OrderedAcks, *offsets: int, partition: int = 3) -> list[Taken]:
        return [acks.take(self.event(offset, partition)) for offset in offsets]

    def acked(self, partition: int = 3) -> list[int]:
        """An ack is of everything up to its offset."""
        last = max([e[2] for e in self.journal if e[:2] == ("ack", partition)], default=-1)
        return sorted(
            offset for place, offset in self.made if place == partition and offset <= last
        )


@dataclass
class Broker:
    """Acknowledges what is handed over, a turn of the loop later; refuses what it is told to."""

    journal: Journal
    refused: set[str] = field(default_factory=set)

    def take(self, *what: Any) -> Awaitable[object]:
        self.journal.append(("handed over", *what))
        delivery = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.001, self._answer, delivery, what)
        return delivery

    def _answer(self, delivery: "asyncio.Future[object]", what: tuple[Any, ...]) -> None:
        if what[0] in self.refused:
            self.journal.append(("refused", *what))
            delivery.set_exception(ConnectionError("the broker is away"))
        else:
            self.journal.append(("acknowledged", *what))
            delivery.set_result(object())


@dataclass
class FakeTopic:
    name: str
    broker: Broker
    headers: list[Any] = field(default_factory=list)

    async def send_many(self, records: Iterable[Outgoing]) -> list[Awaitable[object]]:
        return [self._sent(one) for one in records]

    def _sent(self, one: Outgoing) -> Awaitable[object]:
        self.headers.append(list(one.headers))
        return self.broker.take(self.name, one.value)


@dataclass
class FakeTable:
    name: str
    broker: Broker
    data: Any = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.data = RecordingDict(self.name, self.broker.journal)

    async def send_changelogs(
        self, changes: Iterable[tuple[int, bytes, bytes | None]]
    ) -> list[Awaitable[object]]:
        return [self.broker.take(f"{self.name}-changelog", value) for _, _, value in changes]


class RecordingDict(dict[bytes, bytes]):
    def __init__(self, name: str, journal: Journal) -> None:
        super().__init__()
        self._name, self._journal = name, journal

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self._journal.append(("stored", self._name, value))
        super().__setitem__(key, value)

    def pop(self, key: bytes, *default: Any) -> Any:
        self._journal.append(("stored", self._name, None))
        return super().pop(key, *default)
