"""The writer on Faust: commands in, the write loop reconciles, results and acks out.

A command's record is acked once its result is acknowledged by the broker, in the order of its
partition; what was not acked comes again, and the fence in each block's stamp makes that safe.
Commands of NPCs without a Letta agent, and those that Letta refuses, wait in the `parked` Table, so
that they hold up no offset; a refused one is a dead letter as well. What an NPC noted and its block
does not hold stands in the `notes` Table.
"""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from functools import partial
from time import time
from typing import Any

import faust
import structlog
from faust.types import StreamT

from streams.barrier import OrderedAcks, Taken, delivered
from streams.broadcast import Broadcast
from streams.faust_layer.app import (
    ack_offset,
    before_shutdown,
    generation_of,
    owns,
    records,
    when_revoked,
)
from streams.faust_layer.channels import raw_table
from streams.faust_layer.producer import Outgoing
from streams.flusher import leave_process
from streams.health import Work
from streams.home import letta_number_of
from streams.letta_servers import LettaServer, UnknownServerError
from streams.metrics import Metrics
from streams.outbox import Outbox
from streams.partitioned_key import partitioned_key, split_key
from streams.reference import RosterTable, skip_unreadable
from streams.settings import Mode, Settings
from streams.topology import RawTopics
from streams.writer import parked
from streams.writer.breaker import Breaker, BreakerState
from streams.writer.direct_loop import CONCURRENCY, DirectLoop
from streams.writer.gate import Limit
from streams.writer.letta import LettaStore, connect
from streams.writer.limit import AdaptiveLimit, FixedLimit
from streams.writer.loop import WriteLoop
from streams.writer.loops import Loop, Loops
from streams.writer.notes_table import NotesTable
from streams.writer.priority import NAMES
from streams.writer.reconcile import Reconciler
from streams.writer.rules import Rules
from streams.writer.stamp import Mark
from streams.writer.store import PermanentError
from streams.writer.traces import Traces
from topics.catalogue import (
    DEAD_LETTERS,
    NPC_ROSTER,
    NPC_UPDATE_COMMANDS,
    NPC_UPDATE_RESULTS,
    PARTITIONS,
)
from topics.connection import KafkaConnection
from topics.decode import DecodeError, decode_command
from topics.encode import encode, encode_key
from topics.models import Outcome, UpdateCommand, UpdateResult

log = structlog.get_logger()

STAGE = "writer"
GAUGE_SECONDS = 1.0


