"""What stands in an NPC's blocks now, asked of Letta; read only."""

from ops.history.standing import Live, standing
from streams.home import letta_of
from streams.letta_servers import UnknownServerError
from streams.settings import Settings
from streams.writer.agents import Agents
from streams.writer.letta import connect
from streams.writer.store import AgentMissingError, Block, BlockStore, StoreError
from topics.models import RosterEntry


async def look(settings: Settings, npc_id: str, entry: RosterEntry | None) -> Live:
    """The blocks of the NPC's agent as they stand. Never fails for what Letta does."""
    try:
        server = letta_of(npc_id, entry, settings.letta_servers)
    except UnknownServerError as error:
        return Live(trouble=f"{error}.")
    store = connect(server.url, server.token, settings.letta_timeout)
    try:
        agent_id, blocks = await _found(store, npc_id, entry)
        return Live(agent_id, standing(blocks))
    except AgentMissingError:
        return Live(trouble=f"there is no Letta agent of {npc_id}, by id or by tag.")
    except StoreError as error:
        return Live(trouble=f"{server.name} gives no answer: {error}.")
    finally:
        await store.close()


async def _found(
    store: BlockStore, npc_id: str, entry: RosterEntry | None
) -> tuple[str, dict[str, Block]]:
    """The agent the writer would take, and its blocks."""
    agents = Agents(lambda _: entry.agent_id if entry else None)
    listed = agents.known(npc_id)
    if listed is not None:
        try:
            return listed, await store.read(listed)
        except AgentMissingError:
            agents.gone(npc_id, listed)
    tagged = await agents.find(npc_id, store)
    if tagged is None:
        raise AgentMissingError(npc_id)
    return tagged, await store.read(tagged)
