"""Sends a game's records to Kafka in time, and remembers what has been told."""

import asyncio
import json
import math
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TextIO

from ops.demo.game import Record, Truth, World
from topics.catalogue import NPC_SNAPSHOTS, PLAYER_PROFILES
from topics.models import PlayerProfile
from topics.publisher import Publisher

LOOK_AHEAD = 3.0
"""Seconds of the game that are known before they are sent."""


def timeline(world: World, seconds: float) -> Iterator[Record]:
    """The records of a game of this length, made as they are needed."""
    at = 0.0
    while at < seconds:
        at = min(seconds, at + 1.0)
        yield from world.tick(at)


def truths(world: World, seconds: float) -> Iterator[Truth]:
    """All that a game of this length tells of NPCs, in its order."""
    for record in timeline(world, seconds):
        yield from record.truths


async def send_record(publisher: Publisher, record: Record, observed_at: float) -> dict[str, Any]:
    """Hands a record over; its value as it was sent."""
    value = record.stamped(observed_at)
    if record.topic == PLAYER_PROFILES:
        await publisher.profile(value)
    elif record.topic == NPC_SNAPSHOTS:
        await publisher.snapshot(value)
    else:
        value["world_id"] = record.key
        await publisher.world(value, record.key)
    return value


@dataclass(slots=True)
class Told:
    """What has been sent so far: the last truth of each NPC, the profiles, and the counts."""

    truths: dict[str, Truth] = field(default_factory=dict)
    profiles: dict[str, PlayerProfile] = field(default_factory=dict)
    sent_at: dict[tuple[str, float], float] = field(default_factory=dict)
    """Wall-clock seconds by npc_id and `observed_at`."""
    changed_at: dict[str, float] = field(default_factory=dict)
    """`at` of the last snapshot of an NPC that told something new."""
    profile_at: float = -math.inf
    """`at` of the last profile."""
    snapshots: int = 0
    records: int = 0
    changed: int = 0

    def take(self, record: Record, observed_at: float, now: float) -> None:
        """Note a record that has been sent."""
        self.records += 1
        if record.topic == PLAYER_PROFILES:
            profile = PlayerProfile(**record.value)
            self.profiles[profile.player_id] = profile
            self.profile_at = record.at
        for truth in record.truths:
            self.snapshots += 1
            self.sent_at[truth.npc_id, observed_at] = now
            before = self.truths.get(truth.npc_id)
            if before is None or before.told() != truth.told():
                self.changed += 1
                self.changed_at[truth.npc_id] = truth.at
            self.truths[truth.npc_id] = truth


class Play:
    """One game on its way. `speed`: game seconds a second.

    `observed_at` runs with the game, so that decisions do not depend on the speed, and never lies
    in the future: a fast game begins as long ago as it will have caught up by its end.
    """

    def __init__(
        self,
        records: Iterable[Record],
        seconds: float,
        publisher: Publisher,
        *,
        speed: float = 1.0,
        recording: TextIO | None = None,
    ) -> None:
        self.told = Told()
        self.ahead: deque[Record] = deque()
        self._records = iter(records)
        self._seconds = seconds
        self._publisher = publisher
        self._speed = speed
        self._recording = recording
        self._began = 0.0
        self._epoch = 0.0

    @property
    def at(self) -> float:
        """Game seconds since the beginning."""
        return (time.time() - self._began) * self._speed if self._began else 0.0

    async def run(self) -> None:
        """Send everything in time."""
        self._began = time.time()
        self._epoch = self._began - max(0.0, self._seconds - self._seconds / self._speed)
        while self._look_ahead():
            record = self.ahead[0]
            await asyncio.sleep(max(0.0, (record.at - self.at) / self._speed))
            await self._send(record)
            self.ahead.popleft()
        await self._publisher.flush()

    def _look_ahead(self) -> bool:
        horizon = self.at + LOOK_AHEAD
        while not self.ahead or self.ahead[-1].at < horizon:
            record = next(self._records, None)
            if record is None:
                break
            self.ahead.append(record)
        return bool(self.ahead)

    async def _send(self, record: Record) -> None:
        observed_at = round(self._epoch + record.at, 3)
        self.told.take(record, observed_at, time.time())
        value = await send_record(self._publisher, record, observed_at)
        if self._recording and record.topic != PLAYER_PROFILES:
            self._recording.write(json.dumps(value, ensure_ascii=False) + "\n")