class WriterAgent:
    """The writer role of a worker."""

    def __init__(
        self, app: faust.App, settings: Settings, connection: KafkaConnection, metrics: Metrics
    ) -> None:
        self._app = app
        self._settings = settings
        self._metrics = metrics
        self._partitions: dict[str, int] = {}
        self._requests = 0
        self._traces = Traces()
        self._topics = RawTopics(app, connection.topic_prefix)
        self._parked = raw_table(
            app,
            "parked",
            PARTITIONS,
            "writer: the newest command of each NPC without a Letta agent, or refused",
        )
        self._notes = NotesTable(app, self._partitions, _or_leave)
        self._roster = RosterTable(on_change=self._wake)
        self._broadcast = Broadcast(
            connection, self._topics.names([NPC_ROSTER]), skip_unreadable(self._roster.apply)
        )
        self._acks = OrderedAcks(lambda: generation_of(app), partial(ack_offset, app))
        self._started = asyncio.Event()
        self._stores: list[LettaStore] = []
        self._loops: Loops | None = None
        app.agent(self._topics[NPC_UPDATE_COMMANDS], name=STAGE)(self._take)
        app.task(self._run)
        self._parked.on_recover(self._restore_parked)
        when_revoked(app, self._withdraw)
        before_shutdown(app, self._drain)

    async def _run(self) -> None:
        await self._broadcast.start()
        servers = enumerate(self._settings.letta_servers, start=1)
        each = [self._new_loop(str(number), server) for number, server in servers]
        self._loops = Loops(each, self._server_of)
        await self._restore_parked()
        self._started.set()
        await asyncio.gather(self._broadcast.failed(), self._watch_loops(self._loops))

    def _new_loop(self, number: str, server: LettaServer) -> WriteLoop | DirectLoop:
        settings = self._settings
        made = connect(server.url, server.token, settings.letta_timeout, settings.letta_rate_limit)
        self._stores.append(made)
        store = made.observed_by(partial(self._count_call, number))
        if settings.mode is Mode.DIRECT:
            concurrency = settings.letta_concurrency or CONCURRENCY
            return DirectLoop(store, self._publish, self._agent_of, concurrency=concurrency)
        return WriteLoop(
            store,
            self._publish,
            self._agent_of,
            self._park,
            self._unpark,
            update=Reconciler(Rules.of(settings), self._notes),
            is_npc=lambda member: self._roster.roster.by_id(member) is not None,
            limit=_limit(settings),
            look_interval=settings.parked_retry_interval,
            breaker=Breaker(
                failures=settings.letta_breaker_failures,
                longest=settings.letta_probe_interval,
            ),
            give_up=self._give_up_refused,
            recheck_delay=settings.verify_delay,
            run_patience=settings.run_patience,
        )

    # commands

    async def _take(self, stream: StreamT[Any]) -> None:
        await self._started.wait()
        async for event in records(stream):
            taken = self._acks.take(event)
            try:
                await self._submit(taken)
            except Exception:
                log.exception("command_not_taken", offset=event.message.offset)
                leave_process()

    async def _submit(self, taken: Taken) -> None:
        message = taken.event.message
        if message.value is None:
            self._acks.finish(taken)
            return
        try:
            command = decode_command(message.value)
        except DecodeError as error:
            await self._give_up(taken, error)
            return
        self._partitions[command.npc_id] = message.partition
        self._metrics.command_age.observe(max(time() - command.issued_at, 0.0))
        self._traces.begin(command.command_id, message.headers)
        assert self._loops is not None
        self._loops.submit(command, lambda: self._acks.finish(taken), taken, message.offset)

    async def _give_up(self, taken: Taken, error: DecodeError) -> None:
        outbox = Outbox(finished=[taken])
        outbox.dead_letter(self._topics[DEAD_LETTERS], STAGE, error, taken.event.message)
        self._metrics.dead_letters.labels(stage=STAGE).inc()
        self._metrics.errors.labels(stage=STAGE).inc()
        await outbox.deliver(self._acks)

    async def _give_up_refused(
        self, command: UpdateCommand, mark: Mark, why: PermanentError, taken: Taken
    ) -> None:
        """A dead letter, and the NPC parked; the loop has the record acked with its result."""
        outbox = Outbox()
        outbox.dead_letter(self._topics[DEAD_LETTERS], STAGE, why, taken.event.message)
        self._stage_parked(command.npc_id, parked.dump(command, mark), outbox)
        await _or_leave(outbox.deliver(self._acks))
        self._metrics.dead_letters.labels(stage=STAGE).inc()

    async def _publish(self, result: UpdateResult) -> None:
        topic = self._topics[NPC_UPDATE_RESULTS]
        key, value = encode_key(result.npc_id), encode(result)
        with self._traces.end(result) as onward:
            sent = topic.send_many([Outgoing(key, value, onward)])
        await _or_leave(delivered([sent]))
        self._count(result)

    def _agent_of(self, npc_id: str) -> str | None:
        entry = self._roster.roster.by_id(npc_id)
        try:
            letta_number_of(npc_id, entry, self._settings.letta_servers)
        except UnknownServerError as error:
            raise PermanentError(str(error)) from error
        return entry.agent_id if entry else None

    def _server_of(self, npc_id: str) -> int:
        """Of an NPC whose entry names a server that there is not, the one that refuses it."""
        entry, servers = self._roster.roster.by_id(npc_id), self._settings.letta_servers
        with suppress(UnknownServerError):
            return letta_number_of(npc_id, entry, servers)
        return letta_number_of(npc_id, None, servers)

    def _wake(self, npc_id: str) -> None:
        if self._loops:
            self._loops.wake(npc_id)

    def _withdraw(self) -> None:
        """A rebalance: everything that waits comes again, here or elsewhere."""
        if self._loops:
            self._loops.withdraw(lambda _: False)

    async def _drain(self) -> None:
        """Finish the writes that have begun, so that their records can be acked."""
        if self._loops:
            left = await self._loops.stop(self._settings.drain_timeout)
            log.info("writer_drained", left=left)
        for store in self._stores:
            await store.close()

    async def learn(self) -> None:
        """Reads the reference topics; nobody waits for a partition of ours meanwhile."""
        await self._broadcast.start()

    def work(self) -> Work:
        """What it has in hand, for its health. A request to Letta is progress, answered or not."""
        loops = self._loops
        is_waiting = loops is not None and loops.breaker_state is not BreakerState.CLOSED
        done = (self._acks.finished, self._requests)
        return Work(self._started.is_set(), len(self._acks), done, is_waiting)

    # NPCs without an agent, or refused

    async def _park(self, command: UpdateCommand, mark: Mark) -> None:
        await self._change_parked(command.npc_id, parked.dump(command, mark))

    async def _unpark(self, npc_id: str) -> None:
        await self._change_parked(npc_id, None)

    async def _change_parked(self, npc_id: str, value: bytes | None) -> None:
        outbox = Outbox()
        self._stage_parked(npc_id, value, outbox)
        await _or_leave(outbox.store())

    def _stage_parked(self, npc_id: str, value: bytes | None, outbox: Outbox) -> None:
        partition = self._partitions[npc_id]
        outbox.change(self._parked, partition, partitioned_key(partition, npc_id), value)

    async def _restore_parked(self) -> None:
        for key, value in list(self._parked.data.items()):
            partition, npc_id = split_key(key)
            if self._loops and owns(self._app, self._parked, partition):
                self._partitions[npc_id] = partition
                with suppress(DecodeError):  # of another version: the next refresh parks it anew
                    self._loops.restore(*parked.load(value))

    # what is counted

    def _count(self, result: UpdateResult) -> None:
        self._metrics.results.labels(outcome=result.outcome).inc()
        self._metrics.count_conflicts(result)
        if result.outcome is Outcome.APPLIED:
            self._metrics.freshness.observe(max(result.finished_at - result.observed_at, 0.0))
        if result.outcome is Outcome.FAILED:
            self._metrics.errors.labels(stage=STAGE).inc()

    def _count_call(self, server: str, operation: str, status: str, seconds: float) -> None:
        self._requests += 1
        metrics = self._metrics
        metrics.letta_requests.labels(server=server, operation=operation, status=status).inc()
        metrics.letta_seconds.labels(server=server, operation=operation).observe(seconds)

    async def _watch_loops(self, loops: Loops) -> None:
        while True:
            for server, loop in loops.parts():
                self._show(server, loop)
            await asyncio.sleep(GAUGE_SECONDS)

    def _show(self, server: str, loop: Loop) -> None:
        standing, metrics = loop.standing(), self._metrics
        metrics.queue.labels(server=server).set(standing.waiting + standing.active)
        depths = loop.depths()
        for level, name in enumerate(NAMES):
            metrics.queue_depth.labels(server=server, level=name).set(depths[level])
        metrics.queue_age.labels(server=server).set(loop.age)
        metrics.limit.labels(server=server).set(loop.limit)
        metrics.parked.labels(server=server).set(standing.parked)
        metrics.breaker.labels(server=server).set(loop.breaker_state)


def _limit(settings: Settings) -> Limit:
    fixed = settings.letta_concurrency
    return AdaptiveLimit() if fixed is None else FixedLimit(fixed)


async def _or_leave(delivery: Awaitable[object]) -> None:
    """Leave where the broker did not take something: nothing of it is acked.

    An idempotent producer that dropped a batch for want of a leader has lost a sequence number, and
    every later send to that partition is refused as out of order; only a new one starts over.
    """
    try:
        await delivery
    except Exception:
        log.exception("not_delivered")
        leave_process()
        raise
