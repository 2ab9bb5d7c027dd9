"""One game of one size through real workers: is the memory fresh, and what did that cost?

prepare   fresh topics, the town loaded, workers started; the agents are those of all trials
warm up   the NPCs appear one after the other; once all are written, a while of usual life
window    the changes due in it are looked at, the writer's requests in it are counted
after     the game goes on for twice the bound: a change that is not known by then is too old
verify    the game ends; what is under way is finished; some memories are compared
"""

import asyncio
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Hashable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

import msgspec
from aiokafka import AIOKafkaConsumer

from ops.bench.carry.ages import Change, Known, ages, changes_of, known_by
from ops.bench.carry.load import Order, Report
from ops.demo.agents import Agents, each
from ops.demo.game import Truth, World
from ops.demo.notes import Notebook
from ops.demo.play import truths
from ops.demo.run import background
from ops.demo.scrape import Counts, scrape
from ops.demo.servers import Servers
from ops.demo.stage import Stage, Step
from ops.demo.summary import percentile
from ops.demo.town import build_town
from ops.demo.verify import Expectation, differences
from ops.failure import Failure
from streams.settings import Mode
from topics.catalogue import NPC_UPDATE_RESULTS
from topics.connection import KafkaConnection
from topics.decode import DecodeError, decode_result

WAKE_UP_RATE = 20.0
"""NPCs that appear a second, so that the beginning is no trial of its own."""

SETTLE = 10.0
"""Seconds of usual life before the window."""

WARM_UP_PATIENCE = 90.0
"""Seconds beyond the wake-up after which the window begins in any case."""

BACKLOG = 0.05
"""Share of the NPCs that may wait when the window begins: what came at once in the beginning is
written by then.
"""

DRAIN_PATIENCE = 20.0
COMPARED = 24
"""Memories compared in the end."""

_READING = ("read", "runs", "find_agents")

LATE = 0.25
"""Seconds of lateness with which a load process was no fair one."""


@dataclass(frozen=True, slots=True)
class Cast:
    """What all trials share: servers, agents by npc_id, and the notes these came with."""

    run: str
    servers: Servers
    agents: Agents
    notebook: Notebook = field(default_factory=Notebook)


