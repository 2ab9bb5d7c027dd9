"""The whole chain for tests: topics under a prefix of their own, worker processes, everything read.

Nothing here sleeps for luck: `until` asks again and again for a condition, and says what it waited
for when its time is up.
"""

import asyncio
import contextlib
import inspect
import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, TypeVar
from uuid import uuid4

import httpx
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from letta_client import AsyncLetta
from prometheus_client.parser import text_string_to_metric_families

from ops.embedded.ports import free_port
from topics.catalogue import (
    CATALOGUE,
    DEAD_LETTERS,
    NPC_SNAPSHOTS,
    NPC_UPDATE_COMMANDS,
    NPC_UPDATE_RESULTS,
)
from topics.connection import KafkaConnection
from topics.dead_letter import DeadLetter, parse_headers
from topics.decode import decode_command, decode_result
from topics.models import UpdateCommand, UpdateResult
from topics.producer import Producer
from topics.publisher import Publisher

ROOT = Path(__file__).parents[2]
PATIENCE = 45.0
"""Seconds a test waits for what shall happen; two busy cores take their time."""

T = TypeVar("T")
Record: TypeAlias = Any
"""A ConsumerRecord of bytes; aiokafka has no types."""


async def until(condition: Callable[[], Any], what: str, within: float = PATIENCE) -> Any:
    """Ask until the answer is true; the answer. `condition` may be a coroutine function."""
    deadline = time.monotonic() + within
    while True:
        answer = condition()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:.0f} s: {what}")
        await asyncio.sleep(0.05)


def new_prefix() -> str:
    return f"it-{uuid4().hex[:8]}."


def new_id(kind: str = "npc") -> str:
    return f"{kind}-{uuid4().hex[:10]}"


def json_bytes(value: object) -> bytes:
    return json.dumps(value).encode()


# ---------------------------------------------------------------- topics


@contextlib.asynccontextmanager
async def topics_of(connection: KafkaConnection) -> AsyncIterator[None]:
    """All topics of the catalogue; taken away in the end, with those that workers made."""
    admin = AIOKafkaAdminClient(**connection.client_options())
    await admin.start()
    try:
        await _create(admin, connection)
        yield
    finally:
        theirs = [name for name in await admin.list_topics() if _is_of(connection, name)]
        await admin.delete_topics(theirs)
        await admin.close()


def _is_of(connection: KafkaConnection, topic: str) -> bool:
    return topic.startswith(connection.topic_prefix)


async def _create(admin: AIOKafkaAdminClient, connection: KafkaConnection) -> None:
    await admin.create_topics(
        [
            NewTopic(connection.topic(t.name), t.partitions, 1, topic_configs=t.configs)
            for t in CATALOGUE
        ]
    )
    names = [connection.topic(topic.name) for topic in CATALOGUE]
    await until(lambda: _all_have_leaders(admin, names), "a leader for every new partition")


async def _all_have_leaders(admin: AIOKafkaAdminClient, names: list[str]) -> bool:
    if not set(names) <= set(await admin.list_topics()):
        return False
    return all(
        topic["error_code"] == 0
        and all(p["error_code"] == 0 and p["leader"] >= 0 for p in topic["partitions"])
        for topic in await admin.describe_topics(names)
    )


# ---------------------------------------------------------------- workers


