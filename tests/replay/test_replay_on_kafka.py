"""`rollcall replay` against a real broker."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import NewTopic
from click.testing import CliRunner, Result

from ops.cli import main
from ops.records import records
from ops.replay.reading import Wanted, stretch
from ops.replay.regression import decided
from ops.replay.republish import MARK
from ops.tables import admin_client
from topics.catalogue import NPC_SNAPSHOTS
from topics.connection import KafkaConnection
from topics.models import Location, RosterEntry
from topics.publisher import Publisher

ROUNDS, NPCS = 12, 5
COPY = "copy"


def replay(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["replay", *arguments], catch_exceptions=False)


async def play(connection: KafkaConnection) -> None:
    """A game: everybody walks once, in the middle of it."""
    async with Publisher(connection) as publisher:
        await publisher.location(Location(slug="inn", name="The Inn", coordinates=(0, 0, 0)))
        await publisher.roster(RosterEntry(npc_id="npc-0", name="Ann"))
        begin = time.time() - 3 * ROUNDS
        for number in range(ROUNDS):
            for npc in range(NPCS):
                told = {
                    "npc_id": f"npc-{npc}",
                    "observed_at": begin + 3 * number,
                    "cluster": ["Ann"],
                    "location": "inn",
                    "action": "walking" if number == ROUNDS // 2 else "idle",
                }
                await publisher.snapshot(told)


@pytest.fixture
def played(connection: KafkaConnection) -> KafkaConnection:
    asyncio.run(play(connection))
    return connection


@pytest.mark.usefixtures("played")
def test_a_dry_run_says_what_is_decided_and_why_and_twice_the_same() -> None:
    first, second = replay(), replay()

    assert 0 == first.exit_code
    assert first.stdout == second.stdout
    assert f"{ROUNDS * NPCS} decisions: {3 * NPCS} sent" in first.stdout
    assert f"action {2 * NPCS}, first_seen {NPCS}" in first.stdout


@pytest.mark.usefixtures("played")
def test_other_settings_are_compared(tmp_path: Path) -> None:
    result = replay("--set", "mode=direct", "--quiet", "--plot", str(tmp_path / "calls"))

    assert 0 == result.exit_code
    assert "more Letta calls" in result.stdout
    assert {"calls.png", "calls.svg"} == {file.name for file in tmp_path.iterdir()}


@pytest.mark.usefixtures("played")
def test_one_npc_in_json() -> None:
    lines = [json.loads(line) for line in replay("--npc", "npc-1", "--json").stdout.splitlines()]

    assert ["first_seen", "action", "action"] == [line["reason"] for line in lines[:-1]]
    assert {"sent": 3, "suppressed": ROUNDS - 3} == lines[-1]["sum"]["outcomes"]


@pytest.mark.usefixtures("played")
def test_an_export_decides_what_the_topic_does(tmp_path: Path) -> None:
    file = tmp_path / "bug.ndjson"

    saved = replay("--export", str(file))

    assert 0 == saved.exit_code
    assert replay().stdout == replay("--import", str(file)).stdout


def test_an_export_tells_what_is_of_the_stretch_and_what_came_before_it(
    played: KafkaConnection, tmp_path: Path
) -> None:
    times = sorted(record.timestamp for record in asyncio.run(_all(played, NPC_SNAPSHOTS)))
    since = times[len(times) // 2]
    before = sum(at < since for at in times)

    saved = replay("--since", f"{since / 1000:.3f}", "--export", str(tmp_path / "bug.ndjson"))

    assert f"{len(times) - before} records saved" in saved.stdout
    assert not before or f"and {before} before them" in saved.stdout


def test_the_progress_of_a_part_of_a_topic_ends_where_the_part_does(
    played: KafkaConnection,
) -> None:
    progress = asyncio.run(_progress(played, dict.fromkeys(range(8), (0, 2))))

    done, total = progress[-1]
    assert done == total


@pytest.mark.usefixtures("played")
def test_a_stretch_is_kept_as_a_test_by_one_command(tmp_path: Path) -> None:
    file = tmp_path / "walks.ndjson"

    assert 0 == replay("--keep-as", str(file)).exit_code

    assert decided(file) == file.with_suffix(".decisions").read_bytes()
    assert 3 * NPCS == file.with_suffix(".decisions").read_text().count('"sent"')


def test_a_stretch_is_published_with_a_mark_and_the_times_of_now(
    played: KafkaConnection,
) -> None:
    asyncio.run(_make(played, COPY))

    result = replay("--into", COPY, "--speed", "max", "--now")

    copies = asyncio.run(_all(played, COPY))
    assert f"{ROUNDS * NPCS} records sent" in result.stdout
    assert ROUNDS * NPCS == len(copies)
    assert all(dict(one.headers)[MARK].startswith(b"npc-snapshots/") for one in copies)
    ages = [time.time() - json.loads(one.value)["observed_at"] for one in copies]
    assert max(ages) < 2 * ROUNDS


def test_a_live_topic_is_refused(played: KafkaConnection) -> None:
    result = replay("--into", NPC_SNAPSHOTS, "--speed", "max")

    assert 1 == result.exit_code
    assert "--live" in result.stderr
    assert ROUNDS * NPCS == len(asyncio.run(_all(played, NPC_SNAPSHOTS)))


@pytest.mark.usefixtures("played")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--topic", "npc-update-results"], "no decision is made on npc-update-results"),
        (["--into", "nowhere"], "nowhere does not exist"),
        (["--set", "letta_url=http://x"], "no decision depends on 'letta_url'"),
        (["--set", "mode=odd"], "mode: "),
        (["--keep-as", "test.txt"], "ends in .ndjson"),
    ],
)
def test_what_cannot_be_done_is_said(arguments: list[str], told: str) -> None:
    result = replay(*arguments)

    assert 1 == result.exit_code
    assert told in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--offsets", "1-2"],
        ["--speed", "0"],
        ["--offsets", "1:2-3", "--since", "1h"],
        ["--dry-run", "--into", "x"],
    ],
)
def test_wrong_use_is_a_usage_error(arguments: list[str]) -> None:
    assert 2 == replay(*arguments).exit_code


async def _make(connection: KafkaConnection, name: str) -> None:
    async with admin_client(connection) as admin:
        await admin.create_topics([NewTopic(connection.topic(name), 2, 1)])


async def _progress(
    connection: KafkaConnection, offsets: dict[int, tuple[int, int]]
) -> list[tuple[int, int]]:
    told: list[tuple[int, int]] = []
    wanted = Wanted(NPC_SNAPSHOTS, offsets=offsets)
    async for _ in stretch(connection, wanted, lambda done, total: told.append((done, total))):
        pass
    return told


async def _all(connection: KafkaConnection, name: str) -> list[Any]:
    return [record async for record in records(connection, name)]
