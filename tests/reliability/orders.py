"""Commands as the filter would send them, without a filter, and what came of them."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.integration.harness import Town, new_id
from topics.catalogue import NPC_UPDATE_COMMANDS
from topics.encode import encode
from topics.models import Desired, Member, Outcome, Reason, Source, UpdateCommand


@dataclass
class Orders:
    """NPCs, and the newest command of each: it shows a member named after its number."""

    town: Town
    npc_ids: list[str]
    number: int = 0
    newest: dict[str, int] = field(default_factory=dict)
    sent: dict[str, list[str]] = field(default_factory=dict)

    async def send(self, npc_ids: Iterable[str] | None = None) -> None:
        """One command more for each NPC, or for some; returns once the broker has them."""
        await asyncio.gather(*map(self._send_one, npc_ids or self.npc_ids))

    async def _send_one(self, npc_id: str) -> None:
        self.number += 1
        ordered = _command(npc_id, self.number)
        self.newest[npc_id] = self.number
        self.sent.setdefault(npc_id, []).append(ordered.command_id)
        await self.town.raw(NPC_UPDATE_COMMANDS, npc_id, encode(ordered))

    def unanswered(self) -> set[str]:
        """Commands without any result yet."""
        return {
            command_id
            for npc_id, ids in self.sent.items()
            for command_id in {*ids} - {told.command_id for told in self.town.results(npc_id)}
        }

    def overtaken(self) -> list[str]:
        """NPCs in whose memory an older command was written after a newer one."""
        return [npc_id for npc_id in self.sent if not self._rises(npc_id)]

    def _rises(self, npc_id: str) -> bool:
        # By the time of the write: a result that the broker did not take at once comes late.
        told = sorted(self.town.results(npc_id), key=lambda result: result.finished_at)
        written = [int(r.command_id) for r in told if r.outcome is Outcome.APPLIED]
        return written == sorted(written)


def orders_for(town: Town, npcs: int) -> Orders:
    return Orders(town, [new_id() for _ in range(npcs)])


def _command(npc_id: str, number: int) -> UpdateCommand:
    now = time.time()
    name = f"Guest {number}"
    return UpdateCommand(
        command_id=str(number),
        npc_id=npc_id,
        reason=Reason.MEMBERS,
        observed_at=now,
        issued_at=now,
        source=Source(topic="npc-snapshots", partition=0, offset=number),
        desired=Desired(
            members=(Member(id="1001", name=name),), location="Market Square", action="idle"
        ),
    )
