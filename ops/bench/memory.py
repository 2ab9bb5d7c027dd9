"""`rollcall bench memory`: what one NPC costs a filter and a writer in memory. Needs no server.

    filter   roster     entries, by id and by names
             players    the player cache, half as many players as NPCs
             groups     keys and values of the Table, as Faust keeps them
             decisions  what is confirmed, and what has not settled
    writer   roster     the same
             commands   marks, and whose agent is whose

Counted are the bytes that Python holds on to for it (tracemalloc), not what a worker takes before
it knows anybody. The writer has written everybody once, to a Letta that answers at once, and looks
after no write: that takes memory for some seconds alone.
"""

import asyncio
import gc
import json
import tracemalloc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import click
import orjson
from rich.table import Table

from ops.bench.options import json_option, seed_option
from ops.demo.game import Truth, World
from ops.demo.play import truths
from ops.demo.town import Town, build_town
from ops.demo.view import open_console
from ops.embedded.progress import shown_progress
from streams.filter import state as states
from streams.filter.core import GroupFilter
from streams.filter.core import World as Known
from streams.filter.decide import Policy
from streams.filter.players import PlayerCache
from streams.partitioned_key import partitioned_key
from streams.writer.limit import FixedLimit
from streams.writer.loop import WriteLoop
from streams.writer.reconcile import GROUP, STATUS
from streams.writer.store import AgentRun, Block, OnCall
from topics.decode import decode_command, decode_roster_entry, decode_snapshot
from topics.encode import encode, encode_key
from topics.models import RosterEntry, Snapshot, Source
from topics.places import Places
from topics.roster import Roster

_SECONDS = 9.0
"""Of the game: each NPC is seen three times."""

_NOON = 1_795_426_413.0
_DAY = 86_400.0


class Costs:
    """Bytes by what holds them."""

    def __init__(self) -> None:
        self.parts: dict[str, int] = {}

    @contextmanager
    def counted(self, part: str) -> Iterator[None]:
        """What the block leaves behind."""
        before = _held()
        yield
        self.parts[part] = self.parts.get(part, 0) + _held() - before


def _held() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


class InstantLetta:
    """A store whose agents remember nothing and answer at once."""

    async def find_agents(self, npc_ids: Sequence[str]) -> dict[str, str]:
        """Nobody has to be found."""
        return {npc_id: f"agent-{npc_id}" for npc_id in npc_ids}

    async def read(self, agent_id: str) -> dict[str, Block]:
        """Two blocks that nobody has written to."""
        return {
            label: Block(id=f"{agent_id}-{label}", label=label, value="{}", metadata={}, limit=5000)
            for label in (GROUP.label, STATUS.label)
        }

    async def write(self, block_id: str, value: str, metadata: Any) -> None:
        """It is as if it were written."""

    async def change(self, block_id: str, **_: Any) -> None:
        """The same."""

    async def create(self, *_: Any, **__: Any) -> Block:
        """All blocks are there."""
        raise NotImplementedError

    async def runs(self) -> list[AgentRun]:
        """No agent does anything."""
        return []

    async def delete(self, block_id: str) -> None:
        """It is as if it were gone."""

    def observed_by(self, on_call: OnCall) -> Self:  # noqa: ARG002 - nothing to be seen
        """Itself."""
        return self


Commands = dict[str, bytes]
"""The newest of each NPC, as it is sent."""


def filtered(town: Town, seed: int, costs: Costs, commands: Commands | None = None) -> None:
    """Shows a filter the town; `commands`: to be filled."""
    with costs.counted("filter: roster"):
        roster = _roster(town)
    with costs.counted("filter: players"):
        players = PlayerCache(_DAY)
        for profile in town.players.values():
            players.learn(profile, _NOON)
    table: dict[bytes, bytes] = {}
    core = GroupFilter(
        Known(roster, Places(town.places.values()), players), Policy(), npcs=lambda: len(table)
    )
    with costs.counted("filter: groups and decisions"):
        for offset, snapshot in enumerate(_snapshots(town, seed)):
            key = partitioned_key(0, snapshot.npc_id)
            source = Source(topic="npc-snapshots", partition=0, offset=offset)
            seen = core.observe(snapshot, states.load(table.get(key)), source, _NOON)
            if seen.state is not None:
                table[key] = states.dump(seen.state)
            if seen.command is not None and commands is not None:
                commands[snapshot.npc_id] = encode(seen.command)