@dataclass(frozen=True, slots=True)
class Plan:
    """A trial. `concurrency` None: the writer finds it. Times in seconds."""

    mode: Mode
    npcs: int
    seed: int
    window: float
    bound: float
    concurrency: int | None = None
    is_still: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What a trial found. Ages in seconds; None of no change."""

    mode: str
    npcs: int
    concurrency: int | None
    seconds: float
    changes: int
    p50: float | None
    p95: float | None
    p99: float | None
    worst: float | None
    watched: int
    """Changes of a group with a player in it."""
    watched_p95: float | None
    calls: dict[str, int]
    """Letta requests in the window by operation."""
    faults: dict[str, int]
    """Letta requests in the window that were not answered with 2xx, by operation and status."""
    snapshots: dict[str, int]
    """In the window, by what the filter made of them."""
    results: dict[str, int]
    """In the window, by outcome."""
    lateness_p99: float
    """Of the load process."""
    dead_letters: int
    compared: int
    wrong: dict[str, list[str]]
    """What differs, by npc_id."""

    @property
    def calls_per_second(self) -> float:
        """Requests to Letta."""
        return sum(self.calls.values()) / self.seconds

    @property
    def calls_per_change(self) -> float | None:
        """Reads and writes for each change; looks at runs and for agents are in it."""
        return sum(self.calls.values()) / self.changes if self.changes else None

    @property
    def reads_and_writes_per_change(self) -> float | None:
        """The same without looks at runs and for agents, which do not grow with changes."""
        others = sum(self.calls.get(name, 0) for name in ("runs", "find_agents"))
        return (sum(self.calls.values()) - others) / self.changes if self.changes else None

    @property
    def writes(self) -> int:
        """Requests that write."""
        return sum(n for name, n in self.calls.items() if not name.startswith(_READING))

    @property
    def updates_per_second(self) -> float:
        """Results that wrote something."""
        return (self.results.get("applied", 0) + self.results.get("repaired", 0)) / self.seconds

    def is_within(self, bound: float) -> bool:
        """Whether the memories are fresh. A game in which nothing happened says nothing."""
        return self.p95 is not None and self.p95 <= bound


async def run_trial(plan: Plan, number: int, cast: Cast, told: Step) -> Trial:
    """Plays it. A Failure when a worker is gone or never begins."""
    stage = _stage(plan, number, cast)
    try:
        await stage.prepare(told)
        return await _play(plan, cast, stage, told)
    finally:
        await asyncio.shield(stage.clear())


def _stage(plan: Plan, number: int, cast: Cast) -> Stage:
    run = f"{cast.run}-{number}"
    settings = dict(plan.settings)
    if plan.concurrency is not None:
        settings["ROLLCALL_LETTA_CONCURRENCY"] = str(plan.concurrency)
    stage = Stage(
        run=run,
        town=build_town(plan.npcs, plan.seed, f"{cast.run}-"),
        mode=plan.mode,
        connection=cast.servers.connection(f"{run}-"),
        letta=cast.agents.letta,
        letta_url=cast.servers.letta_url,
        folder=cast.servers.folder / run,
        settings=settings,
        keeps_agents=True,
    )
    stage.agents, stage.notebook = cast.agents, cast.notebook
    return stage


async def _play(plan: Plan, cast: Cast, stage: Stage, told: Step) -> Trial:
    order = Order(
        npcs=plan.npcs,
        seed=plan.seed,
        run=cast.run,
        began=time.time() + 1.5,
        seconds=86_400.0,
        wake_up=plan.npcs / WAKE_UP_RATE,
        topic_prefix=stage.connection.topic_prefix,
        is_still=plan.is_still,
    )
    async with _known(stage.connection) as known:
        with _load(order, stage.connection.broker) as load:
            begin, before, after = await _window(plan, order, stage, known, told)
            await asyncio.sleep(2 * plan.bound)
            until = time.time()
            report = await _ended(load)
        seen = {npc_id: list(every) for npc_id, every in known.items()}
        told("Finishing what is under way", None)
        await _drain(known)
    game = _replayed(order, report)
    compared = min(COMPARED, plan.npcs) if _promises_truth(plan) and len(seen) == plan.npcs else 0
    changes = [
        change
        for change in _changes(game, order, stage)
        if begin <= change.at < begin + plan.window and not change.is_first
    ]
    return Trial(
        mode=plan.mode.value,
        npcs=plan.npcs,
        concurrency=plan.concurrency,
        seconds=plan.window,
        **_age_figures(changes, ages(changes, seen, until)),
        **_count_figures(before, after),
        lateness_p99=report.lateness_p99,
        dead_letters=after.total("rollcall_dead_letters_total"),
        compared=compared,
        wrong=await _compare(plan, game, stage, compared),
    )


def _promises_truth(plan: Plan) -> bool:
    return plan.mode is not Mode.DIRECT


def _age_figures(changes: list[Change], found: list[float]) -> dict[str, Any]:
    watched = [age for age, one in zip(found, changes, strict=True) if one.is_group_watched]
    return {
        "changes": len(found),
        "p50": percentile(found, 50),
        "p95": percentile(found, 95),
        "p99": percentile(found, 99),
        "worst": max(found, default=None),
        "watched": len(watched),
        "watched_p95": percentile(watched, 95),
    }


def _count_figures(before: Counts, after: Counts) -> dict[str, Any]:
    requests = "rollcall_letta_requests_total"
    by_status = _difference(before, after, requests, "operation", "status")
    return {
        "calls": _difference(before, after, requests, "operation"),
        "faults": {k: n for k, n in by_status.items() if not k.rpartition(" ")[2].startswith("2")},
        "snapshots": _difference(before, after, "rollcall_snapshots_total", "outcome"),
        "results": _difference(before, after, "rollcall_results_total", "outcome"),
    }


async def _window(
    plan: Plan, order: Order, stage: Stage, known: Mapping[str, list[Known]], told: Step
) -> tuple[float, Counts, Counts]:
    """Its beginning, and the workers' counts at its two ends."""
    told("Warming up", None)
    deadline = order.began + order.wake_up + WARM_UP_PATIENCE
    while time.time() < deadline and not await _is_warm(plan, stage, known):
        stage.demand_workers()
        await asyncio.sleep(0.5)
    begin = max(time.time(), order.began + order.wake_up) + SETTLE
    await _sleep_until(begin)
    before = await scrape(worker.metrics_url for worker in stage.workers)
    while time.time() < begin + plan.window:
        told("Measuring", (time.time() - begin) / plan.window)
        stage.demand_workers()
        await _sleep_until(min(time.time() + 1.0, begin + plan.window))
    return begin, before, await scrape(worker.metrics_url for worker in stage.workers)


