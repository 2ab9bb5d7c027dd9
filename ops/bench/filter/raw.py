"""The contender `raw`: each record fetched and parsed, no state, no output. The ceiling.

    python -m ops.bench.filter.raw ORDER

It commits nothing, so it times itself; its last line of output says what it found.
"""

import asyncio
import resource
import sys
import time

import msgspec
import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from ops.bench.filter.order import Order, given
from topics.catalogue import PARTITIONS


class Report(msgspec.Struct, frozen=True):
    """Of the records after the warm-up. Seconds by its clock and of its processor time; bytes."""

    records: int
    seconds: float
    processor: float
    peak_memory: int


async def read(order: Order) -> Report:
    """Reads everything once."""
    partitions = [TopicPartition(order.source, one) for one in range(PARTITIONS)]
    consumer = AIOKafkaConsumer(
        **order.connection().client_options(), group_id=None, enable_auto_commit=False
    )
    await consumer.start()
    try:
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        warm = await _parse(consumer, order.warm_up)
        begin, processor = time.perf_counter(), time.process_time()
        done = await _parse(consumer, order.records - warm)
        seconds = time.perf_counter() - begin
        return Report(done, seconds, time.process_time() - processor, _peak_memory())
    finally:
        await consumer.stop()


async def _parse(consumer: AIOKafkaConsumer, least: int) -> int:
    """At least so many records; how many they were."""
    done = 0
    while done < least:
        for records in (await consumer.getmany(timeout_ms=1000)).values():
            for record in records:
                orjson.loads(record.value)
            done += len(records)
    return done


def _peak_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """The order is the only argument."""
    report = asyncio.run(read(given()))
    sys.stdout.write(msgspec.json.encode(report).decode() + "\n")


if __name__ == "__main__":
    main()
