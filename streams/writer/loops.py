"""One loop for each Letta server, behind the face of one: each NPC's work goes to its server's.

What one server does, or that it is away, is nobody's business but its own NPCs': each loop has a
queue, a limit and a breaker of its own. All work of an NPC is in one loop at a time. When its
roster entry names another server, what waits or is parked moves there, and what is under way does
once it has ended; until then its record is not acked, so a crash in between loses nothing.

An NPC whose entry names a server that is not configured stays with the one of its partition, which
refuses its commands with a dead letter until the roster changes.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from streams.writer.breaker import BreakerState
from streams.writer.job import Done
from streams.writer.loop import Standing
from streams.writer.stamp import UNKNOWN
from topics.models import UpdateCommand

ServerOf = Callable[[str], int]
"""The number of an NPC's server, by the roster as it stands."""


class Loop(Protocol):
    """`WriteLoop`, or `DirectLoop`."""

    @property
    def age(self) -> float: ...
    @property
    def limit(self) -> int: ...
    @property
    def breaker_state(self) -> BreakerState: ...

    def submit(
        self, command: UpdateCommand, done: Done, origin: Any = None, offset: int = UNKNOWN
    ) -> None: ...
    def wake(self, npc_id: str) -> None: ...
    def restore(self, command: UpdateCommand, offset: int = UNKNOWN) -> None: ...
    def withdraw(self, is_mine: Callable[[str], bool]) -> None: ...
    def hand_over(self, npc_id: str, heir: Any) -> None: ...
    def standing(self) -> Standing: ...
    def depths(self) -> Counter[int]: ...
    async def stop(self, seconds: float) -> int: ...


class Loops:
    """Loops by the number of their server."""

    def __init__(self, loops: Sequence[Loop], server_of: ServerOf) -> None:
        self.all = loops
        self._server_of = server_of
        # Where the work of each NPC went last; empty where there is one server.
        self._place: dict[str, int] = {}

    def submit(
        self, command: UpdateCommand, done: Done, origin: Any = None, offset: int = UNKNOWN
    ) -> None:
        """Takes a command in; see `WriteLoop.submit`."""
        self._of(command.npc_id).submit(command, done, origin, offset)

    def restore(self, command: UpdateCommand, offset: int = UNKNOWN) -> None:
        """A command that was parked before the last stop."""
        self._of(command.npc_id).restore(command, offset)

    def wake(self, npc_id: str) -> None:
        """The roster changed for an NPC; it may be on another server now."""
        before = self._place.get(npc_id)
        loop = self._of(npc_id)
        if before is not None and self.all[before] is not loop:
            self.all[before].hand_over(npc_id, loop)
        loop.wake(npc_id)

    def withdraw(self, is_mine: Callable[[str], bool]) -> None:
        """Forgets NPCs that are another worker's now."""
        for loop in self.all:
            loop.withdraw(is_mine)
        self._place = {who: where for who, where in self._place.items() if is_mine(who)}

    def parts(self) -> list[tuple[str, Loop]]:
        """Each server's name, a number from 1, and its loop."""
        return [(str(number), loop) for number, loop in enumerate(self.all, start=1)]

    @property
    def breaker_state(self) -> BreakerState:
        """Closed where every server may be asked."""
        return max(loop.breaker_state for loop in self.all)

    async def stop(self, seconds: float) -> int:
        """Stops all at the same time. Returns commands left."""
        return sum(await asyncio.gather(*(loop.stop(seconds) for loop in self.all)))

    def _of(self, npc_id: str) -> Loop:
        number = self._server_of(npc_id)
        if len(self.all) > 1:
            self._place[npc_id] = number
        return self.all[number]