@dataclass
class Worker:
    """A worker process of one role; its log is kept for whoever wants to know why a test failed."""

    role: str
    environment: Mapping[str, str]
    log: Path
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> "Worker":
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "streams.worker", self.role],
                cwd=ROOT,
                env={
                    **os.environ,
                    **self.environment,
                    "ROLLCALL_METRICS_PORT": str(self.port),
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    @property
    def running(self) -> "subprocess.Popen[bytes]":
        assert self.process is not None
        return self.process

    def kill(self) -> None:
        """As a power cut would: no chance to finish anything."""
        self.running.send_signal(signal.SIGKILL)
        self.running.wait()

    def stop(self, patience: float = 30.0) -> int:
        """SIGTERM; its exit code. Killed where it does not end by itself."""
        if self.running.poll() is None:
            self.running.terminate()
        try:
            return self.running.wait(patience)
        except subprocess.TimeoutExpired:
            self.running.kill()
            self.running.wait()
            raise

    def is_alive(self) -> bool:
        return self.running.poll() is None

    def words(self) -> str:
        return self.log.read_text(errors="replace")

    async def metrics(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """Every sample of its metrics page."""
        async with httpx.AsyncClient(trust_env=False) as client:
            page = (await client.get(f"http://127.0.0.1:{self.port}/metrics")).text
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(page)
            for sample in family.samples
        }

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples of a name that have these labels; 0 while there are none."""
        return sum(
            value
            for (found, of), value in (await self.metrics()).items()
            if found == name and labels.items() <= dict(of).items()
        )


# ---------------------------------------------------------------- reading


class Reader:
    """Every record of some topics, old and new, in the order of each partition."""

    def __init__(self, connection: KafkaConnection, *names: str) -> None:
        self._connection, self._names = connection, names
        self._records: dict[str, list[Record]] = defaultdict(list)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Reader":
        consumer = AIOKafkaConsumer(
            *[self._connection.topic(name) for name in self._names],
            **self._connection.client_options(),
            auto_offset_reset="earliest",
            fetch_max_wait_ms=100,
        )
        await consumer.start()
        self._task = asyncio.create_task(self._read(consumer))
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        prefix = self._connection.topic_prefix
        try:
            async for record in consumer:
                self._records[record.topic.removeprefix(prefix)].append(record)
        finally:
            await consumer.stop()

    def of(self, name: str, key: str | None = None) -> list[Record]:
        """The records of a topic so far, of one key or of all."""
        wanted = None if key is None else key.encode()
        return [r for r in self._records[name] if wanted is None or r.key == wanted]


# ---------------------------------------------------------------- all of it


class Town:
    """One prefix: its topics, its workers, a publisher, and a reader of what comes out."""

    def __init__(self, connection: KafkaConnection, folder: Path, letta_url: str = "") -> None:
        self.connection = connection
        self.folder = folder
        self.letta_url = letta_url
        self.workers: dict[str, Worker] = {}
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> "Town":
        enter = self._stack.enter_async_context
        await enter(topics_of(self.connection))
        self.read = await enter(
            Reader(
                self.connection,
                NPC_SNAPSHOTS,
                NPC_UPDATE_COMMANDS,
                NPC_UPDATE_RESULTS,
                DEAD_LETTERS,
            )
        )
        self.publish = await enter(Publisher(self.connection))
        self._producer = Producer(
            **self.connection.client_options(), max_request_size=2**24, compression_type="gzip"
        )
        await enter(self._producer)
        if self.letta_url:
            self.letta = await enter(Letta(self.letta_url))
        return self

    async def __aexit__(self, *details: Any) -> None:
        for worker in self.workers.values():
            if worker.is_alive():
                worker.running.terminate()
        try:
            for worker in self.workers.values():
                await asyncio.to_thread(worker.stop)
        finally:
            await self._stack.__aexit__(*details)

    def start(self, role: str, **settings: object) -> Worker:
        """A worker of this town; `settings` by their environment names without ROLLCALL_.

        In the place of one that was killed; its log goes on.
        """
        environment = {
            "ROLLCALL_BROKER": f"kafka://{self.connection.bootstrap_servers[0]}",
            "ROLLCALL_TOPIC_PREFIX": self.connection.topic_prefix,
            "ROLLCALL_DATA_DIR": str(self.folder),
            "ROLLCALL_LETTA_URL": self.letta_url or "http://127.0.0.1:1",
            "ROLLCALL_LOG_FORMAT": "json",
            "ROLLCALL_PARKED_RETRY_INTERVAL": "1",
            **{f"ROLLCALL_{name}": str(value) for name, value in settings.items()},
        }
        worker = Worker(role, environment, self.folder / f"{role}.log").start()
        self.workers[role] = worker
        return worker

    # what goes in

    async def raw(
        self,
        name: str,
        key: str | bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> Record:
        """Bytes as they are; where they came to stand."""
        key, topic = key.encode() if isinstance(key, str) else key, self.connection.topic(name)
        return await self._producer.send_and_wait(topic, value, key, headers=list(headers))

    async def see(self, npc_id: str, at: float, *players: tuple[str, str], **more: Any) -> None:
        """A snapshot of an NPC with these players (id, name) near it."""
        near = [{"id": player_id, "name": name} for player_id, name in players]
        await self.publish.snapshot(
            {"npc_id": npc_id, "observed_at": at, "nearby_players": near, **more}
        )

    # what comes out

    def commands(self, npc_id: str) -> list[UpdateCommand]:
        return [decode_command(r.value) for r in self.read.of(NPC_UPDATE_COMMANDS, npc_id)]

    def results(self, npc_id: str) -> list[UpdateResult]:
        return [decode_result(r.value) for r in self.read.of(NPC_UPDATE_RESULTS, npc_id)]

    def dead_letters(self, key: str | None = None) -> list[tuple[Record, DeadLetter]]:
        return [(r, parse_headers(r.headers)) for r in self.read.of(DEAD_LETTERS, key)]

    async def reasons(self, npc_id: str, count: int) -> list[str]:
        """Why the commands for an NPC were sent, once there are so many."""
        await until(lambda: len(self.commands(npc_id)) >= count, f"{count} commands for {npc_id}")
        return [command.reason.value for command in self.commands(npc_id)]

    async def finished(self, npc_id: str, count: int) -> list[UpdateResult]:
        """The results of an NPC's commands, once there are so many."""
        await until(lambda: len(self.results(npc_id)) >= count, f"{count} results for {npc_id}")
        return self.results(npc_id)


class Letta:
    """Letta agents for tests, taken away in the end with their blocks."""

    def __init__(self, url: str) -> None:
        self._client = AsyncLetta(base_url=url, api_key="none", max_retries=2, timeout=30)
        self._made: list[str] = []

    async def __aenter__(self) -> "Letta":
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*map(self._remove, self._made))
        await self._client.close()

    async def agent(self, *tags: str, **blocks: str) -> str:
        """A new agent that needs no model; its id."""
        agent = await self._client.agents.create(
            name=new_id("rollcall-test"),
            model="letta/letta-free",
            embedding="letta/letta-free",
            include_base_tools=False,
            tags=list(tags),
            memory_blocks=[{"label": label, "value": text} for label, text in blocks.items()],
        )
        self._made.append(agent.id)
        return agent.id

    async def blocks(self, agent_id: str) -> dict[str, Any]:
        """What its blocks hold, by label; {} in the place of what is no JSON."""
        agent = await self._client.agents.retrieve(agent_id, include=["agent.blocks"])
        return {str(block.label): _read(block.value) for block in agent.blocks or []}

    async def write(self, agent_id: str, label: str, value: object) -> None:
        """As the NPC itself would write into its memory."""
        agent = await self._client.agents.retrieve(agent_id, include=["agent.blocks"])
        [block_id] = [block.id for block in agent.blocks or [] if block.label == label]
        assert block_id is not None
        await self._client.blocks.update(block_id, value=json.dumps(value))

    async def metadata(self, agent_id: str, label: str) -> Any:
        """What the writer noted about one block."""
        return (await self._block(agent_id, label)).metadata

    async def drop(self, agent_id: str, label: str) -> None:
        """Somebody deletes a block."""
        await self._client.blocks.delete(str((await self._block(agent_id, label)).id))

    async def _block(self, agent_id: str, label: str) -> Any:
        agent = await self._client.agents.retrieve(agent_id, include=["agent.blocks"])
        [block] = [block for block in agent.blocks or [] if block.label == label]
        return block

    async def _remove(self, agent_id: str) -> None:
        agent = await self._client.agents.retrieve(agent_id, include=["agent.blocks"])
        await self._client.agents.delete(agent_id)
        for block in agent.blocks or []:
            await self._client.blocks.delete(str(block.id))


def _read(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return {}


def names_in(document: Mapping[str, Any]) -> set[str]:
    """Who stands in a `group_members` block."""
    return {member["name"] for member in document.get("members", {}).values()}


def names_of(command: UpdateCommand) -> set[str]:
    return {member.name for member in command.desired.members}


def last(items: Iterable[T]) -> T:
    return list(items)[-1]
