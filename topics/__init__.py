"""The contract of rollcall: its topics, their records, and a client for a game server.

A Python game server says what it sees in ten lines:

    import asyncio
    from topics import KafkaConnection, Publisher

    async def main() -> None:
        connection = KafkaConnection(broker="kafka://127.0.0.1:9092")
        async with Publisher(connection) as publisher:
            await publisher.profile({"player_id": 1001, "name": "Alice", "description": "red hat"})
            await publisher.snapshot({"npc_id": "npc-7", "cluster": ["Alice"], "location": "inn"})
        print(publisher.report)  # PublishReport(sent=2, failed=0)

    asyncio.run(main())

Nothing here knows Faust or Letta. Records are described by `topics.models`, the spellings that a
game may use instead by `topics.wire`, and both for other languages by the files of
`topics/schemas/`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from topics.catalogue import CATALOGUE, Topic, topic_name
from topics.decode import (
    DecodeError,
    decode_command,
    decode_location,
    decode_profile,
    decode_result,
    decode_roster_entry,
    decode_snapshot,
    decode_verify_request,
    decode_world,
)
from topics.encode import encode, encode_key
from topics.models import (
    Conflict,
    Desired,
    Editor,
    Location,
    Member,
    Outcome,
    PlayerProfile,
    PlayerRef,
    Reason,
    RosterEntry,
    Snapshot,
    Source,
    UpdateCommand,
    UpdateResult,
    VerifyRequest,
    WorldSnapshot,
)
from topics.roster import Roster
from topics.world import split

if TYPE_CHECKING:
    from topics.connection import ConnectionSettingsError, KafkaConnection
    from topics.publisher import Failure, KafkaUnavailableError, Publisher, PublishReport

__all__ = [
    "CATALOGUE",
    "Conflict",
    "ConnectionSettingsError",
    "DecodeError",
    "Desired",
    "Editor",
    "Failure",
    "KafkaConnection",
    "KafkaUnavailableError",
    "Location",
    "Member",
    "Outcome",
    "PlayerProfile",
    "PlayerRef",
    "PublishReport",
    "Publisher",
    "Reason",
    "Roster",
    "RosterEntry",
    "Snapshot",
    "Source",
    "Topic",
    "UpdateCommand",
    "UpdateResult",
    "VerifyRequest",
    "WorldSnapshot",
    "decode_command",
    "decode_location",
    "decode_profile",
    "decode_result",
    "decode_roster_entry",
    "decode_snapshot",
    "decode_verify_request",
    "decode_world",
    "encode",
    "encode_key",
    "split",
    "topic_name",
]

# Loaded on first use: they bring in aiokafka and pydantic, which decoding a record does not need.
_LAZY = {
    "ConnectionSettingsError": "topics.connection",
    "Failure": "topics.publisher",
    "KafkaConnection": "topics.connection",
    "KafkaUnavailableError": "topics.publisher",
    "PublishReport": "topics.publisher",
    "Publisher": "topics.publisher",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)
