"""A live game for one filter, in a process of its own: each snapshot is sent when it is due.

    python -m ops.bench.filter.feed '{"npcs": 15000, "rate": 5000, ...}'

All records are made before the first is sent; each is dated when it is handed over. The last line
of its output says when it began and how late it was.
"""

import asyncio
import gc
import sys
import time

import msgspec
import orjson

from ops.bench.filter.backlog import snapshots, town_of
from ops.demo.game import Record
from ops.demo.summary import percentile
from streams.home import home_of
from topics.catalogue import NPC_SNAPSHOTS
from topics.connection import KafkaConnection
from topics.encode import encode_key
from topics.producer import Producer

_STEP = 0.002
"""Seconds that it sleeps at least: what is due in them goes together."""


class Order(msgspec.Struct, frozen=True):
    """What to send, and how fast the game goes."""

    npcs: int
    records: int
    seed: int
    topic_prefix: str


class Report(msgspec.Struct, frozen=True):
    """`began`: seconds since the epoch; `seconds` it took."""

    began: float
    seconds: float
    lateness_p99: float


async def send(order: Order) -> Report:
    """Sends everything in time."""
    connection = KafkaConnection.from_environment(topic_prefix=order.topic_prefix)
    records = list(snapshots(town_of(order.npcs, order.seed), order.seed, order.records))
    gc.freeze()  # so many objects: looking through them would make it late
    homes = {record.key: home_of(record.key) for record in records}
    topic = connection.topic(NPC_SNAPSHOTS)
    late: list[float] = []
    async with Producer(**connection.client_options()) as producer:
        await producer.partitions_for(topic)
        began = time.time()
        for record in records:
            due = began + record.at
            if (ahead := due - time.time()) > 0:
                await asyncio.sleep(max(ahead, _STEP))
            now = round(time.time(), 3)
            late.append(max(now - due, 0.0))
            await _send(producer, topic, record, homes[record.key], now)
        await producer.flush()
        return Report(began, time.time() - began, percentile(late, 99) or 0.0)


async def _send(producer: Producer, topic: str, record: Record, home: int, now: float) -> None:
    value = orjson.dumps(record.stamped(now))
    key, at = encode_key(record.key), int(now * 1000)
    await producer.send(topic, value, key, partition=home, timestamp_ms=at)


def main() -> None:
    """The order is the only argument."""
    report = asyncio.run(send(msgspec.json.decode(sys.argv[1], type=Order)))
    sys.stdout.write(msgspec.json.encode(report).decode() + "\n")


if __name__ == "__main__":
    main()
