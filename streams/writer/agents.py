"""Which Letta agent is an NPC's: the roster's, else the one with its tag, remembered until Letta
says 404.

A roster's agent that Letta does not know is passed over for the tag until the roster changes: the
agents may have been made anew.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from streams.writer.store import BlockStore, find_agent

AgentOf = Callable[[str], str | None]
"""The roster's agent id of an NPC. Raises PermanentError for an entry that is impossible."""


@dataclass(slots=True)
class Agents:
    """Agent ids by NPC id; no more entries than NPCs."""

    roster: AgentOf
    _found: dict[str, str] = field(default_factory=dict)
    _missing: dict[str, str] = field(default_factory=dict)

    def known(self, npc_id: str) -> str | None:
        """The agent as far as it can be told without asking Letta."""
        listed = self.roster(npc_id)
        if listed and listed != self._missing.get(npc_id):
            return listed
        return self._found.get(npc_id)

    async def find(self, npc_id: str, store: BlockStore) -> str | None:
        """The agent with the NPC's tag, asked of Letta; remembered. Raises StoreError."""
        agent_id = await find_agent(store, npc_id)
        if agent_id is not None:
            self._found[npc_id] = agent_id
        return agent_id

    def found(self, npc_id: str, agent_id: str) -> None:
        """Somebody else asked."""
        self._found[npc_id] = agent_id

    def gone(self, npc_id: str, agent_id: str) -> None:
        """Letta answered 404 for this agent."""
        if self._found.get(npc_id) == agent_id:
            del self._found[npc_id]
        if self.roster(npc_id) == agent_id:
            self._missing[npc_id] = agent_id

    def forget(self, npc_id: str) -> None:
        """The roster changed, or the NPC is somebody else's now."""
        self._found.pop(npc_id, None)
        self._missing.pop(npc_id, None)