async def written(town: Town, commands: Iterable[bytes], costs: Costs) -> None:
    """Has a writer write it."""
    with costs.counted("writer: roster"):
        roster = _roster(town)
    left, done = 0, asyncio.Event()

    def finish() -> None:
        nonlocal left
        left -= 1
        if not left:
            done.set()

    with costs.counted("writer: commands"):
        loop = _loop(roster)
        for offset, value in enumerate(commands):
            left += 1
            loop.submit(decode_command(value), finish, offset=offset)
        await done.wait()
    await loop.stop(1.0)


def _loop(roster: Roster) -> WriteLoop:
    async def nothing(*_: Any) -> None:
        return None

    def agent_of(npc_id: str) -> str | None:
        entry = roster.by_id(npc_id)
        return entry.agent_id if entry else None

    return WriteLoop(
        InstantLetta(),
        nothing,
        agent_of,
        nothing,
        nothing,
        limit=FixedLimit(8),
        recheck_delay=0.0,
        log=_Silent(),
    )


class _Silent:
    def __getattr__(self, _: str) -> Any:
        return lambda *_, **__: None


def _roster(town: Town) -> Roster:
    entries = (_as_from_wire(entry) for entry in town.npcs.values())
    return Roster(entries)


def _as_from_wire(entry: RosterEntry) -> RosterEntry:
    fields = {name: getattr(entry, name) for name in entry.__struct_fields__}
    fields["agent_id"] = f"agent-{entry.npc_id:>036}"
    return decode_roster_entry(encode_key(entry.npc_id), orjson.dumps(fields))


def _snapshots(town: Town, seed: int) -> Iterator[Snapshot]:
    return (_snapshot(truth, town) for truth in truths(World(town, seed), _SECONDS))


def _snapshot(truth: Truth, town: Town) -> Snapshot:
    """Decoded from bytes, so that no text is shared that would not be."""
    value = {
        "npc_id": truth.npc_id,
        "observed_at": _NOON + truth.at,
        "cluster": [town.name_of(who) for who in (truth.npc_id, *truth.members)],
        "nearby_players": [[w, town.players[w].name] for w in truth.members if w in town.players],
        "location": truth.place,
        "action": truth.action,
        "position": list(truth.position),
    }
    return decode_snapshot(encode_key(truth.npc_id), orjson.dumps(value), _NOON)


def costs_of(npcs: int, seed: int) -> dict[str, int]:
    """Bytes by part, for so many NPCs."""
    town, costs, commands = build_town(npcs, seed), Costs(), Commands()
    filtered(town, seed, Costs(), commands)
    tracemalloc.start()
    try:
        filtered(town, seed, costs)
        asyncio.run(written(town, commands.values(), costs))
    finally:
        tracemalloc.stop()
    return costs.parts


@click.command()
@click.option("--npcs", type=click.IntRange(10), default=10_000, show_default=True)
@seed_option
@json_option
def memory(npcs: int, seed: int, json_file: Path | None) -> None:
    """How much memory a filter and a writer need for each NPC."""
    with shown_progress() as progress:
        progress.step(f"{npcs:,} NPCs", None)
        parts = costs_of(npcs, seed)
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    table.add_column("bytes for each NPC", justify="right")
    for part, size in {**parts, "together": sum(parts.values())}.items():
        table.add_row(part, f"{size / npcs:,.0f}")
    open_console().print(table)
    if json_file:
        json_file.write_text(json.dumps({"npcs": npcs, "bytes": parts}, indent=2) + "\n")
