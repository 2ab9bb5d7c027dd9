"""rollcall's filter on a live feed: seconds from a snapshot's sending to its command in Kafka.

A snapshot bears the time at which it was handed to its producer, and its command the same as
`observed_at`; the broker dates the commands when it appends them. Both clocks are this machine's.
The first cadences, in which every NPC is seen for the first time, do not count.
"""

import asyncio
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from aiokafka.admin import NewTopic

from ops.bench.filter.backlog import town_of, write_reference
from ops.bench.filter.feed import Order, Report
from ops.bench.filter.figures import ROLLCALL
from ops.bench.filter.groups import Committed
from ops.bench.filter.process import (
    Entry,
    GivenUpError,
    clean_environment,
    demand_alive,
    started,
    worker_command,
)
from ops.bench.filter.race import until_committed
from ops.bench.filter.reading import read_records
from ops.demo.game import CADENCE
from ops.demo.summary import percentile
from ops.demo.workers import peak_memory
from ops.embedded.progress import Progress
from ops.failure import Failure
from ops.tables import admin_client, members_of
from ops.topics_admin import apply
from streams.topology import Role, group_id
from topics.catalogue import BY_NAME, NPC_SNAPSHOTS, NPC_UPDATE_COMMANDS, PARTITIONS
from topics.connection import KafkaConnection
from topics.decode import decode_command
from topics.models import Reason
from topics.producer import Producer

SETTLE = 3 * CADENCE
"""Seconds of the feed that do not count."""

_JOIN_PATIENCE = 90.0


class Feed(NamedTuple):
    """So many snapshots a second for so long; an NPC for each that falls into a cadence."""

    rate: int
    seconds: float
    seed: int

    @property
    def npcs(self) -> int:
        """Each is told of once a cadence."""
        return round(self.rate * CADENCE)

    @property
    def records(self) -> int:
        """With those that do not count."""
        return round(self.rate * (SETTLE + self.seconds))


class Latency(NamedTuple):
    """Seconds from snapshot to command; `commands` that counted."""

    npcs: int
    rate: float
    """Snapshots a second, as they were sent."""
    lateness_p99: float
    commands: int
    p50: float
    p99: float
    worst: float
    peak_memory: int


async def measure(
    connection: KafkaConnection, feed: Feed, folder: Path, progress: Progress
) -> Latency:
    """On topics that are not there yet."""
    await _prepare(connection, feed, progress)
    group = group_id(Role.FILTER, connection.topic_prefix)
    commands = connection.topic(NPC_UPDATE_COMMANDS)
    environment = clean_environment(connection, folder)
    entry = Entry(ROLLCALL, group, commands, worker_command(), environment, folder / "log")
    with started(entry) as process:
        try:
            report = await _through(connection, feed, entry, process, progress)
        except GivenUpError as error:
            raise Failure(f"The worker {error}.") from error
        memory = peak_memory(process.pid) or 0
    ages = list(_ages(await read_records(connection, commands), report.began + SETTLE))
    if not ages:
        raise Failure("no command came of the feed.")
    return Latency(
        npcs=feed.npcs,
        rate=feed.records / report.seconds,
        lateness_p99=report.lateness_p99,
        commands=len(ages),
        p50=percentile(ages, 50) or 0.0,
        p99=percentile(ages, 99) or 0.0,
        worst=max(ages),
        peak_memory=memory,
    )


async def _through(
    connection: KafkaConnection,
    feed: Feed,
    entry: Entry,
    process: "subprocess.Popen[bytes]",
    progress: Progress,
) -> Report:
    """The whole feed through a worker that has just been started. Raises GivenUpError."""
    async with admin_client(connection) as admin:
        progress.step("Starting the worker")
        await _until_joined(admin, entry, process)
        progress.step(f"Sending {feed.rate:,} snapshots a second for {feed.seconds:g} s")
        report = await asyncio.to_thread(_feed, feed, connection, entry.environment)
        committed = Committed(admin, entry.group, connection.topic(NPC_SNAPSHOTS))
        await until_committed(feed.records, committed, process, entry)
        return report


async def _prepare(connection: KafkaConnection, feed: Feed, progress: Progress) -> None:
    """The topics; the broker dates the commands itself."""
    configs = BY_NAME[NPC_UPDATE_COMMANDS].configs | {"message.timestamp.type": "LogAppendTime"}
    name = connection.topic(NPC_UPDATE_COMMANDS)
    async with admin_client(connection) as admin:
        await admin.create_topics([NewTopic(name, PARTITIONS, 1, topic_configs=configs)])
    await apply(connection)
    progress.step(f"Loading {feed.npcs:,} NPCs")
    async with Producer(**connection.client_options()) as producer:
        await write_reference(producer, connection, town_of(feed.npcs, feed.seed))


async def _until_joined(admin: Any, entry: Entry, process: "subprocess.Popen[bytes]") -> None:
    try:
        async with asyncio.timeout(_JOIN_PATIENCE):
            while not await members_of(admin, entry.group):
                demand_alive(process, entry)
                await asyncio.sleep(0.25)
    except TimeoutError:
        raise Failure(f"the worker did not join its group in {_JOIN_PATIENCE:.0f} s.") from None


def _feed(feed: Feed, connection: KafkaConnection, environment: Mapping[str, str]) -> Report:
    order = Order(feed.npcs, feed.records, feed.seed, connection.topic_prefix)
    text = msgspec.json.encode(order).decode()
    command = [sys.executable, "-m", "ops.bench.filter.feed", text]
    done = subprocess.run(command, env=dict(environment), capture_output=True, check=False)  # noqa: S603 - ours
    try:
        return msgspec.json.decode(done.stdout, type=Report)
    except msgspec.DecodeError as error:
        told = done.stderr.decode(errors="replace").strip()[-300:]
        raise Failure(f"the feed ended without a report: {told}") from error


def _ages(records: Iterable[Any], since: float) -> Iterable[float]:
    """Of commands that a snapshot led to, sent at `since` or later."""
    for record in records:
        command = decode_command(record.value)
        if command.reason is not Reason.VERIFY and command.observed_at >= since:
            yield record.timestamp / 1000 - command.observed_at
