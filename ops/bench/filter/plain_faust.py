"""The contender `faust`: a stock Faust app as its documentation writes one.

    python -m ops.bench.filter.plain_faust ORDER

At least once, state in a Table with a changelog, in memory: faster than RocksDB. Raw bytes,
no logging of records, no web server; a commit each second, as rollcall does.
"""

import asyncio
import logging
from pathlib import Path
from typing import Any

import faust
from faust.types import StreamT

from ops.bench.filter.order import Order, given
from ops.bench.filter.step import Step, prepared
from topics.catalogue import PARTITIONS
from topics.models import Source


def build(order: Order, step: Step) -> faust.App:
    """The app, not started."""
    app = faust.App(
        order.group,
        broker=[f"kafka://{server}" for server in order.connection().bootstrap_servers],
        store="memory://",
        datadir=Path(order.folder) / "faust",
        key_serializer="raw",
        value_serializer="raw",
        topic_partitions=PARTITIONS,
        topic_disable_leader=True,
        broker_commit_interval=1.0,
        web_enabled=False,
    )
    snapshots = app.topic(order.source, key_type=bytes, value_type=bytes)
    commands = app.topic(order.commands, key_type=bytes, value_type=bytes)
    groups = app.Table("groups", key_type=bytes, value_type=bytes, partitions=PARTITIONS)

    @app.agent(snapshots)
    async def decide(stream: StreamT[Any]) -> None:
        async for event in stream.events():
            message = event.message
            key = event.key
            source = Source(topic=order.source, partition=message.partition, offset=message.offset)
            decided = step.decide(key, event.value, message.timestamp, source, groups.get(key))
            if decided.state is not None:
                groups[key] = decided.state
            if decided.command is not None:
                await commands.send(key=key, value=decided.command)

    return app


def main() -> None:
    """The order is the only argument."""
    order = given()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    step = loop.run_until_complete(prepared(order.connection()))
    worker = faust.Worker(build(order, step), loglevel=logging.ERROR, quiet=True, loop=loop)
    worker.execute_from_commandline()


if __name__ == "__main__":
    main()
