"""Reads the reference topics once for all workers, only to give up what nobody can read.

Every worker holds these topics whole and steps over bad records (`streams.reference`). That a bad
record becomes exactly one dead letter is the consumer group's business, and this agent's.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import faust
import structlog
from faust.types import StreamT

from streams.barrier import OrderedAcks
from streams.faust_layer.app import ack_offset, generation_of, records
from streams.faust_layer.batch import Arrival
from streams.flusher import leave_process
from streams.metrics import Metrics
from streams.outbox import Outbox
from streams.topology import RawTopics
from topics.catalogue import DEAD_LETTERS, LOCATIONS, NPC_ROSTER, PLAYER_PROFILES
from topics.decode import (
    DecodeError,
    decode_key,
    decode_location,
    decode_profile,
    decode_roster_entry,
)

log = structlog.get_logger()

Decode = Callable[[bytes | None, bytes], object]

DECODERS: dict[str, Decode] = {
    NPC_ROSTER: decode_roster_entry,
    LOCATIONS: decode_location,
    PLAYER_PROFILES: decode_profile,
}


class Judge:
    """Dead letters for the reference topics."""

    def __init__(self, app: faust.App, topics: RawTopics, metrics: Metrics) -> None:
        self._topics = topics
        self._metrics = metrics
        self._acks = OrderedAcks(lambda: generation_of(app), partial(ack_offset, app))
        for name, decode in DECODERS.items():
            app.agent(topics[name], name=f"judge-{name}")(self._agent(name, decode))

    def _agent(self, name: str, decode: Decode) -> Callable[[StreamT[Any]], Awaitable[None]]:
        async def judge(stream: StreamT[Any]) -> None:
            async for event in records(stream):
                try:
                    await self._judge(name, decode, event)
                except Exception:
                    log.exception("record_not_judged", topic=name, offset=event.message.offset)
                    leave_process()  # nothing was acked: start again

        return judge

    async def _judge(self, name: str, decode: Decode, event: Arrival) -> None:
        outbox = Outbox(finished=[self._acks.take(event)])
        try:
            read(decode, event.message.key, event.message.value)
        except DecodeError as error:
            self._metrics.dead_letters.labels(stage=name).inc()
            self._metrics.errors.labels(stage=name).inc()
            outbox.dead_letter(self._topics[DEAD_LETTERS], name, error, event.message)
        await outbox.deliver(self._acks)


def read(decode: Decode, key: bytes | None, value: bytes | None) -> None:
    """Raise DecodeError unless the record, or the tombstone's key, can be read."""
    if value is None:
        decode_key(key or b"")
    else:
        decode(key, value)
