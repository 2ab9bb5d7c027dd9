"""One run on a prepared stage: the game, the wait until all has been handled, the comparison."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TextIO

from aiokafka import AIOKafkaConsumer

from ops.demo.agents import each
from ops.demo.game import Record, World
from ops.demo.lag import LagReader
from ops.demo.play import Play, timeline
from ops.demo.scrape import Counts, scrape
from ops.demo.scribe import Scribe
from ops.demo.stage import Stage
from ops.demo.summary import Summary, caches_of, latency_of, letta_faults_of
from ops.demo.verify import Expectation, differences
from ops.demo.view import Scene, View
from ops.demo.watch import Watch
from ops.notes.kept import kept_notes
from ops.tables import admin_client
from topics.publisher import Failure as Undelivered
from topics.publisher import Publisher

LOOK_SECONDS = 1.0
"""Seconds between two looks at lag and metrics."""

DRAIN_PATIENCE = 120.0
"""Seconds in which a pipeline that gets nothing new must have handled everything."""

QUIET_SECONDS = 3.0
"""Seconds without a new command before it counts as at rest: ticks for profiles come at 2 Hz."""


@dataclass(frozen=True, slots=True)
class Options:
    """What to play."""

    npcs: int
    seconds: float
    seed: int
    speed: float = 1.0
    wake_up: float = 0.0
    """Seconds in which the NPCs appear one after the other."""
    notes: bool = True
    """Whether NPCs write notes while the game runs."""
    drain_patience: float = DRAIN_PATIENCE


@dataclass(slots=True)
class Looking:
    """The newest lag and counts, renewed once a second."""

    lag: dict[str, int] = field(default_factory=dict)
    counts: Counts = field(default_factory=Counts)


class Run:
    """A game on a stage whose workers run. `perform` plays it once and sums it up."""

    def __init__(
        self,
        stage: Stage,
        options: Options,
        publisher: Publisher,
        *,
        records: Iterable[Record] | None = None,
        recording: TextIO | None = None,
    ) -> None:
        world = World(stage.town, options.seed, wake_up=options.wake_up)
        records = records or timeline(world, options.seconds)
        self._stage = stage
        self._options = options
        self._play = Play(
            records, options.seconds, publisher, speed=options.speed, recording=recording
        )
        told = self._play.told
        self._watch = Watch(stage.connection, lambda npc, at: told.sent_at.get((npc, at)))
        self._tally = self._watch.tally
        self._scribe = Scribe(stage.agents, stage.notebook, self._play, self._tally)
        self._looking = Looking()
        self._phase = "the game is on"

    async def perform(self, view: View) -> Summary:
        """Play, wait until all has been handled, compare. A Failure when a worker is gone."""
        async with (
            background(self._watch.run()),
            _lag_reader(self._stage) as lags,
            background(self._show(view)),
            background(self._look(lags)),
        ):
            await self._play_game()
            self._phase = "waiting until everything is handled"
            drained = await self._drained(lags)
            self._phase = "comparing every memory with the last snapshot"
            wrong = await self._verify()
        self._looking.counts = await scrape(w.metrics_url for w in self._stage.workers)
        return self._summary(wrong, drained)

    async def _play_game(self) -> None:
        notes = self._scribe.run() if self._options.notes else asyncio.sleep(0)
        async with background(notes), background(self._play.run()) as game:
            while not game.done():
                await asyncio.wait([game], timeout=LOOK_SECONDS)
                self._stage.demand_workers()

    async def _drained(self, lags: LagReader) -> bool:
        """Wait until nothing is on its way any more; False when that takes too long."""
        deadline = time.monotonic() + self._options.drain_patience
        while time.monotonic() < deadline:
            self._stage.demand_workers()
            quiet = time.monotonic() - self._tally.last_command_at > QUIET_SECONDS
            # Upstream first: a stage without lag has written all it will ever write.
            if quiet and not self._tally.waiting_commands and not any((await lags.all()).values()):
                return True
            await asyncio.sleep(0.5)
        return False

    async def _verify(self) -> dict[str, list[str]]:
        """What differs from the last snapshot told, by npc_id; right NPCs are left out."""
        town, told = self._stage.town, self._play.told
        profiles = town.profiles_at_start() | told.profiles
        expected = Expectation(town, profiles, self._stage.notebook)
        kept = await kept_notes(self._stage.connection)

        async def compare(npc_id: str) -> list[str]:
            truth = told.truths.get(npc_id)
            if truth is None:
                return ["no snapshot was sent; the game was too short"]
            blocks = await self._stage.agents.read(npc_id)
            return list(differences(truth, blocks, expected, kept[npc_id]))

        found = zip(town.npcs, await each(town.npcs, compare), strict=True)
        return {npc_id: wrong for npc_id, wrong in found if wrong}

    async def _look(self, lags: LagReader) -> None:
        while True:
            lag = await lags.all()
            self._looking.lag = {role.value: records for role, records in lag.items()}
            self._looking.counts = await scrape(w.metrics_url for w in self._stage.workers)
            await asyncio.sleep(LOOK_SECONDS)

    async def _show(self, view: View) -> None:
        while True:
            view.show(self._scene())
            await asyncio.sleep(0.25)

    def _scene(self) -> Scene:
        stage, told, tally = self._stage, self._play.told, self._tally
        at = min(self._play.at, self._options.seconds)
        return Scene(
            phase=self._phase,
            at=at,
            seconds=self._options.seconds,
            servers=[f"Kafka {stage.connection.broker}", f"Letta {stage.letta_url}"],
            workers=[f"{worker.role} (pid {worker.process.pid})" for worker in stage.workers],
            snapshots=told.snapshots,
            rate=told.snapshots / max(1.0, at / self._options.speed),
            commands=dict(tally.commands),
            results=dict(tally.results),
            letta_calls=self._looking.counts.total("rollcall_letta_requests_total"),
            lag=self._looking.lag,
            faults=len(tally.faults),
            newest=list(tally.newest),
        )

    def _summary(self, wrong: dict[str, list[str]], drained: bool) -> Summary:
        stage, options, told, tally = self._stage, self._options, self._play.told, self._tally
        counts = self._looking.counts
        return Summary(
            run=stage.run,
            mode=stage.mode.value,
            npcs=len(stage.town.npcs),
            seconds=options.seconds,
            seed=options.seed,
            speed=options.speed,
            records=told.records,
            snapshots=told.snapshots,
            changed=told.changed,
            decisions=counts.by("rollcall_decisions_total", "reason"),
            snapshot_outcomes=counts.by("rollcall_snapshots_total", "outcome"),
            caches=caches_of(counts),
            letta_calls=counts.by("rollcall_letta_requests_total", "operation"),
            letta_faults=letta_faults_of(counts),
            results=dict(tally.results),
            changes=tally.changes,
            conflicts=tally.conflicts,
            notes_written=self._scribe.written,
            errors=counts.by("rollcall_errors_total", "stage"),
            dead_letters=tally.dead_letters,
            faults=list(tally.faults),
            latency=latency_of(tally.latencies),
            peak_memory=stage.peak_memory(),
            drained=drained,
            verified=len(stage.town.npcs) - len(wrong),
            differences=wrong,
        )


async def perform(
    stage: Stage,
    options: Options,
    view: View,
    *,
    records: Iterable[Record] | None = None,
    recording: TextIO | None = None,
) -> Summary:
    """Play a game (or these records of one) on a prepared stage, and sum it up."""
    lost: list[Undelivered] = []
    async with Publisher(stage.connection, on_failure=lost.append) as publisher:
        run = Run(stage, options, publisher, records=records, recording=recording)
        summary = await run.perform(view)
    summary.faults += [f"not taken by Kafka: {one.topic}: {one.error}" for one in lost]
    return summary


@asynccontextmanager
async def background(work: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.Task[None]]:
    """Runs a coroutine beside the block; what went wrong in it is raised at the block's end."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        (outcome,) = await asyncio.gather(task, return_exceptions=True)
    if isinstance(outcome, Exception):
        raise outcome


@asynccontextmanager
async def _lag_reader(stage: Stage) -> AsyncIterator[LagReader]:
    consumer = AIOKafkaConsumer(**stage.connection.client_options(), group_id=None)
    async with admin_client(stage.connection) as admin:
        try:
            await consumer.start()
            yield LagReader(stage.connection, admin, consumer)
        finally:
            await consumer.stop()
