"""Where a stretch comes from: a topic with what its world knows, or a file. One shape for both."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

from ops.replay import files
from ops.replay.batch import Batch, Echoes
from ops.replay.beside import Beside
from ops.replay.dry_run import Known
from ops.replay.exported import Head
from ops.replay.reading import KNOWN_TOPICS, OnProgress, Wanted, known_records
from ops.replay.regression import is_shown
from ops.replay.settings import DECISIVE
from ops.replay.stored import Stored
from ops.tables import demand_topics, silence_client
from streams.settings import Settings
from topics.connection import KafkaConnection

_BATCH = 1000
"""Records of a file that are taken together."""


class Source(Protocol):
    """A stretch that can be read once."""

    @property
    def head(self) -> Head:
        """What is shown of it, and under which settings it was decided."""
        ...

    def known(self) -> AsyncIterator[Stored]:
        """Roster, locations and profiles."""
        ...

    def batches(self) -> AsyncIterator[Batch]:
        """Records in order, those before the stretch itself among them."""
        ...


@dataclass(slots=True)
class TopicSource:
    """From Kafka. `reading`: of what is wanted, and of what led to it."""

    connection: KafkaConnection
    wanted: Wanted
    reading: Beside
    on_progress: OnProgress

    @property
    def head(self) -> Head:
        wanted = self.wanted
        settings = Settings()
        told = {name: str(getattr(settings, name)) for name in DECISIVE}
        return Head(
            rollcall_stretch=1,
            topic=wanted.topic,
            since=wanted.since,
            until=wanted.until,
            settings=told,
        )

    async def known(self) -> AsyncIterator[Stored]:
        await self.demand()
        async for record in known_records(self.connection):
            yield record

    async def batches(self) -> AsyncIterator[Batch]:
        await self.demand()
        async for batch in self.reading.batches(self.on_progress):
            yield batch

    async def demand(self) -> None:
        """A Failure where a topic is missing."""
        silence_client()
        await demand_topics(self.connection, (self.wanted.topic, *KNOWN_TOPICS))


@dataclass(slots=True)
class FileSource:
    """From an export; `npc_id`: only the records of this key."""

    file: Path
    npc_id: str | None = None

    @property
    def head(self) -> Head:
        return files.head_of(self.file)

    async def known(self) -> AsyncIterator[Stored]:
        for record in files.read(self.file):
            if record.topic not in KNOWN_TOPICS:
                return
            yield record

    async def batches(self) -> AsyncIterator[Batch]:
        key = None if self.npc_id is None else self.npc_id.encode()
        told = (
            record
            for record in files.read(self.file)
            if record.topic not in KNOWN_TOPICS and (key is None or record.key == key)
        )
        echoes = Echoes()
        while records := list(islice(told, _BATCH)):
            yield Batch.of(records, echoes)


async def heard(source: Source) -> Known:
    """What the source tells of the world."""
    known = Known()
    async for record in source.known():
        known.hear(record)
    return known


async def shown(source: Source) -> AsyncIterator[list[Stored]]:
    """The records of the stretch itself."""
    since = source.head.since
    async for batch in source.batches():
        yield [record for record in batch.records() if is_shown(record, since)]
