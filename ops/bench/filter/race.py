"""One contender on the backlog: started, watched until everything is committed, stopped, read.

The clock runs from the first look at which the warm-up is committed to the first at which all is;
the records in between are those of the looks. Every contender commits once a second or more often.
`raw` commits nothing and brings its own figures.
"""

import asyncio
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import psutil
from aiokafka import TopicPartition
from aiokafka.admin import NewTopic

from ops.bench.filter.backlog import Backlog
from ops.bench.filter.figures import ROLLCALL, Run
from ops.bench.filter.groups import Committed, ends, place
from ops.bench.filter.order import Order
from ops.bench.filter.outputs import Outputs, outputs_of
from ops.bench.filter.process import (
    Entry,
    GivenUpError,
    clean_environment,
    demand_alive,
    processor_time,
    started,
    stop,
    worker_command,
)
from ops.bench.filter.raw import Report
from ops.bench.filter.reading import read_commands
from ops.demo.workers import last_line, peak_memory
from ops.failure import Failure
from ops.tables import admin_client
from ops.topics_admin import apply
from streams.topology import Role, group_id
from topics.catalogue import (
    BY_NAME,
    LOCATIONS,
    NPC_ROSTER,
    NPC_SNAPSHOTS,
    NPC_UPDATE_COMMANDS,
    PARTITIONS,
    PLAYER_PROFILES,
    topic_name,
)
from topics.connection import KafkaConnection
from topics.models import Reason

RAW = "raw"
MODULES = {
    "faust": "ops.bench.filter.plain_faust",
    "quix": "ops.bench.filter.quix",
    RAW: "ops.bench.filter.raw",
}
"""Where the contenders of ours are; each is a process that takes an `Order`."""

LOOK = 0.025
"""Seconds between two looks at the offsets."""

PATIENCE = 90.0
"""Seconds without progress after which a contender is given up; it may take so long to begin."""


class Look(NamedTuple):
    """How far a contender was. `at`: by the monotonic clock; `wall`: since the epoch."""

    at: float
    wall: float
    committed: int
    processor: float


class Finish(NamedTuple):
    """What came of it; `outputs` None: it has none to be compared."""

    run: Run
    outputs: Outputs | None


