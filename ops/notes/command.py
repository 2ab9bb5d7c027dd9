"""`rollcall notes`: show what is kept of an NPC's notes beside its blocks, and take it away.

Read from the changelog of the writer's Table `notes`, of that NPC's partition alone, and from the
metadata of its blocks. A purge writes both, so it is refused while a writer runs: its Table in
memory would not hear of it and write the old notes again.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import click
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.partitioner import DefaultPartitioner

from ops.failure import Failure
from ops.letta_servers import server_of
from ops.notes import held as holding
from ops.notes.held import EVERYBODY, Held
from ops.tables import READ_TIMEOUT, admin_client, members_of, read_models
from streams.settings import Settings
from streams.topology import Role, group_id
from streams.writer.letta import LettaStore, connect
from streams.writer.notes import Kept, Place, UnreadableError, dump, load
from streams.writer.notes_table import NAME, key_of
from streams.writer.reconcile import KINDS
from streams.writer.stamp import read_stamp
from streams.writer.store import Block, StoreError, find_agent
from topics.catalogue import NPC_ROSTER, NPC_UPDATE_COMMANDS, PLAYER_PROFILES
from topics.connection import KafkaConnection
from topics.decode import decode_profile, decode_roster_entry
from topics.models import RosterEntry
from topics.producer import Producer

LABELS = tuple(kind.label for kind in KINDS)


@click.command()
@click.argument("npc_id", metavar="NPC")
@click.option(
    "--purge",
    is_flag=False,
    flag_value=EVERYBODY,
    default=None,
    metavar="[WHO]",
    help="Take away what is kept: of one person, by id or name, or of all.",
)
@click.option("--yes", is_flag=True, help="Purge without asking.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def notes(npc_id: str, purge: str | None, yes: bool, as_json: bool) -> None:
    """Print the notes that are kept of an NPC beside its memory blocks.

    Notes on players who are not there, which come back with them, and what did not fit into a
    block: its marker there says "kept aside, no. 3".

    \b
    rollcall notes npc-7
    rollcall notes npc-7 --purge Alice
    rollcall notes npc-7 --purge

    A purge needs every writer stopped, and Letta running.
    """
    asyncio.run(_run(npc_id, purge, yes, as_json))


async def _run(npc_id: str, whom: str | None, yes: bool, as_json: bool) -> None:
    connection, settings = KafkaConnection.from_environment(), Settings()
    book = _Book(connection, npc_id)
    await book.open()
    memory = _Memory(settings, book.entry, npc_id)
    try:
        await memory.read()
        helds = [
            Held(label, book.kept.get(label, Kept()), memory.stamp_of(label)) for label in LABELS
        ]
        if whom is None:
            _show(helds, book, memory, as_json)
        else:
            await _purge(helds, whom, book, memory, yes, as_json)
    finally:
        await memory.close()


def _show(helds: list[Held], book: "_Book", memory: "_Memory", as_json: bool) -> None:
    if as_json:
        blocks = {held.label: holding.as_json(held, book.names) for held in helds if held}
        told = {"npc_id": book.npc_id, "blocks": blocks, "unreadable": sorted(book.unreadable)}
        click.echo(json.dumps({**told, "letta": memory.why_not or "read"}, indent=2))
        return
    found = [line for held in helds if held for line in holding.lines(held, book.names)]
    click.echo("\n".join(found) or f"Nothing is kept of {book.npc_id}.")
    for label in sorted(book.unreadable):
        click.echo(f"What the Table has of {label} cannot be read; a purge takes it away.")
    if memory.why_not:
        click.echo(f"What is on its way in the blocks is not shown: {memory.why_not}.", err=True)


async def _purge(
    helds: list[Held], whom: str, book: "_Book", memory: "_Memory", yes: bool, as_json: bool
) -> None:
    if memory.why_not and not memory.is_agentless:
        raise Failure(f"nothing was purged: {memory.why_not}.")
    await _demand_no_writer(book.connection)
    purged: dict[str, Any] = {}
    changes = []
    for held in helds:
        ids = holding.meant(held, whom, book.names)
        pieces = holding.pieces_meant(held, whom, ids)
        is_unreadable = held.label in book.unreadable and whom == EVERYBODY
        if ids or pieces or is_unreadable:
            numbers = [piece.no for piece in pieces]
            purged[held.label] = {"absent": sorted(ids), "aside": numbers}
            changes.append((held, holding.without(held, ids, pieces)))
    if not changes:
        raise Failure(f"nothing is kept of {book.npc_id}{f' about {whom!r}' if whom else ''}.")
    if not yes:
        click.confirm(f"Take away for good: {_said(purged)}?", abort=True, err=True)
    for before, after in changes:
        await book.write(after)
        await memory.write(before, after)
    told = {"npc_id": book.npc_id, "purged": purged}
    click.echo(json.dumps(told, indent=2) if as_json else f"Purged: {_said(purged)}.")


def _said(purged: Mapping[str, Any]) -> str:
    return "; ".join(
        f"{label}: notes on {len(of['absent'])} absent, {len(of['aside'])} pieces kept aside"
        for label, of in purged.items()
    )


async def _demand_no_writer(connection: KafkaConnection) -> None:
    group = group_id(Role.WRITER, connection.topic_prefix)
    async with admin_client(connection) as admin:
        members = await members_of(admin, group)
    if members:
        count = "a writer runs" if members == 1 else f"{members} writers run"
        raise Failure(
            f"nothing was purged: {count}, and would write the notes again; stop it first."
        )


@dataclass(slots=True)
class _Book:
    """The changelog of the Table, of one NPC; and what the game calls people."""

    connection: KafkaConnection
    npc_id: str
    kept: dict[str, Kept] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)
    names: dict[str, str] = field(default_factory=dict)
    entry: RosterEntry | None = None
    _partition: int = 0

    @property
    def _topic(self) -> str:
        return f"{group_id(Role.WRITER, self.connection.topic_prefix)}-{NAME}-changelog"

    async def open(self) -> None:
        """Reads it all. A missing topic holds nothing."""
        async with admin_client(self.connection) as admin:
            there = set(await admin.list_topics())
        if self._topic in there:
            await self._read_changelog()
        people: tuple[tuple[str, Any], ...] = (
            (PLAYER_PROFILES, decode_profile),
            (NPC_ROSTER, decode_roster_entry),
        )
        for topic, decode in people:
            if self.connection.topic(topic) in there:
                models, _ = await read_models(self.connection, topic, decode)
                self.names.update((who, str(model.name)) for who, model in models.items())
                found = models.get(self.npc_id)
                self.entry = found if isinstance(found, RosterEntry) else None

    async def write(self, after: Held) -> None:
        """A value in the place of what stands there."""
        key = key_of(self._partition, Place(self.npc_id, after.label))
        async with Producer(**self.connection.client_options()) as producer:
            await producer.send_and_wait(self._topic, dump(after.kept), key, self._partition)

    async def _read_changelog(self) -> None:
        consumer = AIOKafkaConsumer(
            **self.connection.client_options(), group_id=None, auto_offset_reset="earliest"
        )
        try:
            await consumer.start()
            self._partition = await self._find_partition(consumer)
            async with asyncio.timeout(READ_TIMEOUT):
                values = await self._values(consumer)
        except TimeoutError:
            raise Failure(f"{self._topic} could not be read to its end.") from None
        finally:
            await consumer.stop()
        for label in LABELS:
            try:
                self.kept[label] = load(values.get(self._key(label)))
            except UnreadableError:
                self.unreadable.add(label)

    def _key(self, label: str) -> bytes:
        return key_of(self._partition, Place(self.npc_id, label))

    async def _find_partition(self, consumer: Any) -> int:
        """That of the NPC's commands: where every publisher puts its key."""
        topic = self.connection.topic(NPC_UPDATE_COMMANDS)
        consumer.subscribe([topic, self._topic])
        await consumer.getmany(timeout_ms=0)
        found = consumer.partitions_for_topic(topic) or consumer.partitions_for_topic(self._topic)
        consumer.unsubscribe()
        numbers = sorted(found or {0})
        return int(DefaultPartitioner()(self.npc_id.encode(), numbers, numbers))

    async def _values(self, consumer: Any) -> dict[bytes, bytes | None]:
        partition = TopicPartition(self._topic, self._partition)
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        end = (await consumer.end_offsets([partition]))[partition]
        wanted = {self._key(label) for label in LABELS}
        values: dict[bytes, bytes | None] = {}
        while await consumer.position(partition) < end:
            for record in (await consumer.getmany(partition, timeout_ms=500)).get(partition, []):
                if record.key in wanted:
                    values[record.key] = record.value
        return values


