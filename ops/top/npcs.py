"""Single NPCs, from the newest commands and results: who was told late, and who waits. Pure.

Told late: the NPCs with the largest age of a snapshot when the memory it asked for was in place.
Profiles and verifications are left out, since no new snapshot asked for them.

Waiting: NPCs with a command and no result of it, who has waited longest first. A command leaves
with its result, or with the writer's commit beyond it.

Memory is bounded, whatever the topics say:

    of                                  kept
    ----------------------------------  ------------------------------------------------------
    updates told late                   `most` NPCs of each thirtieth of the time looked back
    commands without a result           CAPACITY, the first ones: they wait longest
    results that came before the        the newest CAPACITY
    command, from the other topic
"""

from collections import Counter, OrderedDict
from collections.abc import Mapping
from typing import NamedTuple

from topics.models import Outcome, Reason, UpdateCommand, UpdateResult

CAPACITY = 20_000

SLICES = 30
"""Parts into which the time looked back is cut; the oldest is forgotten as a whole."""

_WITHOUT_SNAPSHOT = frozenset({Reason.PROFILE, Reason.VERIFY})


class Late(NamedTuple):
    """An NPC's memory was this old a picture when it was put in place."""

    npc_id: str
    seconds: float
    reason: str
    finished_at: float


class Wait(NamedTuple):
    """An NPC with commands that have no result yet."""

    npc_id: str
    seconds: float
    """Since the oldest of them was issued."""
    reason: str
    """Of the oldest."""
    commands: int


class _Open(NamedTuple):
    npc_id: str
    reason: str
    issued_at: float
    partition: int
    offset: int


class Npcs:
    """What commands and results tell. Times are seconds since the epoch."""

    def __init__(self, window: float, most: int, capacity: int = CAPACITY) -> None:
        """`window`: seconds looked back for who was told late; `most`: NPCs asked for at most."""
        self._window, self._most, self._capacity = window, most, capacity
        self._open: dict[str, _Open] = {}
        self._early: OrderedDict[str, None] = OrderedDict()
        self._slices: dict[int, dict[str, Late]] = {}

    def take_command(self, command: UpdateCommand, partition: int, offset: int) -> None:
        """A command, and where it stands."""
        if command.command_id in self._early:
            del self._early[command.command_id]
        elif len(self._open) < self._capacity:
            self._open[command.command_id] = _Open(
                command.npc_id, command.reason.value, command.issued_at, partition, offset
            )

    def take_result(self, result: UpdateResult, now: float) -> None:
        """What became of a command."""
        if self._open.pop(result.command_id, None) is None:
            self._early[result.command_id] = None
            if len(self._early) > self._capacity:
                self._early.popitem(last=False)
        if result.outcome is Outcome.APPLIED and result.reason not in _WITHOUT_SNAPSHOT:
            self._take_late(result, now)

    def take_commits(self, offsets: Mapping[int, int]) -> None:
        """How far the writers have finished each partition: those before need no result."""
        self._open = {
            key: one
            for key, one in self._open.items()
            if one.offset >= offsets.get(one.partition, 0)
        }

    def told_late(self, now: float) -> list[Late]:
        """Each NPC's oldest picture within the window, the worst first."""
        self._forget(now)
        worst: dict[str, Late] = {}
        for part in self._slices.values():
            for one in part.values():
                _keep_worse(worst, one)
        return _worst(worst, self._most)

    def waiting(self, now: float) -> list[Wait]:
        """Who waits, the longest first."""
        counts = Counter(one.npc_id for one in self._open.values())
        oldest: dict[str, _Open] = {}
        for one in self._open.values():
            if one.npc_id not in oldest or one.issued_at < oldest[one.npc_id].issued_at:
                oldest[one.npc_id] = one
        first = sorted(oldest.values(), key=lambda one: (one.issued_at, one.npc_id))[: self._most]
        return [
            Wait(one.npc_id, max(now - one.issued_at, 0.0), one.reason, counts[one.npc_id])
            for one in first
        ]

    @property
    def waiting_npcs(self) -> int:
        """How many wait, as far as there is room to know."""
        return len({one.npc_id for one in self._open.values()})

    def _take_late(self, result: UpdateResult, now: float) -> None:
        at = min(result.finished_at, now)
        if at < now - self._window:
            return
        part = self._slices.setdefault(self._slice(at), {})
        age = max(result.finished_at - result.observed_at, 0.0)
        _keep_worse(part, Late(result.npc_id, age, result.reason.value, at))
        if len(part) > 2 * self._most:
            self._slices[self._slice(at)] = {one.npc_id: one for one in _worst(part, self._most)}
        self._forget(now)

    def _slice(self, at: float) -> int:
        return int(at / self._window * SLICES)

    def _forget(self, now: float) -> None:
        first = self._slice(now) - SLICES
        self._slices = {key: part for key, part in self._slices.items() if key > first}


def _keep_worse(worst: dict[str, Late], one: Late) -> None:
    if one.npc_id not in worst or one.seconds > worst[one.npc_id].seconds:
        worst[one.npc_id] = one


def _worst(found: Mapping[str, Late], most: int) -> list[Late]:
    return sorted(found.values(), key=lambda one: (-one.seconds, one.npc_id))[:most]
