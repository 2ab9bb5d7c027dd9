"""The delivery barrier: what makes the chain at-least-once.

    1. what a record leads to is sent, and acknowledged by the broker (`delivered`)
    2. the state it leaves is sent to the changelog, and acknowledged
    3. the state is stored locally
    4. the record is acked, strictly in offset order (`OrderedAcks`)

Stop anywhere: what was not acked comes again, and every step may be done twice. Faust's commit
skips over unacked records (docs/decisions/0002), so only a finished prefix may ever be acked.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from faust.types import TP, EventT


@dataclass(slots=True, eq=False)
class Taken:
    """A record that was taken and not acked yet."""

    event: EventT[Any]
    finished: bool = False


class OrderedAcks:
    """Acks the records of each partition in the order they were taken.

    A record of an older generation is forgotten: its partition may be another worker's by now, and
    it comes again wherever it belongs.
    """

    def __init__(self, generation: Callable[[], int]) -> None:
        self._generation = generation
        self._taken: dict[TP, deque[Taken]] = {}
        self._newest = generation()

    def __len__(self) -> int:
        """Records taken and not acked."""
        return sum(len(queue) for queue in self._taken.values())

    def take(self, event: EventT[Any]) -> Taken:
        """Note a record, in the order of its partition."""
        if self._newest != self._generation():
            self._newest = self._generation()
            self._forget_others()
        taken = Taken(event)
        self._taken.setdefault(event.message.tp, deque()).append(taken)
        return taken

    def is_ours(self, taken: Taken) -> bool:
        """Whether the record still belongs to this worker's generation."""
        return taken.event.message.generation_id == self._generation()

    def finish(self, taken: Taken) -> None:
        """The record is done; ack the finished prefix of its partition."""
        taken.finished = True
        queue = self._taken.get(taken.event.message.tp, deque())
        while queue and (queue[0].finished or not self.is_ours(queue[0])):
            first = queue.popleft()
            if self.is_ours(first):
                first.event.ack()

    def _forget_others(self) -> None:
        for tp, queue in list(self._taken.items()):
            ours = deque(taken for taken in queue if self.is_ours(taken))
            if ours:
                self._taken[tp] = ours
            else:
                del self._taken[tp]


async def delivered(sends: Iterable[Awaitable[Awaitable[object]]]) -> None:
    """Send, and wait until the broker acknowledged every one. Raises what a send failed with.

    Faust's `send` takes two awaits: the first hands over, only the second means delivered.
    """
    handed_over = [await send for send in sends]
    await asyncio.gather(*handed_over)


async def acknowledged(sent: Iterable[Awaitable[object]]) -> None:
    """Wait until the broker acknowledged what is on its way already."""
    await asyncio.gather(*sent)
