"""The Letta servers of the settings, as commands ask them."""

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from ops.failure import Failure
from streams.home import letta_of
from streams.letta_servers import LettaServer, UnknownServerError
from streams.settings import Settings
from streams.writer.letta import LettaStore, connect
from streams.writer.store import StoreError
from topics.models import RosterEntry

Roster = dict[str, RosterEntry]


@asynccontextmanager
async def opened(server: LettaServer, settings: Settings) -> AsyncIterator[LettaStore]:
    """A server's store. A Failure, which names the server, for what it does not do."""
    store = connect(server.url, server.token, settings.letta_timeout)
    try:
        yield store
    except StoreError as error:
        raise Failure(f"{server.name}: {error}.") from error
    finally:
        await store.close()


def server_of(settings: Settings, npc_id: str, entry: RosterEntry | None) -> LettaServer:
    """An NPC's server. Raises Failure where its roster entry names one that is not configured."""
    try:
        return letta_of(npc_id, entry, settings.letta_servers)
    except UnknownServerError as error:
        raise Failure(f"{npc_id}: {error}.") from error


def by_server(
    settings: Settings, roster: Mapping[str, RosterEntry]
) -> tuple[dict[LettaServer, Roster], list[str]]:
    """The NPCs of each server, every server among them, and the ids of those on none."""
    shares: defaultdict[LettaServer, Roster] = defaultdict(dict)
    for server in settings.letta_servers:
        shares[server] = {}
    lost = []
    for npc_id, entry in roster.items():
        try:
            shares[letta_of(npc_id, entry, settings.letta_servers)][npc_id] = entry
        except UnknownServerError:
            lost.append(npc_id)
    return dict(shares), lost
