"""The three modes on one recorded input, and what filtering saves."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from streams.filter.core import World
from streams.filter.decide import Policy
from streams.settings import Mode
from tests.filter.town import Filter, players, roster
from tests.integration.harness import Town, json_bytes, new_prefix, until
from topics.connection import KafkaConnection
from topics.decode import decode_snapshot
from topics.encode import encode_key
from topics.places import Places

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

NPCS = [f"npc-{number}" for number in range(3)]


def recorded(now: float) -> list[dict[str, Any]]:
    """Ten minutes in the life of three NPCs, with a silence; the last of them is always alone."""
    records = []
    for at in [*range(0, 300, 5), *range(400, 600, 5)]:
        for number, npc_id in enumerate(NPCS):
            visitor = {"id": str(at // (20 * (number + 1))), "name": "Visitor"}
            near = [visitor] if npc_id != NPCS[-1] else []
            records.append(
                {"npc_id": npc_id, "observed_at": now - 600 + at, "nearby_players": near}
            )
    ends = [{"npc_id": npc_id, "observed_at": now, "action": "sleeping"} for npc_id in NPCS]
    return records + ends


def expected(mode: Mode, records: list[dict[str, Any]]) -> dict[str, list[str]]:
    """The reasons of each NPC's commands, as the pure core decides."""
    core = Filter(Policy(mode=mode), world=World(roster(), Places(), players()))
    for number, record in enumerate(records):
        snapshot = decode_snapshot(encode_key(record["npc_id"]), json_bytes(record), 0.0)
        core.see(snapshot, number)
    return {
        npc_id: [
            seen.command.reason.value
            for seen in core.sent
            if seen.command and seen.command.npc_id == npc_id
        ]
        for npc_id in NPCS
    }


async def sent(kafka_address: str, folder: Path, mode: Mode, records: list[dict[str, Any]]) -> Any:
    """The reasons of the commands that a filter in this mode sends."""
    connection = KafkaConnection(broker=kafka_address, topic_prefix=new_prefix())
    async with AsyncExitStack() as stack:
        town = await stack.enter_async_context(Town(connection, folder))
        for record in records:
            await town.publish.snapshot(record)
        town.start("filter", MODE=mode.value)

        def is_over() -> bool:
            return all(
                commands and commands[-1].desired.action == "sleeping"
                for commands in map(town.commands, NPCS)
            )

        await until(is_over, f"the last commands in {mode}")
        return {npc: [c.reason.value for c in town.commands(npc)] for npc in NPCS}


async def test_the_modes_differ_in_the_number_of_commands(
    kafka_address: str, tmp_path_factory: pytest.TempPathFactory, now: float
) -> None:
    records = recorded(now)

    each = await asyncio.gather(
        *(sent(kafka_address, tmp_path_factory.mktemp(mode), mode, records) for mode in Mode)
    )

    told = dict(zip(Mode, each, strict=True))
    assert told == {mode: expected(mode, records) for mode in Mode}
    counts = {mode: sum(map(len, told[mode].values())) for mode in Mode}
    assert counts[Mode.DIRECT] == len(records)
    assert counts[Mode.FILTERED] < counts[Mode.CACHED] < counts[Mode.DIRECT] / 2
