"""A stretch is read in a process of its own, and nobody can tell."""

import asyncio
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import orjson
import pytest
from aiokafka.admin import NewTopic
from click.testing import CliRunner

from ops.cli import main
from ops.failure import Failure
from ops.replay.beside import Beside
from ops.replay.dry_run import DryRun, Known
from ops.replay.reading import Wanted, known_records, stretch
from ops.replay.view import document
from ops.tables import admin_client
from streams.settings import Settings
from tests.integration.harness import until
from topics.catalogue import NPC_SNAPSHOTS
from topics.connection import KafkaConnection
from topics.producer import Producer

NPCS, ROUNDS = 6, 60


def value(npc: int, number: int, at: float) -> bytes:
    """What is told of an NPC in one round; now and then damaged."""
    if (npc + number) % 13 == 0:
        return b'{"npc_id": "npc-' + str(npc).encode()
    told = {
        "npc_id": f"npc-{npc}",
        "cluster": ["Ann"] if number % 20 < 10 + npc else ["Ann", "Bob"],
        "nearby_players": [{"id": f"p{number // 25}", "name": "Bob"}],
        "location": "inn",
        "position": [number, 0.0, 0.0],
        "observed_at": at,
    }
    return orjson.dumps(told)


async def play(connection: KafkaConnection) -> None:
    """A game whose rounds have one time each, on several partitions."""
    topic, begin = connection.topic(NPC_SNAPSHOTS), time.time() - 3 * ROUNDS
    async with Producer(**connection.client_options()) as producer:
        for number in range(ROUNDS):
            at = begin + 3 * number
            for npc in range(NPCS):
                await producer.send(
                    topic,
                    value(npc, number, at),
                    f"npc-{npc}".encode(),
                    timestamp_ms=int(at * 1000),
                )


@pytest.fixture
def played(connection: KafkaConnection) -> KafkaConnection:
    asyncio.run(play(connection))
    return connection


def replay(*arguments: str) -> list[str]:
    result = CliRunner().invoke(main, ["replay", *arguments], catch_exceptions=False)
    assert 0 == result.exit_code
    return result.stdout.splitlines()


async def decided_here(connection: KafkaConnection, npc_id: str | None) -> list[str]:
    """Every record read and decided one by one, in this process."""
    known, lines = Known(), list[str]()
    async for record in known_records(connection):
        known.hear(record)
    run = DryRun(Settings(), known)
    async for batch in stretch(connection, Wanted(NPC_SNAPSHOTS, npc_id=npc_id), _tell_nobody):
        lines += [json.dumps(document(one)) for record in batch for one in run.take(record)]
    return lines


def _tell_nobody(_done: int, _total: int) -> None:
    return


@pytest.mark.parametrize("npc_id", [None, "npc-1"])
def test_it_decides_what_one_process_alone_would_have(
    played: KafkaConnection, npc_id: str | None
) -> None:
    alone = asyncio.run(decided_here(played, npc_id))

    *lines, _ = replay("--json", "--all", *(["--npc", npc_id] if npc_id else []))

    assert alone == lines
    told = [json.loads(line) for line in lines]
    outcomes = [one["outcome"] for one in told]
    assert npc_id or len({one["source"]["partition"] for one in told}) > 1
    assert {"sent", "suppressed", "dead_letter"} == set(outcomes)
    assert ROUNDS * (1 if npc_id else NPCS) == len(outcomes)


@pytest.mark.usefixtures("played")
def test_what_is_only_counted_is_what_would_have_been_told() -> None:
    *lines, told = replay("--json", "--all")

    *sent, counted = replay("--json")

    assert told == counted
    assert [line for line in lines if '"outcome": "suppressed"' not in line] == sent


async def test_what_fails_there_is_raised_here() -> None:
    nowhere = KafkaConnection.from_environment(broker="kafka://127.0.0.1:1")

    with (
        Beside(nowhere, Wanted(NPC_SNAPSHOTS)) as reading,
        pytest.raises(Failure, match="Kafka cannot be reached"),
    ):
        await anext(reading.batches(_tell_nobody))


async def test_a_reader_that_is_killed_is_missed() -> None:
    nowhere = KafkaConnection.from_environment(broker="kafka://127.0.0.1:1")

    with Beside(nowhere, Wanted(NPC_SNAPSHOTS)) as reading:
        multiprocessing.active_children()[0].kill()

        with pytest.raises(Failure, match="the process that reads npc-snapshots was ended"):
            await anext(reading.batches(_tell_nobody))


async def _begin(connection: KafkaConnection) -> list[object]:
    with Beside(connection, Wanted(NPC_SNAPSHOTS)) as reading:
        await anext(reading.batches(_tell_nobody))
    return list(multiprocessing.active_children())


def test_it_ends_with_who_wanted_it(played: KafkaConnection) -> None:
    assert [] == asyncio.run(_begin(played))


async def _make(connection: KafkaConnection, name: str) -> None:
    async with admin_client(connection) as admin:
        await admin.create_topics([NewTopic(connection.topic(name), 1, 1)])


def _is_there(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_ctrl_c_ends_both(played: KafkaConnection) -> None:
    asyncio.run(_make(played, "copy"))
    command = [sys.executable, "-m", "ops.cli", "replay", "--into", "copy", "--speed", "0.001"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stderr is not None
    with process.stderr as told:
        assert "Reading npc-snapshots" in told.readline()
        os.killpg(process.pid, signal.SIGINT)
        rest = told.read()

    assert 1 == process.wait(30)
    assert "Traceback" not in rest
    asyncio.run(until(lambda: not _is_there(process.pid), "the reader is gone"))
