"""A role's agent on stand-ins: no broker, nothing started; what it sends is written down."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from faust.types import TP

from streams.broadcast import Entry
from streams.metrics import Metrics
from streams.settings import Settings
from streams.topology import Role, new_app
from tests.streams.fakes import Broker, FakeEvent, FakeMessage, FakeTable, FakeTopic, Journal
from topics.catalogue import DEAD_LETTERS
from topics.connection import KafkaConnection
from topics.dead_letter import DeadLetter, parse_headers

PREFIX = "t-"
CONNECTION = KafkaConnection(broker="kafka://127.0.0.1:1", topic_prefix=PREFIX)
NOON = 1_795_426_413.0
TRACEPARENT = ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")


class Topics(dict[str, Any]):
    """In the place of RawTopics; makes a topic when it is asked for."""

    def __init__(self, broker: Broker) -> None:
        super().__init__()
        self._broker = broker

    def __missing__(self, name: str) -> FakeTopic:
        topic = self[name] = FakeTopic(name, self._broker)
        return topic


class Stage:
    """An agent whose topics and acks are stand-ins that share a journal."""

    def __init__(
        self, role: Role, build: Callable[..., Any], folder: Path, **settings: Any
    ) -> None:
        self.settings = Settings(data_dir=folder, **settings)
        self.metrics = Metrics()
        self.app = new_app(role, self.settings, CONNECTION, wait_empty=True)
        self.agent = build(self.app, self.settings, CONNECTION, self.metrics)
        self.journal: Journal = []
        self.broker = Broker(self.journal)
        self.topics = self.agent._topics = Topics(self.broker)
        self.app.consumer_generation_id = 1
        self.app.consumer = cast(Any, SimpleNamespace(ack=self._ack))
        self._offset = -1

    def table(self, name: str) -> FakeTable:
        return FakeTable(name, self.broker)

    def event(
        self,
        topic: str,
        key: str | None,
        value: object,
        *,
        partition: int = 3,
        timestamp: float = NOON,
        generation: int = 1,
    ) -> Any:
        """The next record of a topic; `value` as JSON unless it is bytes already."""
        self._offset += 1
        whole = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
        message = FakeMessage(
            self._offset,
            generation,
            TP(PREFIX + topic, partition),
            key.encode() if key is not None else None,
            whole,
            timestamp,
        )
        return FakeEvent(message)

    def _ack(self, message: Any) -> None:
        self.journal.append(("ack", message.partition, message.offset))

    @property
    def acked(self) -> list[int]:
        return [entry[2] for entry in self.journal if entry[0] == "ack"]

    def sent(self, name: str) -> list[Any]:
        """The values that a topic acknowledged."""
        return [e[2] for e in self.journal if e[:2] == ("acknowledged", name)]

    def sent_json(self, name: str) -> list[Any]:
        return [json.loads(value) for value in self.sent(name)]

    @property
    def dead_letters(self) -> list[tuple[bytes, DeadLetter]]:
        topic = self.topics[DEAD_LETTERS]
        return list(zip(self.sent(DEAD_LETTERS), map(parse_headers, topic.headers), strict=True))

    def count(self, metric: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"rollcall_{metric}", labels) or 0.0


def entry(name: str, key: str, value: object, at: float = NOON) -> Entry:
    """A record of a reference topic, as the broadcast tells it."""
    whole = value if value is None else json.dumps(value).encode()
    return Entry(PREFIX + name, key.encode(), whole, at)
