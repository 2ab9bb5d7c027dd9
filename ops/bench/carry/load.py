"""Sends a game to Kafka in time, in a process of its own: nothing that is slow slows it down.

    python -m ops.bench.carry.load '{"npcs": 60, "seed": 1, ...}'

Each record is due at a time that was fixed before the first was sent, bears that time as its
`observed_at`, and is handed over without waiting for the one before it. SIGTERM ends it; the last
line of its output says how far it came and how late it was.
"""

import asyncio
import json
import signal
import sys
import time

import msgspec

from ops.demo.game import World
from ops.demo.play import send_record, timeline
from ops.demo.summary import percentile
from ops.demo.town import build_town
from topics.connection import KafkaConnection
from topics.publisher import Publisher


class Order(msgspec.Struct, frozen=True):
    """What to send. `began`: seconds since the epoch; `still`: nothing happens in the game."""

    npcs: int
    seed: int
    run: str
    began: float
    seconds: float
    wake_up: float
    topic_prefix: str
    is_still: bool = False

    def world(self) -> World:
        """The game, at its beginning."""
        town = build_town(self.npcs, self.seed, f"{self.run}-")
        world = World(town, self.seed, wake_up=self.wake_up)
        if self.is_still:
            world.stand_still()
        return world


class Report(msgspec.Struct, frozen=True):
    """What became of an order. `last`: seconds into the game; lateness in seconds."""

    last: float
    records: int
    lateness_p99: float


class Sender:
    """One game on its way."""

    def __init__(self, order: Order, publisher: Publisher) -> None:
        self._order, self._publisher = order, publisher
        self._late: list[float] = []
        self._last = 0.0
        self.is_over = asyncio.Event()

    async def run(self) -> Report:
        """Sends until all is sent or it is told to end."""
        for record in timeline(self._order.world(), self._order.seconds):
            due = self._order.began + record.at
            if await self._ends_before(due):
                break
            self._late.append(max(time.time() - due, 0.0))
            await send_record(self._publisher, record, round(due, 3))
            self._last = record.at
        await self._publisher.flush()
        return Report(self._last, len(self._late), percentile(self._late, 99) or 0.0)

    async def _ends_before(self, due: float) -> bool:
        seconds = due - time.time()
        if seconds <= 0:
            return self.is_over.is_set()
        try:
            await asyncio.wait_for(self.is_over.wait(), seconds)
        except TimeoutError:
            return False
        return True


async def send(order: Order) -> Report:
    """Carries out an order."""
    connection = KafkaConnection.from_environment(topic_prefix=order.topic_prefix)
    async with Publisher(connection) as publisher:
        sender = Sender(order, publisher)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, sender.is_over.set)
        return await sender.run()


def main() -> None:
    """The order is the only argument."""
    report = asyncio.run(send(msgspec.json.decode(sys.argv[1], type=Order)))
    sys.stdout.write(json.dumps(msgspec.to_builtins(report)) + "\n")


if __name__ == "__main__":
    main()
