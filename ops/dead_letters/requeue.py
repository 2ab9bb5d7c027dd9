"""Sends dead letters back to where they came from, and marks each once its record is safe.

1. Letters go in the order in which they failed. One with the key of another waits until that is
   acknowledged, so a failure never lets a later record of a key overtake an earlier one.
2. A mark is sent after the broker has acknowledged the record. A crash in between leaves the letter
   unmarked: it is sent again, which every reader of our topics takes; it is never lost.
3. The first record that the broker does not take ends the work.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka.errors import KafkaError

from ops.dead_letters.letter import REQUEUED_FROM, Fate, Letter, LetterId, Told, mark_headers
from ops.dead_letters.mailbox import Mailbox
from ops.dead_letters.verdict import (
    Attempt,
    Newest,
    RefusedError,
    attempt,
    demand_newest,
    demand_readable,
    keeps_last_only,
    target,
)
from ops.failure import Failure, first_line
from topics.catalogue import DEAD_LETTER_LIMIT, DEAD_LETTERS, Topic
from topics.connection import KafkaConnection
from topics.producer import Producer

WAVE = 200
"""Letters under way at once, each of a key of its own."""

WAVE_BYTES = 8 * 1024 * 1024
"""Bytes under way at once."""

SEND_TIMEOUT_MS = 30_000


Tell = Callable[[Told], None]
Edit = Callable[[Letter], bytes | None]
"""The value to send for a letter; None where nobody changed it, and it is left alone."""


@dataclass(frozen=True, slots=True)
class Rules:
    """`force`: send what would be refused again; `again`: also what was requeued before."""

    force: bool = False
    again: bool = False
    dry_run: bool = False
    max_clock_ahead: float = 300.0


class Requeue:
    """One run over some letters. `now`: seconds since the epoch; `tell` hears of each letter."""

    def __init__(
        self, connection: KafkaConnection, rules: Rules, tell: Tell, now: Callable[[], float]
    ) -> None:
        self._connection = connection
        self._rules = rules
        self._tell = tell
        self._now = now
        self._mailbox = Mailbox(connection)
        self._newest: dict[str, Mapping[tuple[int | None, bytes], Newest]] = {}

    async def run(
        self,
        letters: AsyncIterator[Letter],
        marks: Collection[LetterId],
        edit: Edit | None = None,
    ) -> None:
        """Send the letters that may go. Each of a partition must come after the older ones."""
        attempts = self._attempts(letters, marks, edit)
        if self._rules.dry_run:
            async for one in attempts:
                self._tell(Told(one.letter, Fate.WOULD_SEND, one.topic))
            return
        async with producer_for(self._connection) as producer:
            async for wave in waves(attempts):
                await self._send(producer, wave)

    async def _attempts(
        self, letters: AsyncIterator[Letter], marks: Collection[LetterId], edit: Edit | None
    ) -> AsyncIterator[Attempt]:
        async for letter in letters:
            if letter.id in marks and not self._rules.again:
                self._tell(Told(letter, Fate.MARKED, "--again sends it once more"))
                continue
            try:
                found = await self._attempt(letter, edit)
            except RefusedError as error:
                self._tell(Told(letter, Fate.REFUSED, str(error)))
                continue
            if found:
                yield found

    async def _attempt(self, letter: Letter, edit: Edit | None) -> Attempt | None:
        topic = target(letter, self._connection.topic_prefix)
        value = edit(letter) if edit else letter.value
        if edit and value is None:
            self._tell(Told(letter, Fate.UNCHANGED, "it stays a dead letter"))
            return None
        found = attempt(letter, topic, value, self._now())
        if not self._rules.force:
            demand_readable(found, topic, self._rules.max_clock_ahead)
            demand_newest(letter, await self._newest_of(letter, topic))
        return found

    async def _newest_of(self, letter: Letter, topic: Topic) -> Newest | None:
        if letter.key is None or not keeps_last_only(topic):
            return None
        if topic.name not in self._newest:
            self._newest[topic.name] = await self._mailbox.newest(topic.name)
        return self._newest[topic.name].get((letter.why.partition, letter.key))

    async def _send(self, producer: Any, wave: Iterable[Attempt]) -> None:
        wave = list(wave)
        answers = await _answers(_record(producer, one) for one in wave)
        taken = [
            (one, _place(answer))
            for one, answer in zip(wave, answers, strict=True)
            if not isinstance(answer, KafkaError)
        ]
        topic = self._connection.topic(DEAD_LETTERS)
        marked = await _answers(_marked(producer, topic, one, to) for one, to in taken)
        for one, to in taken:
            self._tell(Told(one.letter, Fate.SENT, to))
        self._give_up_on_first(wave, answers, "it was not sent")
        self._give_up_on_first([one for one, _ in taken], marked, "sent, but not marked as such")

    def _give_up_on_first(
        self, wave: Iterable[Attempt], answers: Iterable[object], what: str
    ) -> None:
        for one, answer in zip(wave, answers, strict=True):
            if isinstance(answer, KafkaError):
                self._tell(Told(one.letter, Fate.FAILED, f"{what}: {first_line(answer)}"))
                raise Failure(f"Kafka did not take {one.letter.id}; nothing after it was sent.")


def producer_for(connection: KafkaConnection) -> Producer:
    """A producer whose retries neither repeat nor reorder, not started yet."""
    return Producer(
        **connection.client_options(),
        acks="all",
        enable_idempotence=True,
        linger_ms=2,
        request_timeout_ms=SEND_TIMEOUT_MS,
        max_request_size=DEAD_LETTER_LIMIT,
    )


async def waves(attempts: AsyncIterator[Attempt]) -> AsyncIterator[list[Attempt]]:
    """What may be under way together: one record of a lane, bounded in number and bytes."""
    wave: dict[object, Attempt] = {}
    size = 0
    async for one in attempts:
        if one.lane in wave or len(wave) == WAVE or (wave and size > WAVE_BYTES):
            yield list(wave.values())
            wave, size = {}, 0
        wave[one.lane] = one
        size += len(one.value or b"")
    if wave:
        yield list(wave.values())


async def _record(producer: Any, one: Attempt) -> Any:
    there = await producer.partitions_for(one.topic)
    return await producer.send_and_wait(
        one.topic,
        value=one.value,
        key=one.letter.key,
        partition=one.partition if one.partition in there else None,
        timestamp_ms=int(one.timestamp * 1000),
        headers=[(REQUEUED_FROM, str(one.letter.id).encode())],
    )


async def _marked(producer: Any, topic: str, one: Attempt, to: str) -> Any:
    return await producer.send_and_wait(
        topic,
        key=one.letter.key,
        partition=one.letter.id.partition,
        headers=mark_headers(one.letter.id, to, one.edited),
    )


async def _answers(calls: Iterable[Awaitable[Any]]) -> list[Any]:
    """What each call gave, or the KafkaError it raised; other errors are raised."""
    answers = await asyncio.gather(*calls, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException) and not isinstance(answer, KafkaError):
            raise answer
    return answers


def _place(metadata: Any) -> str:
    return f"{metadata.topic}/{metadata.partition}/{metadata.offset}"