class Race:
    """A backlog, on which contenders run one after the other."""

    def __init__(self, connection: KafkaConnection, backlog: Backlog, folder: Path) -> None:
        self._connection, self._backlog, self._folder = connection, backlog, folder
        self._runs = 0

    async def run(self, name: str, number: int) -> Finish:
        """One contender, in a round. Its fault stands in the run; a Failure is the machine's."""
        load = psutil.getloadavg()[0]
        entry = await self._entry(name)
        with started(entry) as process:
            if name == RAW:
                return Finish(await self._reported(process, entry, number, load), None)
            run, begin = await self._watched(process, entry, number, load)
            await asyncio.to_thread(stop, process)
        if run.fault is not None or begin is None:
            return Finish(run, None)
        commands = await read_commands(self._connection, entry.commands)
        decided = [one.issued_at for one in commands if one.reason is not Reason.VERIFY]
        outputs = outputs_of(commands)
        return Finish(
            msgspec.structs.replace(
                run,
                commands=outputs.commands,
                refreshes=outputs.refreshes,
                repeats=outputs.repeats,
                decided_seconds=max(decided, default=begin.wall) - begin.wall,
            ),
            outputs,
        )

    # before the start

    async def _entry(self, name: str) -> Entry:
        self._runs += 1
        prefix = f"{self._connection.topic_prefix}{name}-{self._runs}-"
        folder = self._folder / f"{name}-{self._runs}"
        folder.mkdir(parents=True)
        environment = clean_environment(self._connection, folder)
        log = folder / "log"
        if name == ROLLCALL:
            await self._begin_anew()
            group = group_id(Role.FILTER, self._connection.topic_prefix)
            commands = self._connection.topic(NPC_UPDATE_COMMANDS)
            return Entry(name, group, commands, worker_command(), environment, log)
        commands = topic_name(prefix, NPC_UPDATE_COMMANDS)
        if name != RAW:
            await _create(self._connection, commands)
        order = Order(
            source=self._connection.topic(NPC_SNAPSHOTS),
            commands=commands,
            group=f"{prefix}filter",
            folder=str(folder),
            prefix=self._connection.topic_prefix,
            records=self._backlog.records,
            warm_up=self._backlog.warm_up,
        )
        text = msgspec.json.encode(order).decode()
        command = [sys.executable, "-m", MODULES[name], text]
        return Entry(name, order.group, commands, command, environment, log, name == RAW)

    async def _begin_anew(self) -> None:
        """Put the group of rollcall at the beginning, without states and commands.

        It has judged the reference topics, as a worker that comes back has: only it reads them in
        its group, and that is no part of a filter.
        """
        group = group_id(Role.FILTER, self._connection.topic_prefix)
        async with admin_client(self._connection) as admin:
            changelogs = [
                name
                for name in await admin.list_topics()
                if name.startswith(group) and name.endswith("-changelog")
            ]
            await _delete(admin, [*changelogs, self._connection.topic(NPC_UPDATE_COMMANDS)])
        await apply(self._connection)
        reference = [self._connection.topic(n) for n in (NPC_ROSTER, LOCATIONS, PLAYER_PROFILES)]
        source = self._connection.topic(NPC_SNAPSHOTS)
        begin = {TopicPartition(source, number): 0 for number in range(PARTITIONS)}
        await place(self._connection, group, begin | await ends(self._connection, reference))

    # while it runs

    async def _watched(
        self, process: "subprocess.Popen[bytes]", entry: Entry, number: int, load: float
    ) -> tuple[Run, Look | None]:
        begin, fault = None, None
        async with admin_client(self._connection) as admin:
            source = self._connection.topic(NPC_SNAPSHOTS)
            committed = Committed(admin, entry.group, source)
            try:
                begin = await until_committed(self._backlog.warm_up, committed, process, entry)
                end = await until_committed(self._backlog.records, committed, process, entry)
            except GivenUpError as error:
                end, fault = begin or Look(0.0, 0.0, 0, 0.0), str(error)
        first = begin or end
        return Run(
            contender=entry.name,
            round=number,
            npcs=self._backlog.npcs,
            records=end.committed - first.committed,
            seconds=end.at - first.at,
            processor=end.processor - first.processor,
            peak_memory=peak_memory(process.pid) or 0,
            load=load,
            fault=fault,
        ), begin

    async def _reported(
        self, process: "subprocess.Popen[bytes]", entry: Entry, number: int, load: float
    ) -> Run:
        output, _ = await asyncio.to_thread(process.communicate)
        try:
            report = msgspec.json.decode(output, type=Report)
        except msgspec.DecodeError as error:
            raise Failure(
                f"`{entry.name}` ended without figures: {last_line(entry.log)}"
            ) from error
        return Run(
            contender=entry.name,
            round=number,
            npcs=self._backlog.npcs,
            records=report.records,
            seconds=report.seconds,
            processor=report.processor,
            peak_memory=report.peak_memory,
            load=load,
        )


async def until_committed(
    goal: int, committed: Committed, process: "subprocess.Popen[bytes]", entry: Entry
) -> Look:
    """The first look at which so many records are committed. Raises GivenUpError."""
    moved, most = time.monotonic(), -1
    while True:
        count, at = await committed.count(), time.monotonic()
        demand_alive(process, entry)
        if count >= goal:
            return Look(at, time.time(), count, processor_time(process.pid))
        if count > most:
            moved, most = at, count
        if at - moved > PATIENCE:
            raise GivenUpError(f"stood still at {most:,} committed records, {goal:,} are there")
        await asyncio.sleep(LOOK)


async def _create(connection: KafkaConnection, commands: str) -> None:
    """A topic for commands, as the catalogue has it."""
    configs = BY_NAME[NPC_UPDATE_COMMANDS].configs
    async with admin_client(connection) as admin:
        await admin.create_topics([NewTopic(commands, PARTITIONS, 1, topic_configs=configs)])
        await _until(admin, {commands}, there=True)


async def _delete(admin: Any, names: list[str]) -> None:
    there = [name for name in names if name in await admin.list_topics()]
    if there:
        await admin.delete_topics(there)
        await _until(admin, set(there), there=False)


async def _until(admin: Any, names: set[str], *, there: bool) -> None:
    deadline = time.monotonic() + PATIENCE
    while (found := names & set(await admin.list_topics())) != (names if there else set()):
        if time.monotonic() > deadline:
            raise Failure(f"the broker did not make or delete {', '.join(sorted(found or names))}.")
        await asyncio.sleep(0.1)
