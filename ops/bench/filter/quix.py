"""The contender `quix`: Quix Streams with state in RocksDB, a changelog, at least once.

    python -m ops.bench.filter.quix ORDER

As its documentation advises for throughput: bytes in and out instead of JSON, state as bytes, and a
checkpoint after so many records, so that its work is done in batches.
"""

import asyncio
from typing import Any

from quixstreams import Application, State, message_context

from ops.bench.filter.order import Order, given
from ops.bench.filter.step import Step, prepared
from topics.models import Source

COMMIT_EVERY = 10_000
"""Records of a checkpoint."""

_STATE = "group"


def build(order: Order, step: Step) -> Application:
    """The application, not started."""
    app = Application(
        broker_address=",".join(order.connection().bootstrap_servers),
        consumer_group=order.group,
        auto_offset_reset="earliest",
        processing_guarantee="at-least-once",
        commit_every=COMMIT_EVERY,
        state_dir=order.folder,
        loglevel="ERROR",
        auto_create_topics=True,
        producer_extra_config={"linger.ms": 20, "batch.num.messages": 10_000},
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
