"""The topics that the three measurements share, the workers on them, and the commands that come."""

import asyncio
import signal
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, Self

import psutil
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import NewTopic
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment

from ops.bench.filter.process import Entry, clean_environment, demand_alive, started, worker_command
from ops.failure import Failure
from ops.tables import admin_client
from ops.topics_admin import apply
from streams.topology import Role, group_id
from topics.catalogue import BY_NAME, NPC_SNAPSHOTS, NPC_UPDATE_COMMANDS, PARTITIONS
from topics.connection import KafkaConnection
from topics.decode import decode_command
from topics.encode import encode_key
from topics.models import Reason

PATIENCE = 120.0
"""Seconds after which what is waited for is given up."""


class Worker(NamedTuple):
    """A filter worker. `started_at`: seconds since the epoch, before its process was made."""

    entry: Entry
    process: "subprocess.Popen[bytes]"
    started_at: float

    def rss(self) -> int:
        """Its resident memory, bytes."""
        demand_alive(self.process, self.entry)
        return int(psutil.Process(self.process.pid).memory_info().rss)

    async def end(self, how: signal.Signals) -> None:
        """Sends a signal and waits until the process is gone."""
        self.process.send_signal(how)
        await asyncio.to_thread(self.process.wait, PATIENCE)


class Bed:
    """Topics of their own, and filter workers with default settings on them.

    `settings`: of the workers, `ROLLCALL_*` without the prefix, where they are not the default.
    """

    def __init__(
        self, connection: KafkaConnection, folder: Path, settings: Mapping[str, str]
    ) -> None:
        self.connection = connection
        self.source = connection.topic(NPC_SNAPSHOTS)
        self.group = group_id(Role.FILTER, connection.topic_prefix)
        self._folder = folder
        self._environment = clean_environment(connection, folder) | {
            f"ROLLCALL_{name}": value for name, value in settings.items()
        }
        self._workers = 0

    async def lay(self) -> None:
        """The topics; the broker dates the commands itself."""
        configs = BY_NAME[NPC_UPDATE_COMMANDS].configs | {"message.timestamp.type": "LogAppendTime"}
        name = self.connection.topic(NPC_UPDATE_COMMANDS)
        async with admin_client(self.connection) as admin:
            await admin.create_topics([NewTopic(name, PARTITIONS, 1, topic_configs=configs)])
        await apply(self.connection)

    @contextmanager
    def worker(self) -> Iterator[Worker]:
        """A worker that has just been started; gone in the end."""
        self._workers += 1
        log = self._folder / f"worker-{self._workers}.log"
        commands = self.connection.topic(NPC_UPDATE_COMMANDS)
        entry = Entry(log.stem, self.group, commands, worker_command(), self._environment, log)
        began = time.time()
        with started(entry) as process:
            yield Worker(entry, process, began)

    async def holders(self, admin: Any) -> dict[int, str]:
        """The member of the group that holds each partition of the source."""
        found: dict[int, str] = {}
        for answer in await admin.describe_consumer_groups([self.group]):
            for group in answer.groups:
                for member in group[5]:
                    found |= dict.fromkeys(self._held(member[4]), member[0])
        return found

    def _held(self, assignment: bytes) -> list[int]:
        if not assignment:
            return []
        told = ConsumerProtocolMemberAssignment.decode(assignment).assignment
        return [number for topic, numbers in told for number in numbers if topic == self.source]


class Commands:
    """Follows the commands: when each was appended, and the answers to probes."""

    def __init__(self, connection: KafkaConnection) -> None:
        self._connection = connection
        self._topic = connection.topic(NPC_UPDATE_COMMANDS)
        self.appended: defaultdict[int, list[float]] = defaultdict(list)
        """When commands of each partition were, seconds since the epoch, since it was cleared."""
        self._probes: dict[bytes, float] = {}
        self._answers: dict[bytes, float] = {}
        self._answered = asyncio.Event()
        self._follower: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._consumer = AIOKafkaConsumer(**self._connection.client_options(), group_id=None)
        await self._consumer.start()
        places = [TopicPartition(self._topic, number) for number in range(PARTITIONS)]
        self._consumer.assign(places)
        await self._consumer.seek_to_end(*places)
        self._follower = asyncio.create_task(self._follow())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._follower:
            self._follower.cancel()
            with suppress(asyncio.CancelledError):
                await self._follower
        await self._consumer.stop()

    def expect(self, probes: Mapping[str, float]) -> None:
        """Look out for a command about each NPC, of a snapshot with this `observed_at`."""
        self._answers.clear()
        self._answered.clear()
        self._probes = {encode_key(npc_id): at for npc_id, at in probes.items()}

    async def answers(self) -> list[float]:
        """When each of them was appended, ascending. A Failure where one does not come."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self._answered.wait()
        except TimeoutError:
            missing = len(self._probes) - len(self._answers)
            raise Failure(f"{missing} commands did not come in {PATIENCE:.0f} s.") from None
        return sorted(self._answers.values())

    async def _follow(self) -> None:
        async for record in self._consumer:
            at = record.timestamp / 1000
            self.appended[record.partition].append(at)
            wanted = self._probes.get(record.key)
            if wanted is None or record.value is None or record.key in self._answers:
                continue
            command = decode_command(record.value)
            if command.reason is not Reason.VERIFY and command.observed_at == wanted:
                self._answers[record.key] = at
                if len(self._answers) == len(self._probes):
                    self._answered.set()