class _Memory:
    """The NPC's blocks in Letta, if they can be read."""

    def __init__(self, settings: Settings, entry: RosterEntry | None, npc_id: str) -> None:
        server = server_of(settings, npc_id, entry)
        self._store: LettaStore = connect(server.url, server.token, settings.letta_timeout)
        self._agent_id, self._npc_id = entry.agent_id if entry else None, npc_id
        self._blocks: dict[str, Block] = {}
        self.why_not = ""
        self.is_agentless = False

    async def read(self) -> None:
        """Its blocks; `why_not` tells why there are none."""
        try:
            agent_id = self._agent_id or await find_agent(self._store, self._npc_id)
            if agent_id is None:
                self.is_agentless, self.why_not = True, "the NPC has no Letta agent"
                return
            self._blocks = await self._store.read(agent_id)
        except StoreError as error:
            self.why_not = str(error)

    def stamp_of(self, label: str) -> Any:
        """What its metadata notes."""
        block = self._blocks.get(label)
        return read_stamp(block.metadata if block else {})

    async def write(self, before: Held, after: Held) -> None:
        """The metadata alone: the value is the NPC's to change meanwhile."""
        block = self._blocks.get(before.label)
        if block is not None and before.stamp != after.stamp:
            metadata = holding.metadata_without(block.metadata, after.stamp)
            await self._store.client.blocks.update(block.id, metadata=metadata)

    async def close(self) -> None:
        """Closes the connections."""
        await self._store.close()
