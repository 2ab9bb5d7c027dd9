"""The Table `notes`: what an NPC noted and its block does not hold, durable in its changelog.

    key     <partition>/<label of the block>/<npc_id>
    value   JSON, see `notes.Kept`

Only the owner of a partition writes it. A value that cannot be read is left as it is, and so is
the last one where the next would be too large for a record: the notes then stay in the metadata of
the block, as they would without a Table, and a log line says so.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from time import time
from uuid import uuid4

import faust
import structlog

from streams.faust_layer.app import generation_of, is_settled, owns
from streams.faust_layer.channels import raw_table
from streams.outbox import Outbox
from streams.partitioned_key import partitioned_key
from streams.writer.notes import Change, Kept, Place, UnreadableError, dump, load
from topics.catalogue import PARTITIONS
from topics.wire import RECORD_LIMIT

log = structlog.get_logger()

NAME = "notes"
VALUE_LIMIT = RECORD_LIMIT - 16 * 1024
"""Bytes of a value: the broker takes 1 MiB, key and framing included."""


class NotesTable:
    """The Table of one worker; see `notes.NotesStore`."""

    def __init__(
        self,
        app: faust.App,
        partitions: Mapping[str, int],
        deliver: Callable[[Awaitable[None]], Awaitable[None]],
    ) -> None:
        """`partitions`: by NPC id. `deliver`: awaits a delivery and deals with a failed one."""
        self._name, self._since = uuid4().hex[:8], (-1, "")
        self._app, self._partitions, self._deliver = app, partitions, deliver
        self._one_at_a_time = asyncio.Lock()
        self._unreadable: set[bytes] = set()
        self._table = raw_table(
            app,
            NAME,
            PARTITIONS,
            "writer: an NPC's notes on absent players, and what does not fit into its blocks",
        )

    @property
    def keeper(self) -> str:
        """When the group last gave this worker its partitions, by its clock, and its name.

        A worker that was taken for dead, and does not know it, keeps an older time. Where clocks
        differ by more than a rebalance takes, notes stay in the metadata: nothing worse.
        """
        generation = generation_of(self._app)
        if self._since[0] != generation:
            self._since = (generation, f"{int(time() * 1000):015d}-{self._name}")
        return self._since[1]

    def of(self, place: Place) -> Kept | None:
        """What stands there; None where it is not this worker's, or cannot be read."""
        partition = self._partitions.get(place.npc_id)
        if partition is None or not self._is_ours(partition):
            return None
        key = key_of(partition, place)
        try:
            return load(self._table.data.get(key))
        except UnreadableError as error:
            self._tell_unreadable(key, place, error)
            return None

    async def keep(self, place: Place, change: Change) -> None:
        """The changelog first, the local Table once that is acknowledged.

        Of what it has then: two commands of one NPC may overlap after a rebalance. Nothing happens
        where the partition went away meanwhile; the metadata has what is missing.
        """
        async with self._one_at_a_time:
            kept = self.of(place)
            if kept is None or change.keeper != self.keeper:
                return
            value = dump(change.of(kept))
            if len(value) > VALUE_LIMIT:
                self._tell_too_large(place, len(value))
                return
            outbox, partition = Outbox(), self._partitions[place.npc_id]
            outbox.change(self._table, partition, key_of(partition, place), value)
            await self._deliver(outbox.store())

    def _is_ours(self, partition: int) -> bool:
        return is_settled(self._app) and owns(self._app, self._table, partition)

    def _tell_too_large(self, place: Place, size: int) -> None:
        log.warning("notes_too_large", npc_id=place.npc_id, block=place.label, size=size)

    def _tell_unreadable(self, key: bytes, place: Place, error: UnreadableError) -> None:
        """Once a key: it is looked at with every command."""
        if key not in self._unreadable:
            self._unreadable.add(key)
            log.error("notes_unreadable", npc_id=place.npc_id, block=place.label, error=str(error))


def key_of(partition: int, place: Place) -> bytes:
    """The label comes first: an NPC id may have slashes of its own."""
    return partitioned_key(partition, f"{place.label}/{place.npc_id}")
