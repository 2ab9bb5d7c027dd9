"""Kill -9 of filter and writer at random moments under load, and what must be true afterwards.

    the load      each NPC is told of again and again without a pause; about a third of what is told
                  is new (who stands there, where, doing what). Meanwhile NPCs write notes of their
                  own with Letta's own tool.
    the kills     one line of them for each role, side by side, each at a drawn moment; every
                  worker is started again at once. Some die again while they start.
    the last one  of each role falls on the last snapshot of every NPC, all of them new: nothing
                  that comes later makes up for what is lost.

Afterwards the raw snapshots are read from their topic and decided once more by the pure core, and
each NPC's memory in Letta is compared with its newest snapshot. Notes are counted, not judged:
Letta has no compare-and-swap.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from random import Random
from typing import Any

from letta_client import APIError, AsyncLetta

from ops.demo.agents import Agents, each
from ops.demo.notes import GROUP, STATUS, Note
from ops.demo.verify import MemoryBlock
from ops.notes.kept import kept_notes
from streams.filter.core import World
from tests.filter.town import Filter, players, roster
from tests.integration.harness import Town, new_id, until
from topics.catalogue import NPC_SNAPSHOTS, NPC_UPDATE_COMMANDS, NPC_UPDATE_RESULTS
from topics.decode import decode_command, decode_result, decode_snapshot
from topics.models import Outcome, Snapshot, UpdateCommand, UpdateResult
from topics.places import Places

FILTER, WRITER = "filter", "writer"
MADE_BY = {FILTER: NPC_UPDATE_COMMANDS, WRITER: NPC_UPDATE_RESULTS}
SESSION_TIMEOUT = 6
PATIENCE = 90.0
"""Seconds for a worker to be at work again: its dead predecessor's session, a join, a recovery."""

CATCHING_UP = 180.0
"""Seconds for all to be done once the load has ended."""

CHANGED = 1 / 3
AGAIN = 0.25
"""Share of kills after which the successor dies, too, while it starts."""

VISITORS = tuple((f"player-{number}", f"Visitor {number}") for number in range(6))
ACTIONS = ("idle", "walking", "baking", "selling", "singing")
BESIDE = 2.0
"""Seconds around a note in which a write of the same NPC's memory counts as beside it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done. `kills` of each role; `every`: seconds between two sights of an NPC."""

    kills: int
    npcs: int = 24
    every: float = 1.5
    notes_every: float = 1.0
    seed: int = 1


@dataclass(slots=True)
class Verdict:
    """What came of it. `kills`: at work, by role; `kills_starting`: while the worker started."""

    seed: int
    npcs: int
    kills: dict[str, int] = field(default_factory=dict)
    kills_starting: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    snapshots: int = 0
    wanted: int = 0
    """Commands that the snapshots ask for."""
    commands: int = 0
    results: int = 0
    missing: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    """Commands that are there, but ask for something else."""
    wrong: list[str] = field(default_factory=list)
    """What a memory says and the newest snapshot does not."""
    overtaken: list[str] = field(default_factory=list)
    """NPCs with an older command written after a newer one."""
    dead_letters: int = 0
    notes: int = 0
    notes_lost: int = 0
    notes_lost_beside_a_write: int = 0

    def broken(self) -> list[str]:
        """A sentence for each thing that must not be."""
        return [
            *(f"no command for {mark}" for mark in self.missing),
            *(f"another command for {mark}" for mark in self.different),
            *(f"memory of {what}" for what in self.wrong),
            *(f"an older command over a newer one: {npc}" for npc in self.overtaken),
            *([f"{self.dead_letters} dead letters"] if self.dead_letters else []),
        ]

    def told(self) -> list[str]:
        """The figures in lines."""
        again = sum(self.kills_starting.values())
        sent = f"{self.commands} sent, {self.results} results"
        beside = f"{self.notes_lost_beside_a_write} beside a write of ours (not promised)"
        return [
            f"{self.snapshots} snapshots of {self.npcs} NPCs; {again} more kills in a start",
            f"{self.wanted} commands asked for, {len(self.missing)} missing; {sent}",
            f"{len(self.wrong)} differences between {self.npcs} memories and newest snapshots",
            f"{self.notes} notes by NPCs, {self.notes_lost} lost, of these {beside}",
        ]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


