"""A stretch sent into a topic once more, at a speed, each record marked as a replay.

Key, value and headers stay as they were, beside two headers more:

    rollcall-replay       topic/partition@offset that the record is from, UTF-8
    rollcall-replayed-at  when it was sent, ISO 8601

With `now` the times in the values move along, so that the first snapshot is of this moment: a
filter that has seen newer ones would hold the old times for outdated. Then a value is written
anew as JSON; one that has no time, or cannot be read, is sent as it is.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiokafka.errors import KafkaError

from ops.failure import Failure, first_line
from ops.moment import iso
from ops.replay.stored import Headers, Stored
from topics.connection import KafkaConnection
from topics.producer import Producer

MARK = "rollcall-replay"
MARKED_AT = "rollcall-replayed-at"

IN_FLIGHT = 2000
"""Records that wait for the broker's answer."""

TIMES = ("observed_at", "timestamp")
"""Where the topics' values have the game's time, in seconds."""

Sleep = Callable[[float], Any]


@dataclass(slots=True)
class Pace:
    """When each record is due. `speed`: times real time, None: at once."""

    speed: float | None
    clock: Callable[[], float] = time.monotonic
    sleep: Sleep = asyncio.sleep
    _begin: tuple[float, int] | None = field(default=None)

    async def wait(self, timestamp: int) -> None:
        """Until a record of that time (ms) is due, counted from the first one."""
        if self.speed is None:
            return
        if self._begin is None:
            self._begin = (self.clock(), timestamp)
        started, first = self._begin
        due = started + (timestamp - first) / 1000 / self.speed
        await self.sleep(max(due - self.clock(), 0.0))


@dataclass(slots=True)
class Shift:
    """Moves the times in values by as much as the first of them is old."""

    now: Callable[[], float] = time.time
    _by: float | None = None

    def moved(self, record: Stored) -> bytes | None:
        """The value with later times."""
        if record.value is None:
            return None
        try:
            told = orjson.loads(record.value)
        except orjson.JSONDecodeError:
            return record.value
        return self._later(told) if isinstance(told, dict) else record.value

    def _later(self, told: dict[str, Any]) -> bytes:
        for name in TIMES:
            at = told.get(name)
            if isinstance(at, int | float) and not isinstance(at, bool):
                told[name] = round(self._later_than(at), 3)
        return orjson.dumps(told)

    def _later_than(self, at: float) -> float:
        if self._by is None:
            self._by = self.now() - at
        return at + self._by


async def republish(
    connection: KafkaConnection,
    batches: AsyncIterator[list[Stored]],
    topic: str,
    pace: Pace,
    shift: Shift | None = None,
    on_sent: Callable[[int], None] = lambda _sent: None,
) -> int:
    """Sends all records into a topic; how many. Raises Failure at the first that is not taken.

    `topic`: as the broker has it. A record keeps its partition's order, since its key is kept; one
    without a key may go to another partition.
    """
    producer = Producer(**connection.client_options(), linger_ms=5, enable_idempotence=True)
    await producer.start()
    try:
        return await _send_all(producer, batches, topic, pace, shift, on_sent)
    except KafkaError as error:
        raise Failure(f"{topic} did not take a record: {first_line(error)}.") from error
    finally:
        await producer.stop()


async def _send_all(
    producer: Any,
    batches: AsyncIterator[list[Stored]],
    topic: str,
    pace: Pace,
    shift: Shift | None,
    on_sent: Callable[[int], None],
) -> int:
    waiting: list[Any] = []
    sent = 0
    async for batch in batches:
        for record in batch:
            await pace.wait(record.timestamp)
            value = shift.moved(record) if shift else record.value
            headers = list(marked(record, time.time()))
            waiting.append(await producer.send(topic, value, record.key, headers=headers))
            if len(waiting) >= IN_FLIGHT:
                sent += await _answered(waiting)
        on_sent(sent)
    return sent + await _answered(waiting)


async def _answered(waiting: list[Any]) -> int:
    count = len(waiting)
    await asyncio.gather(*waiting)
    waiting.clear()
    return count


def marked(record: Stored, at: float) -> Headers:
    """The headers of a record that is sent again; older marks give way."""
    kept = tuple(each for each in record.headers if each[0] not in (MARK, MARKED_AT))
    origin = f"{record.topic}/{record.partition}@{record.offset}"
    return (*kept, (MARK, origin.encode()), (MARKED_AT, iso(at).encode()))
