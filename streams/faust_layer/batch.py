"""The records of one partition, in a row, as they were fetched."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from faust.types import TP


class Fetched(Protocol):
    """A record as the client parses it; `timestamp` in milliseconds since the epoch."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Batch:
    """The value of a message; never empty."""

    records: Sequence[Fetched]


@dataclass(slots=True)  # a frozen one takes four times as long to make
class Message:
    """One record of a batch, as agents that take records singly see it; `timestamp` in seconds."""

    tp: TP
    offset: int
    timestamp: float
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    generation_id: int

    @property
    def topic(self) -> str:
        """Its name, with the prefix."""
        return self.tp.topic

    @property
    def partition(self) -> int:
        """Its number."""
        return self.tp.partition


@dataclass(frozen=True, slots=True)
class Arrival:
    """What stands for Faust's event of a single record."""

    message: Message


def single(message: Any, record: Fetched) -> Message:
    """A record of a batch; `message`: Faust's, whose value the batch is."""
    return Message(
        message.tp,
        record.offset,
        record.timestamp / 1000,
        record.key,
        record.value,
        record.headers,
        message.generation_id,
    )