# ---------------------------------------------------------------- the load


@dataclass(slots=True)
class Sight:
    """What is told of an NPC."""

    near: tuple[tuple[str, str], ...] = ()
    location: str = "gate"
    action: str = ACTIONS[0]


class Game:
    """A seeded game. No snapshot is the same as another in time."""

    def __init__(self, town: Town, plan: Plan) -> None:
        self.told = 0
        self._town, self._plan, self._chance = town, plan, Random(f"game {plan.seed}")
        self.sights = {new_id(): Sight() for _ in range(plan.npcs)}
        self._is_over = False

    @asynccontextmanager
    async def playing(self) -> AsyncIterator[None]:
        """Plays in the background, and ends when the block does."""
        task = asyncio.create_task(self._play())
        try:
            yield
        finally:
            self._is_over = True  # not cancelled: a snapshot on its way shall be counted
            await task

    async def _play(self) -> None:
        while not self._is_over:
            for npc_id in self.sights:
                if self._chance.random() < CHANGED:
                    self._change(self.sights[npc_id])
                await self._tell(npc_id)
                await asyncio.sleep(self._plan.every / self._plan.npcs)

    async def last_round(self) -> None:
        """Something new of everybody, and nothing after it."""
        for npc_id, sight in self.sights.items():
            self._change(sight)
            await self._tell(npc_id)

    async def _tell(self, npc_id: str) -> None:
        sight = self.sights[npc_id]
        self.told += 1
        more = {"location": sight.location, "action": sight.action}
        await self._town.see(npc_id, time.time(), *sight.near, **more)

    def _change(self, sight: Sight) -> None:
        chance, before = self._chance, Sight(sight.near, sight.location, sight.action)
        while sight == before:
            match chance.randrange(3):
                case 0:
                    sight.near = tuple(sorted(chance.sample(VISITORS, chance.randrange(4))))
                case 1:
                    sight.location = f"place-{chance.randrange(40)}"
                case _:
                    sight.action = chance.choice(ACTIONS)


@dataclass(frozen=True, slots=True)
class Written:
    """A note that Letta took; `began` and `done` in seconds since the epoch."""

    note: Note
    began: float
    done: float


class Scribe:
    """NPCs that write about themselves and those around them, whenever they like."""

    def __init__(self, agents: Agents, game: Game, plan: Plan) -> None:
        self.written: list[Written] = []
        self._agents, self._game, self._every = agents, game, plan.notes_every
        self._chance, self._number = Random(f"notes {plan.seed}"), 0
        self._is_over = False

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """Writes in the background, and ends when the block does."""
        task = asyncio.create_task(self._write_on())
        try:
            yield
        finally:
            self._is_over = True  # not cancelled: a note on its way shall be counted
            await task

    async def _write_on(self) -> None:
        while not self._is_over:
            await self._write()
            await asyncio.sleep(self._every)

    async def _write(self) -> None:
        npc_id = self._chance.choice(list(self._game.sights))
        near = self._game.sights[npc_id].near
        about = self._chance.choice([None, *(player_id for player_id, _ in near)])
        self._number += 1
        note = Note(npc_id, GROUP, f"[note {self._number}]", about)
        began = time.time()
        try:
            if await self._agents.write_note(note):
                self.written.append(Written(note, began, time.time()))
        except APIError:
            return  # the NPC was told that it did not work


# ---------------------------------------------------------------- the kills


