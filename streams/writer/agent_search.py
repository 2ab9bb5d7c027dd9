"""The Letta agents of NPCs: known, found by their tags, or looked for now and then.

What is known comes from `agents`, whom to look for from `parking`; here Letta is asked.
"""

from collections.abc import Collection
from typing import Any

from streams.writer.agents import AgentOf, Agents
from streams.writer.clock import Clock
from streams.writer.outcome import Effort
from streams.writer.parking import Parking
from streams.writer.store import AgentMissingError, BlockStore, StoreError, TemporaryError


class AgentSearch:
    """Agents of one Letta server."""

    def __init__(
        self, store: BlockStore, agent_of: AgentOf, parking: Parking, clock: Clock, log: Any
    ) -> None:
        self._store, self._parking, self._clock, self._log = store, parking, clock, log
        self._agents = Agents(agent_of)

    def known(self, npc_id: str) -> str | None:
        """The agent as far as it can be told without asking Letta."""
        return self._agents.known(npc_id)

    def gone(self, npc_id: str, agent_id: str) -> None:
        """Letta does not know this agent."""
        self._agents.gone(npc_id, agent_id)

    def forget(self, npc_id: str) -> None:
        """The roster changed, or the NPC is somebody else's now."""
        self._agents.forget(npc_id)

    async def by_tag(self, npc_id: str, effort: Effort) -> str:
        """The agent with the NPC's tag; not asked for again and again. Raises AgentMissingError."""
        if self._parking.is_due(npc_id, self._clock.steady()):
            agent_id = await self._agents.find(npc_id, self._store.observed_by(effort.count_call))
            if agent_id is not None:
                return agent_id
        raise AgentMissingError(f"no Letta agent of the roster's, none with the tag npc:{npc_id}")

    def next_look(self) -> float | None:
        """When to look for agents of parked NPCs; None: for nobody."""
        return self._parking.next_look()

    async def look(self) -> Collection[str] | None:
        """Looks for a batch of parked NPCs: those found; None: nobody was asked for, or Letta
        refuses to tell. Raises TemporaryError.
        """
        npc_ids = self._parking.batch(self._clock.steady())
        try:
            found = await self._store.find_agents(npc_ids) if npc_ids else None
        except StoreError as error:
            self._log.info("look_failed", npcs=len(npc_ids), error=str(error))
            if isinstance(error, TemporaryError):
                raise
            return None
        for npc_id, agent_id in (found or {}).items():
            self._agents.found(npc_id, agent_id)
        return found
