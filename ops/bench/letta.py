"""`rollcall bench letta`: what one Letta server takes, the limit that everything is compared with.

    read        an agent with all its blocks
    read of 8   eight agents in one request
    write       another value for a block, which makes Letta build the agent's prompt anew
    change      metadata alone
    update      a read, then a write: what a change of the game costs at the most
    both        a read, then both blocks at once
    direct      the integration without rollcall: two reads and two writes by label

Each with so many at a time, in several rounds, so that what slows the machine down for a while
hits all of them. No two at a time are about the same agent.
"""

import asyncio
import itertools
import json
import os
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import click
from letta_client import AsyncLetta
from rich.console import Console
from rich.table import Table

from ops.bench.options import json_option, plot_option
from ops.bench.plots import Line, Panel, draw
from ops.demo.agents import Agents
from ops.demo.servers import ensure_letta_alone, new_run
from ops.demo.summary import percentile
from ops.demo.view import open_console
from ops.embedded.progress import shown_progress
from ops.tables import silence_client
from streams.writer.letta import LettaStore, connect
from streams.writer.reconcile import GROUP, STATUS, rendered
from streams.writer.store import Block, StoreError
from topics.models import Desired, Member, Reason, Source, UpdateCommand

AGENTS = 64
TOGETHER = 8
AT_A_TIME = (1, 2, 3, 4, 6, 8, 12, 16)
ROUNDS = 3
SECONDS = 1.5
"""Of one operation with so many at a time in one round."""

_QUANTILES = (5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 99)


class Actor(NamedTuple):
    """An agent that is read and written."""

    npc_id: str
    agent_id: str


@dataclass(slots=True)
class Point:
    """One operation with so many at a time. `seconds`: of each request or sequence of them."""

    operation: str
    concurrency: int
    seconds: list[float] = field(default_factory=list)
    elapsed: float = 0.0
    per_run: int = 1
    """Agents dealt with by one of them."""
    errors: Counter[str] = field(default_factory=Counter)

    @property
    def per_second(self) -> float:
        """Agents dealt with a second."""
        return len(self.seconds) * self.per_run / self.elapsed if self.elapsed else 0.0

    def quantile(self, share: float) -> float:
        """Seconds; 0 of nothing."""
        return percentile(self.seconds, 100 * share) or 0.0

    def as_json(self) -> dict[str, Any]:
        """With the distribution, for whoever wants to play Letta."""
        seconds = {f"p{share}": round(self.quantile(share / 100), 5) for share in _QUANTILES}
        return {
            "operation": self.operation,
            "concurrency": self.concurrency,
            "requests": len(self.seconds),
            "per_second": round(self.per_second, 2),
            "seconds": {**seconds, "max": round(max(self.seconds, default=0.0), 5)},
            "errors": dict(self.errors),
        }


@dataclass(frozen=True, slots=True)
class Capacity:
    """What was measured."""

    points: Sequence[Point]

    def best(self, operation: str) -> Point:
        """With which number at a time most was done."""
        return max(
            (one for one in self.points if one.operation == operation),
            key=lambda point: point.per_second,
        )

    @property
    def updates_per_second(self) -> float:
        """Reads with a write each, at the best concurrency."""
        return self.best("update").per_second

    @property
    def update_p95(self) -> float | None:
        """Of a read and a write that are alone, seconds."""
        alone = [p for p in self.points if p.operation == "update" and p.concurrency == 1]
        return alone[0].quantile(0.95) if alone else None

    @property
    def best_direct_concurrency(self) -> int:
        """For an integration that writes everything."""
        return self.best("direct").concurrency

    def as_json(self) -> dict[str, Any]:
        """All figures."""
        names = dict.fromkeys(point.operation for point in self.points)
        best = {name: self.best(name) for name in names}
        return {
            "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "cpus": os.cpu_count(),
            "agents": AGENTS,
            "points": [point.as_json() for point in self.points],
            "best": {
                name: {"concurrency": p.concurrency, "per_second": round(p.per_second, 2)}
                for name, p in best.items()
            },
        }


class Operations:
    """The ways to deal with agents, each different from the time before."""

    def __init__(self, store: LettaStore, blocks: dict[str, dict[str, Block]]) -> None:
        self._store, self._blocks = store, blocks
        self._numbers = itertools.count()

    def all(self) -> dict[str, Callable[[Actor], Awaitable[None]]]:
        """By name, in the order of the table."""
        return {
            "read": self._read,
            f"read of {TOGETHER}": self._read_together,
            "write": self._write,
            "change": self._change,
            "update": self._update,
            "both": self._both,
            "direct": self._direct,
        }

    def _values(self, npc_id: str) -> dict[str, str]:
        """What both blocks shall hold: as the writer renders it, a little different each time."""
        number = next(self._numbers)
        members = tuple(
            Member(id=str(1000 + who), name=f"Player{who}", appearance=f"Level {number}, in blue.")
            for who in range(number % 3, number % 3 + 3)
        )
        command = UpdateCommand(
            command_id=str(number),
            npc_id=npc_id,
            reason=Reason.MEMBERS,
            observed_at=time.time(),
            issued_at=time.time(),
            source=Source(topic="bench", partition=0, offset=number),
            desired=Desired(members=members, location=f"the mill {number}", action="idle"),
        )
        blocks = self._blocks[npc_id]
        return {k.label: rendered(k, command, blocks[k.label]).value for k in (GROUP, STATUS)}

    async def _read(self, actor: Actor) -> None:
        await self._store.read_one(actor.agent_id)

    async def _read_together(self, actor: Actor) -> None:
        number = [*self._blocks].index(actor.npc_id)
        some = [*self._blocks, *self._blocks][number : number + TOGETHER]
        await self._store.read_several({f"npc:{npc_id}": f"npc:{npc_id}" for npc_id in some})

    async def _write(self, actor: Actor, label: str = GROUP.label) -> None:
        block = self._blocks[actor.npc_id][label]
        metadata = {"bench": next(self._numbers)}
        await self._store.write(block.id, self._values(actor.npc_id)[label], metadata)

    async def _change(self, actor: Actor) -> None:
        block = self._blocks[actor.npc_id][STATUS.label]
        await self._store.change(block.id, metadata={"bench": next(self._numbers)})

    async def _update(self, actor: Actor) -> None:
        await self._read(actor)
        await self._write(actor)

    async def _both(self, actor: Actor) -> None:
        await self._read(actor)
        await asyncio.gather(self._write(actor), self._write(actor, STATUS.label))

    async def _direct(self, actor: Actor) -> None:
        values = self._values(actor.npc_id)
        for label in values:
            await self._store.read_by_label(actor.agent_id, label)
        for label, value in values.items():
            metadata = {"bench": next(self._numbers)}
            await self._store.write_by_label(actor.agent_id, label, value, metadata)