class Killer:
    """Ends the worker of one role again and again, and starts another at once."""

    def __init__(self, town: Town, role: str, plan: Plan, on_kill: Callable[[str], None]) -> None:
        self.kills = self.kills_starting = 0
        self._town, self._role, self._on_kill = town, role, on_kill
        self._chance = Random(f"{role} {plan.seed}")
        self._start()

    async def kill_at_work(self, times: int) -> None:
        """Each as soon as its predecessor's successor works, and a drawn moment later."""
        for _ in range(times):
            await self.until_at_work()
            await asyncio.sleep(self._chance.uniform(0.0, 3.0))  # the moment is what is tried
            self.kill()
            if self._chance.random() < AGAIN:
                await asyncio.sleep(self._chance.uniform(0.2, 4.0))
                self.kills_starting += 1
                self._kill()

    async def kill_soon(self) -> None:
        await asyncio.sleep(self._chance.uniform(0.0, 1.0))
        self.kill()

    def kill(self) -> None:
        self.kills += 1
        self._kill()
        self._on_kill(self._role)

    async def until_at_work(self) -> None:
        """Until it has sent something of its own."""
        before = self._made()
        await until(lambda: self._made() > before, f"work of the {self._role}", within=PATIENCE)

    def _kill(self) -> None:
        self._town.workers[self._role].kill()
        self._start()

    def _start(self) -> None:
        self._town.start(self._role, SESSION_TIMEOUT=SESSION_TIMEOUT)

    def _made(self) -> int:
        return len(self._town.read.of(MADE_BY[self._role]))


async def run(
    town: Town, letta: AsyncLetta, plan: Plan, on_kill: Callable[[str], None] = lambda _: None
) -> Verdict:
    """The whole of it on a town without workers. `on_kill` hears of each kill's role."""
    began, game = time.monotonic(), Game(town, plan)
    agents = Agents(letta, label=f"kills-{new_id('run')}")
    try:
        await agents.create(
            {npc_id: {GROUP: "", STATUS: ""} for npc_id in game.sights}, lambda _: None
        )
        scribe = Scribe(agents, game, plan)
        killers = [Killer(town, role, plan, on_kill) for role in MADE_BY]
        async with game.playing():
            async with scribe.writing():
                await _side_by_side(killer.kill_at_work(plan.kills - 1) for killer in killers)
            await _side_by_side(killer.until_at_work() for killer in killers)
        await game.last_round()
        await _side_by_side(killer.kill_soon() for killer in killers)
        await town.publish.flush()
        verdict = Verdict(plan.seed, plan.npcs)
        for killer, role in zip(killers, MADE_BY, strict=True):
            verdict.kills[role] = killer.kills
            verdict.kills_starting[role] = killer.kills_starting
        await _judge(verdict, town, game, agents)
        kept = await kept_notes(town.connection)
        _judge_notes(verdict, scribe, await _memories(agents, game), kept, town)
        verdict.seconds = round(time.monotonic() - began, 1)
        return verdict
    finally:
        await agents.delete()


async def _side_by_side(work: Iterator[Any]) -> None:
    async with asyncio.TaskGroup() as group:
        for one in work:
            group.create_task(one)


# ---------------------------------------------------------------- the judgement


async def _judge(verdict: Verdict, town: Town, game: Game, agents: Agents) -> None:
    await until(lambda: len(town.read.of(NPC_SNAPSHOTS)) == game.told, "all raw snapshots")
    seen, wanted = _snapshots(town), expected(town)
    await _within(CATCHING_UP, lambda: wanted.keys() <= commands_of(town).keys())
    await _within(CATCHING_UP, lambda: _are_right(agents, game, seen))
    sent = commands_of(town)
    verdict.snapshots, verdict.wanted = game.told, len(wanted)
    verdict.commands = len(town.read.of(NPC_UPDATE_COMMANDS))
    verdict.results = len(town.read.of(NPC_UPDATE_RESULTS))
    verdict.missing = sorted(wanted.keys() - sent.keys())
    verdict.different = [m for m in wanted.keys() & sent.keys() if not _agree(wanted[m], sent[m])]
    verdict.wrong = list(_all_differences(await _memories(agents, game), seen))
    verdict.overtaken = [npc_id for npc_id in game.sights if not _rises(town.results(npc_id))]
    verdict.dead_letters = len(town.dead_letters())


async def _within(seconds: float, condition: Callable[[], Any]) -> None:
    """Waits for what shall be; that it never came is for the verdict to say."""
    try:
        await until(condition, "", within=seconds)
    except AssertionError:
        return


