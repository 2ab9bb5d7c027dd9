"""The contender `quix`: Quix Streams with state in RocksDB, a changelog, at least once.

    python -m ops.bench.filter.quix ORDER

Bytes in, out and in the state instead of JSON. Of the options that its documentation names, these
were the fastest of ten sets tried: librdkafka fetches and sends in larger batches, and a checkpoint
comes each second, as the commits of rollcall and `faust` do (the clock stops at a commit).
"""

import asyncio
from typing import Any

from quixstreams import Application, State, message_context

from ops.bench.filter.order import Order, given
from ops.bench.filter.step import Step, prepared
from topics.models import Source

_CONSUMER = {
    "fetch.min.bytes": 100_000,
    "queued.min.messages": 200_000,
    "fetch.queue.backoff.ms": 10,
}
_PRODUCER = {"linger.ms": 50}
_STATE = "group"


def build(order: Order, step: Step) -> Application:
    """The application, not started."""
    app = Application(
        broker_address=",".join(order.connection().bootstrap_servers),
        consumer_group=order.group,
        auto_offset_reset="earliest",
        processing_guarantee="at-least-once",
        commit_interval=1.0,
        state_dir=order.folder,
        loglevel="ERROR",
        consumer_extra_config=_CONSUMER,
        producer_extra_config=_PRODUCER,
    )
    snapshots = app.topic(order.source, key_deserializer="bytes", value_deserializer="bytes")
    commands = app.topic(order.commands, key_serializer="bytes", value_serializer="bytes")

    def decide(value: bytes, key: bytes, timestamp: int, _headers: Any, state: State) -> Any:
        context = message_context()
        source = Source(topic=order.source, partition=context.partition, offset=context.offset)
        decided = step.decide(key, value, timestamp / 1000, source, state.get_bytes(_STATE))
        if decided.state is not None:
            state.set_bytes(_STATE, decided.state)
        return decided.command

    decided = app.dataframe(snapshots).apply(decide, stateful=True, metadata=True)
    decided.filter(lambda command: command is not None).to_topic(commands)
    return app


def main() -> None:
    """The order is the only argument."""
    order = given()
    step = asyncio.run(prepared(order.connection()))
    build(order, step).run()


if __name__ == "__main__":
    main()
