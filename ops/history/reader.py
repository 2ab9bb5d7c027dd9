"""Reads the history of one NPC from Kafka: only its partition, only its records.

Whatever cannot be read, or is about another NPC than its key says, is counted and passed over.
"""

from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple, TypeVar

from msgspec import structs

from ops.history.timeline import Said, Timeline, timeline
from ops.records import OnProgress, records
from ops.tables import demand_topics, silence_client
from topics.catalogue import NPC_ROSTER, NPC_UPDATE_COMMANDS, NPC_UPDATE_RESULTS
from topics.connection import KafkaConnection
from topics.decode import DecodeError, decode_command, decode_result, decode_roster_entry
from topics.encode import encode_key
from topics.models import Desired, RosterEntry, UpdateCommand, UpdateResult

Model = TypeVar("Model", UpdateCommand, UpdateResult)

Told = Callable[[str], OnProgress]
"""Told of each topic that is read; gives whom to tell how far it is."""


class Found(NamedTuple):
    """What the topics hold about an NPC."""

    entry: RosterEntry | None
    """The NPC of the roster; None: not there, or not readable."""
    timeline: Timeline
    unreadable: int
    """Records of the NPC that could not be read."""


class Reader:
    """Reads what is known about one NPC. Only that NPC's records are held."""

    def __init__(self, connection: KafkaConnection, npc_id: str, told: Told) -> None:
        self._connection, self._npc_id, self._told = connection, npc_id, told
        self._unreadable = 0
        self._since: float | None = None

    async def read(self) -> Found:
        """A Failure where a topic is missing or cannot be read."""
        silence_client()
        topics = (NPC_ROSTER, NPC_UPDATE_RESULTS, NPC_UPDATE_COMMANDS)
        await demand_topics(self._connection, topics)
        entry = await self._roster_entry()
        # Results first: a command of a result that we have is then on its topic, if it still is.
        results = [result async for result, _ in self._models(NPC_UPDATE_RESULTS, decode_result)]
        commands = await self._commands()
        return Found(entry, timeline(commands, results, self._since), self._unreadable)

    async def _roster_entry(self) -> RosterEntry | None:
        entry = None
        async for record in self._records(NPC_ROSTER):
            try:
                entry = decode_roster_entry(record.key, record.value) if record.value else None
            except DecodeError:
                self._unreadable += 1
        return entry

    async def _commands(self) -> list[Said]:
        """Most of them ask for what another has asked for: each state is held once."""
        states: dict[Desired, Desired] = {}
        said = []
        async for command, at in self._models(NPC_UPDATE_COMMANDS, decode_command):
            desired = states.setdefault(command.desired, command.desired)
            said.append(Said(structs.replace(command, desired=desired), at))
        return said

    async def _models(
        self, topic: str, decode: Callable[[bytes], Model]
    ) -> AsyncIterator[tuple[Model, float]]:
        async for record in self._records(topic):
            if record.value is None:
                continue
            try:
                model = decode(record.value)
            except DecodeError:
                self._unreadable += 1
                continue
            if model.npc_id != self._npc_id:
                self._unreadable += 1
                continue
            at = record.timestamp / 1000
            self._since = min(at, self._since if self._since is not None else at)
            yield model, at

    async def _records(self, topic: str) -> AsyncIterator[Any]:
        key = encode_key(self._npc_id)
        async for record in records(self._connection, topic, key, self._told(topic)):
            yield record
