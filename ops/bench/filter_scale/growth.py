"""Resident memory of one worker, from empty topics to a town whose NPCs were all seen twice."""

import asyncio
import gc
import time
from collections.abc import Iterator
from itertools import islice

import orjson

from ops.bench.filter.backlog import Lanes, snapshots, town_of, write_reference
from ops.bench.filter.groups import Committed
from ops.bench.filter.race import until_committed
from ops.bench.filter_scale.bed import Bed, Worker
from ops.demo.game import CADENCE, Record
from ops.demo.town import Town
from ops.embedded.progress import Progress
from ops.tables import admin_client, members_of
from topics.producer import Producer

REST = 5.0
"""Seconds until memory is looked at: what was fetched is gone, a second has been committed."""

_BATCH = 512 * 1024
_TELL_EVERY = 5_000


class Feed:
    """The town's snapshots, a round of them at a time; each NPC once in a round."""

    def __init__(self, npcs: int, seed: int) -> None:
        self.town: Town = town_of(npcs, seed)
        self._records: Iterator[Record] = snapshots(self.town, seed, 2 * npcs)
        self._began = time.time() - 3 * CADENCE
        self.example: dict[str, Record] = {}
        """The newest record of the first NPCs."""

    async def write(self, lanes: Lanes, progress: Progress, text: str) -> None:
        """A round, with times in the past; the game's time goes on between two rounds."""
        npcs = len(self.town.npcs)
        for number, record in enumerate(islice(self._records, npcs)):
            at = round(self._began + record.at, 3)
            await lanes.append(record.key, orjson.dumps(record.stamped(at)), at)
            if number < _EXAMPLES:
                self.example[record.key] = record
            if number % _TELL_EVERY == 0:
                progress.step(text, number / npcs)
                await asyncio.sleep(0)
        await lanes.flush()


_EXAMPLES = 2_000


async def grow(bed: Bed, worker: Worker, feed: Feed, progress: Progress) -> dict[str, int]:
    """Resident memory after each stretch, bytes, by what came in it."""
    found: dict[str, int] = {}
    async with (
        admin_client(bed.connection) as admin,
        Producer(**bed.connection.client_options(), max_batch_size=_BATCH) as producer,
    ):
        progress.step("Starting a worker on empty topics")
        await joined(bed, admin, worker)
        found["empty"] = await _at_rest(worker)
        npcs = len(feed.town.npcs)
        progress.step(f"Loading {npcs:,} NPCs")
        await write_reference(producer, bed.connection, feed.town)
        found["roster and profiles"] = await _at_rest(worker, 2 * REST)
        lanes = Lanes(producer, bed.source)
        committed = Committed(admin, bed.group, bed.source)
        for number, name in enumerate(("a snapshot of each", "a second one of each"), 1):
            await feed.write(lanes, progress, f"Writing {name}")
            await until_committed(number * npcs, committed, worker.process, worker.entry)
            found[name] = await _at_rest(worker)
    gc.freeze()  # so many objects: looking through them would make the measuring late
    return found


async def joined(bed: Bed, admin: object, worker: Worker, members: int = 1) -> None:
    """Returns once so many workers are in the group."""
    while await members_of(admin, bed.group) < members:
        worker.rss()  # it lives
        await asyncio.sleep(0.25)


async def _at_rest(worker: Worker, seconds: float = REST) -> int:
    await asyncio.sleep(seconds)
    return worker.rss()
