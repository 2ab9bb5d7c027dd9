"""What must be there before a worker starts: a broker that answers, and the topics of its role.

A worker that was killed in the same folder is no member of the group any more afterwards.
"""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, KafkaError

from streams.membership import leave_for_the_dead
from streams.topology import Role, group_id
from topics.catalogue import (
    DEAD_LETTERS,
    LOCATIONS,
    NPC_ROSTER,
    NPC_SNAPSHOTS,
    NPC_UPDATE_COMMANDS,
    NPC_UPDATE_RESULTS,
    NPC_VERIFY_REQUESTS,
    PLAYER_PROFILES,
    WORLD_SNAPSHOTS,
)
from topics.connection import ConnectionSettingsError, KafkaConnection
from topics.handshake import demand_entry

NEEDS: Mapping[Role, Sequence[str]] = {
    Role.SPLITTER: (WORLD_SNAPSHOTS, NPC_ROSTER, NPC_SNAPSHOTS, DEAD_LETTERS),
    Role.FILTER: (
        NPC_SNAPSHOTS,
        NPC_VERIFY_REQUESTS,
        PLAYER_PROFILES,
        NPC_ROSTER,
        LOCATIONS,
        NPC_UPDATE_COMMANDS,
        DEAD_LETTERS,
    ),
    Role.WRITER: (NPC_UPDATE_COMMANDS, NPC_ROSTER, NPC_UPDATE_RESULTS, DEAD_LETTERS),
}
"""The topics that a role reads or writes; a worker creates only its own changelogs."""


class NotReadyError(Exception):
    """A worker cannot start; the message is one sentence."""


def preflight(role: Role, connection: KafkaConnection, members: Path) -> None:
    """Raise NotReadyError unless Kafka answers and has the topics of a role.

    `members`: the folder in which workers of the role note that they belong to its group.
    """
    asyncio.run(_look(role, connection, members))


async def _look(role: Role, connection: KafkaConnection, members: Path) -> None:
    servers = ", ".join(connection.bootstrap_servers)
    try:
        await demand_entry(connection)
    except ConnectionSettingsError as error:
        raise NotReadyError(str(error)) from error
    admin = AIOKafkaAdminClient(**connection.client_options())
    try:
        await admin.start()
        there = set(await admin.list_topics())
        await leave_for_the_dead(admin, group_id(role, connection.topic_prefix), members)
    except KafkaConnectionError as error:
        raise NotReadyError(f"Kafka cannot be reached at {servers}") from error
    except KafkaError as error:
        raise NotReadyError(f"Kafka at {servers} refuses: {type(error).__name__}") from error
    finally:
        await admin.close()
    missing = [name for name in map(connection.topic, NEEDS[role]) if name not in there]
    if missing:
        raise NotReadyError(f"no topic {', '.join(missing)}: run `rollcall topics apply`")
