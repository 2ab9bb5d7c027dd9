"""The delivery barrier: what makes the chain at-least-once.

    1. what a record leads to is sent, and acknowledged by the broker (`delivered`)
    2. the state it leaves is sent to the changelog, and acknowledged
    3. the state is stored locally
    4. the record is acked, strictly in offset order (`OrderedAcks`)

Stop anywhere: what was not acked comes again, and every step may be done twice. Faust's commit
skips over unacked records (docs/decisions/0002), so only a finished prefix may ever be acked.
"""

import asyncio
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from faust.types import TP

AckOffset = Callable[[TP, int], None]
"""Acks everything of a partition up to an offset."""


@dataclass(slots=True, eq=False)
class Taken:
    """A record, or a batch of them, that was taken and not acked yet.

    `event`: has the `message`, whose offset is the last of a batch.
    """

    event: Any


@dataclass(slots=True)
class Ranges:
    """Whole numbers, kept as ranges of neighbours: first and last of each, ascending."""

    _firsts: list[int] = field(default_factory=list)
    _lasts: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        """Numbers, not ranges."""
        return sum(self._lasts) - sum(self._firsts) + len(self._firsts)

    @property
    def pieces(self) -> int:
        """Ranges they are kept in: what they cost in memory."""
        return len(self._firsts)

    def add(self, number: int) -> None:
        """One number more that is not among them yet."""
        at = bisect_right(self._firsts, number)
        joins_before = at > 0 and self._lasts[at - 1] == number - 1
        joins_after = at < len(self._firsts) and self._firsts[at] == number + 1
        if joins_before and joins_after:
            self._lasts[at - 1] = self._lasts.pop(at)
            del self._firsts[at]
        elif joins_before:
            self._lasts[at - 1] = number
        elif joins_after:
            self._firsts[at] = number
        else:
            self._firsts.insert(at, number)
            self._lasts.insert(at, number)

    def take_below(self, limit: float) -> Iterator[int]:
        """Takes out the numbers of all ranges that begin below a limit, ascending."""
        count = bisect_right(self._firsts, limit)
        taken = list(zip(self._firsts[:count], self._lasts[:count], strict=True))
        del self._firsts[:count], self._lasts[:count]
        for first, last in taken:
            yield from range(first, last + 1)


@dataclass(slots=True)
class _Line:
    """The records of a partition that are not acked, in offset order."""

    open: OrderedDict[int, None] = field(default_factory=OrderedDict)
    """Offsets of unfinished records."""
    finished: Ranges = field(default_factory=Ranges)
    """Offsets behind the first of them that are finished."""

    def __len__(self) -> int:
        return len(self.open) + len(self.finished)

    @property
    def first_open(self) -> float:
        return next(iter(self.open), float("inf"))


class OrderedAcks:
    """Acks the records of each partition in the order they were taken.

    A record that finished behind an unfinished one is remembered by its offset alone, and offsets
    in a row as one range: a write that waits for Letta keeps no other record's bytes alive.

    A record of an older generation is forgotten: its partition may be another worker's by now, and
    it comes again wherever it belongs.
    """

    def __init__(self, generation: Callable[[], int], ack: AckOffset) -> None:
        self._generation, self._ack = generation, ack
        self._lines: dict[TP, _Line] = {}
        self._newest = generation()
        self.finished = 0
        """Records finished since the start; it only grows."""

    def __len__(self) -> int:
        """Records taken and not acked."""
        return sum(map(len, self._lines.values()))

    @property
    def generation(self) -> int:
        """The consumer group's, as this worker knows it."""
        return self._generation()

    def take(self, event: Any) -> Taken:
        """Note a record, in the order of its partition."""
        taken = Taken(event)
        self._forget_older_generations()
        if self.is_ours(taken):
            line = self._lines.setdefault(event.message.tp, _Line())
            line.open[event.message.offset] = None
        return taken

    def is_ours(self, taken: Taken) -> bool:
        """Whether the record still belongs to this worker's generation."""
        mine: bool = taken.event.message.generation_id == self._generation()
        return mine

    def finish(self, taken: Taken) -> None:
        """The record is done; ack the finished prefix of its partition. Twice is harmless."""
        self._forget_older_generations()
        message = taken.event.message
        line = self._lines.get(message.tp)
        if line is None or message.offset not in line.open or not self.is_ours(taken):
            return
        self.finished += 1
        is_first = line.first_open == message.offset
        del line.open[message.offset]
        if not is_first:
            line.finished.add(message.offset)
            return
        behind = line.finished.take_below(line.first_open)
        self._ack(message.tp, max(behind, default=message.offset))

    def _forget_older_generations(self) -> None:
        if self._newest != self._generation():
            self._newest = self._generation()
            self._lines.clear()


async def delivered(sends: Iterable[Awaitable[Iterable[Awaitable[object]]]]) -> None:
    """Send, and wait until the broker acknowledged all of it. Raises what a send failed with.

    A send takes two awaits: the first hands over, only the second means delivered.
    """
    handed_over = [delivery for send in sends for delivery in await send]
    await asyncio.gather(*handed_over)
