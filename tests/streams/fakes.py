"""Stand-ins for Faust's events, topics and tables that write down what happens to them."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any

from faust.types import TP

from streams.barrier import OrderedAcks, Taken

Journal = list[tuple[Any, ...]]
SOURCE = TP("npc-snapshots", 3)


@dataclass
class FakeMessage:
    offset: int
    generation_id: int = 1
    tp: TP = SOURCE
    key: bytes | None = b"npc-7"
    value: bytes | None = b"{}"
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
    message: FakeMessage
    journal: Journal

    def ack(self) -> bool:
        self.journal.append(("ack", self.message.partition, self.message.offset))
        return True


@dataclass
class Group:
    """A consumer group's generation, and what was acked of it."""

    generation: int = 1
    journal: Journal = field(default_factory=list)

    def acks(self) -> OrderedAcks:
        return OrderedAcks(lambda: self.generation, self._ack_offset)

    def _ack_offset(self, tp: TP, offset: int) -> None:
        self.journal.append(("ack", tp.partition, offset))

    def event(self, offset: int, partition: int = 3, generation: int | None = None) -> Any:
        number = self.generation if generation is None else generation
        return FakeEvent(FakeMessage(offset, number, TP("npc-snapshots", partition)), self.journal)

    def take(self, acks: OrderedAcks, *offsets: int, partition: int = 3) -> list[Taken]:
        return [acks.take(self.event(offset, partition)) for offset in offsets]

    def acked(self, partition: int = 3) -> list[int]:
        return [entry[2] for entry in self.journal if entry[:2] == ("ack", partition)]


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

    async def send(self, *, key: Any, value: Any, headers: Any = None) -> Awaitable[object]:
        self.headers.append(headers)
        return self.broker.take(self.name, value)


@dataclass
class FakeTable:
    name: str
    broker: Broker
    data: Any = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.data = RecordingDict(self.name, self.broker.journal)

    def send_changelog(self, partition: int | None, key: Any, value: Any) -> Awaitable[object]:
        return self.broker.take(f"{self.name}-changelog", value)


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
