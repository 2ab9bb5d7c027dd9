"""A filter that is killed in mid-stream and started again loses no change and skips nothing."""

import random

import pytest

from streams.filter.core import World
from tests.filter.town import Filter, players, roster
from tests.integration.harness import Town, new_id, until
from topics.catalogue import NPC_SNAPSHOTS
from topics.decode import decode_snapshot
from topics.models import UpdateCommand

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

NPCS, KILLS = 12, 2
ROUNDS = 100
"""Of the game before the first kill and after each, while the filter is down."""

VISITORS = [(str(number), f"Visitor {number}") for number in range(4)]


class Game:
    """A seeded game: every NPC is told each round, and about a third of what is told is new."""

    def __init__(self, town: Town, now: float) -> None:
        self.npcs = [new_id() for _ in range(NPCS)]
        self.told = 0
        self._town, self._now, self._chance = town, now, random.Random(7)
        self._groups = dict.fromkeys(self.npcs, VISITORS[:1])

    async def play(self, rounds: int) -> None:
        for _ in range(rounds):
            at = self.told // NPCS
            for npc_id in self.npcs:
                if self._chance.random() < 0.3:
                    self._groups[npc_id] = self._chance.sample(VISITORS, self._chance.randrange(4))
                near, where = self._groups[npc_id], f"place-{at // 40}"
                await self._town.see(npc_id, self._now + at / 2, *near, location=where)
                self.told += 1
        await self._town.publish.flush()


def expected(town: Town) -> dict[str, UpdateCommand]:
    """The commands that the raw snapshots ask for, decided by the pure core without any crash."""
    core = Filter(world=World(roster(), {}, players()))
    for record in town.read.of(NPC_SNAPSHOTS):
        core.see(decode_snapshot(record.key, record.value, record.timestamp / 1000), record.offset)
    return {_mark(seen.command): seen.command for seen in core.sent if seen.command}


def _mark(command: UpdateCommand) -> str:
    return f"{command.npc_id}@{command.source.offset}"


async def test_a_killed_filter_loses_no_change_and_skips_nothing(
    lone_town: Town, now: float
) -> None:
    town, game = lone_town, Game(lone_town, now)
    await game.play(ROUNDS)
    worker = town.start("filter", SESSION_TIMEOUT=6)
    for _ in range(KILLS):
        await new_commands(town, game)
        worker.kill()
        await game.play(ROUNDS)
        worker = town.start("filter", SESSION_TIMEOUT=6)

    await until(lambda: len(town.read.of(NPC_SNAPSHOTS)) == game.told, "all raw snapshots")
    wanted = expected(town)
    await until(
        lambda: wanted.keys() <= commands_of(town, game.npcs).keys(), "a command for every change"
    )
    sent = commands_of(town, game.npcs)
    for mark, command in wanted.items():
        assert sent[mark].desired == command.desired
    for npc_id in game.npcs:
        newest = max(town.commands(npc_id), key=lambda c: (c.observed_at, c.source.offset))
        assert town.commands(npc_id)[-1].desired == newest.desired
    assert town.dead_letters() == []


async def new_commands(town: Town, game: Game) -> None:
    seen = len(commands_of(town, game.npcs))
    await until(lambda: len(commands_of(town, game.npcs)) > seen, "the work to go on")


def commands_of(town: Town, npcs: list[str]) -> dict[str, UpdateCommand]:
    return {_mark(command): command for npc_id in npcs for command in town.commands(npc_id)}