def expected(town: Town) -> dict[str, UpdateCommand]:
    """The commands that the raw snapshots ask for, decided by the pure core without any crash."""
    core = Filter(world=World(roster(), Places(), players()))
    for record in town.read.of(NPC_SNAPSHOTS):
        core.see(decode_snapshot(record.key, record.value, record.timestamp / 1000), record.offset)
    return {_mark(seen.command): seen.command for seen in core.sent if seen.command}


def commands_of(town: Town) -> dict[str, UpdateCommand]:
    """The commands that were sent, by NPC and the snapshot they come from."""
    commands = [decode_command(record.value) for record in town.read.of(NPC_UPDATE_COMMANDS)]
    return {_mark(command): command for command in commands}


def _mark(command: UpdateCommand) -> str:
    return f"{command.npc_id}@{command.source.offset}"


def _agree(one: UpdateCommand, other: UpdateCommand) -> bool:
    return one.desired == other.desired


def _rises(results: list[UpdateResult]) -> bool:
    # By the time of the write: a result that the broker did not take at once comes late.
    told = sorted(results, key=lambda result: result.finished_at)
    written = [result.observed_at for result in told if result.outcome is Outcome.APPLIED]
    return written == sorted(written)


def _snapshots(town: Town) -> dict[str, Snapshot]:
    """The newest of each NPC."""
    newest: dict[str, Snapshot] = {}
    for record in town.read.of(NPC_SNAPSHOTS):
        one = decode_snapshot(record.key, record.value, record.timestamp / 1000)
        if one.npc_id not in newest or one.observed_at > newest[one.npc_id].observed_at:
            newest[one.npc_id] = one
    return newest


Memory = Mapping[str, MemoryBlock]


async def _memories(agents: Agents, game: Game) -> dict[str, Memory]:
    blocks = await each(game.sights, agents.read)
    return dict(zip(game.sights, blocks, strict=True))


async def _are_right(agents: Agents, game: Game, seen: dict[str, Snapshot]) -> bool:
    return not any(_all_differences(await _memories(agents, game), seen))


def _all_differences(memories: dict[str, Memory], seen: dict[str, Snapshot]) -> Iterator[str]:
    for npc_id, memory in memories.items():
        yield from _differences(seen[npc_id], memory)


def _differences(snapshot: Snapshot, memory: Memory) -> Iterator[str]:
    group, status = _document(memory, GROUP), _document(memory, STATUS)
    members = group.get("members", {})
    found: dict[str, object] = {
        "members": {who: entry.get("name") for who, entry in members.items()},
        "current_location": status.get("current_location"),
        "current_action": status.get("current_action"),
    }
    wanted: dict[str, object] = {
        "members": {player.id: player.name for player in snapshot.nearby_players},
        "current_location": snapshot.location,
        "current_action": snapshot.action,
    }
    for name, value in wanted.items():
        if found[name] != value:
            yield f"{snapshot.npc_id}: {name} is {found[name]!r}, not {value!r}"


def _document(memory: Memory, label: str) -> dict[str, Any]:
    try:
        found = json.loads(memory[label].value)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _judge_notes(
    verdict: Verdict,
    scribe: Scribe,
    memories: dict[str, Memory],
    kept: dict[str, str],
    town: Town,
) -> None:
    """A note is kept in the block; while the one it is about is away in its metadata, or in the
    writer's Table.
    """
    lost = [
        one
        for one in scribe.written
        if not _is_kept(one.note, memories[one.note.npc_id], kept[one.note.npc_id])
    ]
    results = [decode_result(record.value) for record in town.read.of(NPC_UPDATE_RESULTS)]
    verdict.notes, verdict.notes_lost = len(scribe.written), len(lost)
    verdict.notes_lost_beside_a_write = sum(_is_beside_a_write(one, results) for one in lost)


def _is_kept(note: Note, memory: Memory, kept: str) -> bool:
    texts = [f"{b.value} {json.dumps(dict(b.metadata))}" for b in memory.values()]
    return any(note.text in text for text in [*texts, kept])


def _is_beside_a_write(one: Written, results: list[UpdateResult]) -> bool:
    return any(
        result.npc_id == one.note.npc_id
        and result.outcome is Outcome.APPLIED
        and one.began <= result.finished_at <= one.done + BESIDE
        for result in results
    )