async def _is_warm(plan: Plan, stage: Stage, known: Mapping[str, list[Known]]) -> bool:
    """Whether every memory has been written once and hardly an NPC waits any more."""
    if len(known) < plan.npcs:
        return False
    counts = await scrape(worker.metrics_url for worker in stage.workers)
    return counts.total("rollcall_write_queue") <= BACKLOG * plan.npcs


async def _sleep_until(when: float) -> None:
    await asyncio.sleep(max(0.0, when - time.time()))


@contextmanager
def _load(order: Order, broker: str) -> Iterator["subprocess.Popen[bytes]"]:
    """The game on its way; killed where nobody has ended it."""
    text = msgspec.json.encode(order).decode()
    command = [sys.executable, "-m", "ops.bench.carry.load", text]
    environment = {**os.environ, "ROLLCALL_BROKER": broker}
    load = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)  # noqa: S603 - ours
    try:
        yield load
    finally:
        if load.poll() is None:
            load.kill()
            load.wait()


async def _ended(load: "subprocess.Popen[bytes]") -> Report:
    load.terminate()
    output, _ = await asyncio.to_thread(load.communicate)
    try:
        return msgspec.json.decode(output.strip().splitlines()[-1], type=Report)
    except (msgspec.DecodeError, IndexError) as error:
        raise Failure("The process that sends the game ended without a report.") from error


@asynccontextmanager
async def _known(connection: KafkaConnection) -> AsyncIterator[dict[str, list[Known]]]:
    """What the memories know by npc_id, as results come in."""
    known: defaultdict[str, list[Known]] = defaultdict(list)
    consumer = AIOKafkaConsumer(
        connection.topic(NPC_UPDATE_RESULTS),
        **connection.client_options(),
        group_id=None,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        async with background(_follow(consumer, known)):
            yield known
    finally:
        await consumer.stop()


async def _follow(consumer: AIOKafkaConsumer, known: dict[str, list[Known]]) -> None:
    async for record in consumer:
        with suppress(DecodeError):
            result = decode_result(record.value)
            if one := known_by(result):
                known[result.npc_id].append(one)


class _Game(NamedTuple):
    """What was sent: all that was told of NPCs, in order, and how the world stood in the end."""

    truths: list[Truth]
    end: World


def _replayed(order: Order, report: Report) -> _Game:
    world = order.world()
    return _Game(list(truths(world, report.last)), world)


def _changes(game: _Game, order: Order, stage: Stage) -> Iterator[Change]:
    expected = Expectation(stage.town, stage.town.players, stage.notebook)

    def shape(truth: Truth) -> tuple[Hashable, ...]:
        return frozenset(truth.members), expected.place_of(truth), truth.action

    return changes_of(game.truths, shape, stage.town.players.__contains__, order.began)


async def _drain(known: Mapping[str, list[Known]]) -> None:
    """Until no result has come for a while."""
    deadline, count, quiet = time.monotonic() + DRAIN_PATIENCE, -1, 0
    while time.monotonic() < deadline and quiet < 4:
        now = sum(map(len, known.values()))
        quiet = quiet + 1 if now == count else 0
        count = now
        await asyncio.sleep(0.5)


async def _compare(plan: Plan, game: _Game, stage: Stage, number: int) -> dict[str, list[str]]:
    """What differs from the last snapshot, of so many NPCs."""
    truths, profiles = game.end.truths, stage.town.profiles_at_start() | game.end.profiles
    # Notes of who is not there are in a Table that went with the topics of an earlier trial.
    expected = Expectation(stage.town, profiles, Notebook(made_up=stage.notebook.made_up))
    chosen = Random(plan.seed).sample(sorted(truths), number)  # noqa: S311 - no secret

    async def compare(npc_id: str) -> list[str]:
        blocks = await stage.agents.read(npc_id)
        return list(differences(truths[npc_id], blocks, expected))

    found = zip(chosen, await each(chosen, compare), strict=True)
    return {npc_id: wrong for npc_id, wrong in found if wrong}


def _difference(before: Counts, after: Counts, name: str, *labels: str) -> dict[str, int]:
    first = before.by(name, *labels)
    both = {key: number - first.get(key, 0) for key, number in after.by(name, *labels).items()}
    return {key: number for key, number in both.items() if number}
