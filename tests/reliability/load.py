"""A game that never stops: each NPC seen with somebody new every so often, until told to end."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.integration.harness import Town, new_id
from topics.catalogue import NPC_SNAPSHOTS
from topics.models import Outcome


@dataclass
class Game:
    """`npc_ids` are seen in turn; every snapshot shows one guest, whom no other shows."""

    town: Town
    npcs: int
    every: float
    """Seconds between two snapshots of the same NPC."""
    npc_ids: list[str] = field(default_factory=list)
    seen: int = 0
    _is_over: bool = False

    def __post_init__(self) -> None:
        self.npc_ids = [new_id() for _ in range(self.npcs)]

    @asynccontextmanager
    async def playing(self) -> AsyncIterator[None]:
        """Plays in the background; everything is flushed in the end."""
        task = asyncio.create_task(self._play())
        try:
            yield
        finally:
            self._is_over = True  # not cancelled: a snapshot on its way shall be counted
            await task
            await self.town.publish.flush()

    async def _play(self) -> None:
        while not self._is_over:
            for npc_id in self.npc_ids:
                await self.show(npc_id)
                await asyncio.sleep(self.every / self.npcs)

    async def show(self, npc_id: str) -> None:
        self.seen += 1
        guest = (f"player-{self.seen}", f"Guest {self.seen}")
        await self.town.see(npc_id, time.time(), guest)

    # what came of it

    def newest(self, npc_id: str) -> str:
        """Whom the newest snapshot on the topic shows."""
        records = [json.loads(record.value) for record in self.town.read.of(NPC_SNAPSHOTS, npc_id)]
        newest = max(records, key=lambda snapshot: snapshot["observed_at"])
        return str(newest["nearby_players"][0]["name"])

    def wrong(self, memory: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """NPCs whose `group_members` is not as their newest snapshot says."""
        return [npc for npc in self.npc_ids if _guests(memory[npc]) != {self.newest(npc)}]

    def overtaken(self) -> list[str]:
        """NPCs in whose memory an older command was written after a newer one."""
        return [npc_id for npc_id in self.npc_ids if not self._rises(npc_id)]

    def _rises(self, npc_id: str) -> bool:
        # By the time of the write: a result that the broker did not take at once comes late.
        told = sorted(self.town.results(npc_id), key=lambda result: result.finished_at)
        written = [result.observed_at for result in told if result.outcome is Outcome.APPLIED]
        return written == sorted(written)

    def finished(self) -> int:
        """Results so far."""
        return sum(len(self.town.results(npc_id)) for npc_id in self.npc_ids)


def _guests(group: Mapping[str, Any]) -> set[str]:
    return {member["name"] for member in group.get("members", {}).values()}