Told = Callable[[str, float | None], None]


async def measured(
    url: str, token: str | None, console: Console, *, quick: bool = False
) -> Capacity:
    """Measures a Letta server with agents of its own, which are taken away in the end."""
    letta = AsyncLetta(base_url=url, api_key=token, max_retries=0)
    agents, store = Agents(letta, f"rollcall-{new_run('bench')}"), connect(url, token)
    try:
        with shown_progress() as progress:
            points = await _measured(agents, store, progress.step, 1 if quick else ROUNDS)
    finally:
        await agents.delete()
        await store.close()
    capacity = Capacity(points)
    console.print(as_table(capacity))
    return capacity


async def _measured(agents: Agents, store: LettaStore, told: Told, rounds: int) -> list[Point]:
    memories = {
        f"{agents.label}-{number}": {GROUP.label: "{}", STATUS.label: "{}"}
        for number in range(AGENTS)
    }
    await agents.create(memories, lambda done: told("Creating Letta agents", done / AGENTS))
    actors = [Actor(npc_id, agents.ids[npc_id]) for npc_id in memories]
    blocks = {actor.npc_id: await store.read(actor.agent_id) for actor in actors}
    operations = Operations(store, blocks).all()
    points: dict[tuple[str, int], Point] = {}
    steps = [*itertools.product(range(rounds), operations, AT_A_TIME)]
    for done, (_, name, number) in enumerate(steps):
        told(f"{name}, {number} at a time", done / len(steps))
        point = points.setdefault((name, number), Point(name, number))
        point.per_run = TOGETHER if name.endswith(f"of {TOGETHER}") else 1
        await _run(operations[name], actors, point)
    return sorted(points.values(), key=lambda point: [*operations].index(point.operation))


async def _run(
    operation: Callable[[Actor], Awaitable[None]], actors: Sequence[Actor], point: Point
) -> None:
    began = time.perf_counter()

    async def hand(number: int) -> None:
        mine = itertools.cycle(actors[number :: point.concurrency])
        while time.perf_counter() - began < SECONDS:
            since = time.perf_counter()
            try:
                await operation(next(mine))
            except StoreError as error:
                point.errors[type(error).__name__] += 1
            else:
                point.seconds.append(time.perf_counter() - since)

    await asyncio.gather(*map(hand, range(point.concurrency)))
    point.elapsed += time.perf_counter() - began


def as_table(capacity: Capacity) -> Table:
    """A line for each operation: per second and p95 for each number at a time."""
    table = Table(box=None, pad_edge=False)
    table.add_column("a second (p95 ms)")
    for number in AT_A_TIME:
        table.add_column(str(number), justify="right")
    rows: defaultdict[str, dict[int, Point]] = defaultdict(dict)
    for point in capacity.points:
        rows[point.operation][point.concurrency] = point
    for name, points in rows.items():
        best = capacity.best(name).concurrency
        table.add_row(name, *(_cell(points[n], is_best=n == best) for n in AT_A_TIME))
    return table


def _cell(point: Point, *, is_best: bool) -> str:
    text = f"{point.per_second:.1f} ({point.quantile(0.95) * 1000:.0f})"
    failed = f" [red]{sum(point.errors.values())} failed[/red]" if point.errors else ""
    return f"[bold]{text}[/bold]{failed}" if is_best else f"{text}{failed}"


@click.command()
@click.option("--quick", is_flag=True, help="One round instead of three.")
@plot_option
@json_option
def letta(quick: bool, plot: Path | None, json_file: Path | None) -> None:
    """What one Letta server takes: reads, writes and updates a second, and how many at a time."""
    silence_client()
    console = open_console()
    with ExitStack() as stack:
        with shown_progress() as progress:
            servers = ensure_letta_alone(stack, progress)
        capacity = asyncio.run(
            measured(servers.letta_url, servers.letta_token, console, quick=quick)
        )
    if plot:
        files = draw(plot, "One Letta server", _panels(capacity))
        console.print(*(f"Drawn: {file}" for file in files), sep="\n")
    if json_file:
        json_file.write_text(json.dumps(capacity.as_json(), indent=2) + "\n")


def _panels(capacity: Capacity) -> list[Panel]:
    def lines(figure: Callable[[Point], float]) -> list[Line]:
        names = dict.fromkeys(point.operation for point in capacity.points)
        return [
            Line(n, [(p.concurrency, figure(p)) for p in capacity.points if p.operation == n])
            for n in names
            if "of" not in n
        ]

    return [
        Panel("at a time", "a second", lines(lambda point: point.per_second)),
        Panel("at a time", "p95 (s)", lines(lambda point: point.quantile(0.95)), is_log_y=True),
    ]
