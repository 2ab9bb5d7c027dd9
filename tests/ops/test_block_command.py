"""`rollcall block` on a real broker, and beside a real Letta."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer
from click.testing import CliRunner, Result

from ops.cli import main
from ops.records import records
from streams.writer.letta import connect
from streams.writer.reconcile import reconcile
from tests.ops.test_history import result
from tests.writer.agents import NewAgent, agents_on, client_of
from tests.writer.commands import ALICE, BOB, NOON, command
from topics.catalogue import NPC_ROSTER, NPC_UPDATE_COMMANDS, NPC_UPDATE_RESULTS, PARTITIONS
from topics.connection import KafkaConnection
from topics.encode import encode, encode_key
from topics.models import Member, Outcome, RosterEntry, UpdateCommand, UpdateResult

pytestmark = pytest.mark.integration

AWAY = "http://127.0.0.1:1"
Sent = tuple[str, bytes, bytes | None]
"""Topic, key and value."""


def send(connection: KafkaConnection, *sent: Sent) -> None:
    async def _send() -> None:
        async with AIOKafkaProducer(**connection.client_options()) as producer:
            for topic, key, value in sent:
                await producer.send_and_wait(connection.topic(topic), value, key)

    asyncio.run(_send())


def said(*given: UpdateCommand) -> list[Sent]:
    return [(NPC_UPDATE_COMMANDS, encode_key(each.npc_id), encode(each)) for each in given]


def came_of(*given: UpdateResult) -> list[Sent]:
    return [(NPC_UPDATE_RESULTS, encode_key(each.npc_id), encode(each)) for each in given]


def step(number: int, *members: Member, npc_id: str = "npc-7", **more: Any) -> UpdateCommand:
    return command(*members, npc_id=npc_id, observed_at=NOON + 10 * number, offset=number, **more)


def run(*arguments: str) -> Result:
    done = CliRunner().invoke(main, ["block", *arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def told(*arguments: str) -> Any:
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def names(memory: Any) -> list[str]:
    return [member["name"] for member in memory["members"]]


def test_the_memory_now_and_then_are_told(connection: KafkaConnection) -> None:
    first, second = step(1, ALICE), step(2, BOB, location="Mill")
    other = step(3, ALICE, BOB, npc_id="npc-8")
    send(connection, *said(first, second, other), *came_of(result(first), result(second)))

    now, then = told("npc-7", "--no-live"), told("npc-7", "--at", str(NOON + 15))

    assert (["Bob"], "Mill") == (names(now["memory"]), now["memory"]["location"])
    assert (["Alice"], "Market Square") == (names(then["memory"]), then["memory"]["location"])
    assert then["live"] is None
    assert [] == now["pending"] == then["failures"]


def test_changes_are_listed_newest_last(connection: KafkaConnection) -> None:
    steps = [step(1, ALICE), step(2, ALICE), step(3, ALICE, BOB), step(4, BOB)]
    outcomes = [Outcome.APPLIED, Outcome.UNCHANGED, Outcome.APPLIED, Outcome.APPLIED]
    results = [result(each, how) for each, how in zip(steps, outcomes, strict=True)]
    send(connection, *said(*steps), *came_of(*results))

    done = run("npc-7", "--diff", "--last", "3", "--no-live")

    assert [
        "Earlier entries left out: 1.",
        "nothing new until 2026-11-23T09:33:54Z: 1 unchanged",
        "  + Bob (1002) joined: short, green hat",
        "  - Alice (1001) left",
    ] == [
        line.removeprefix("2026-11-23T09:33:54Z  ")
        for line in done.stdout.splitlines()
        if line.startswith(("  +", "  -", "Earlier")) or "nothing new" in line
    ]
    entries = told("npc-7", "--diff", "--no-live")["entries"]
    assert outcomes == [entry["outcome"] for entry in entries]
    assert ["joined"] == [change["kind"] for change in entries[2]["changes"]]


def test_records_that_cannot_be_read_are_counted_and_passed_over(
    connection: KafkaConnection,
) -> None:
    good, foreign = step(1, ALICE), step(2, BOB, npc_id="npc-8")
    send(
        connection,
        (NPC_UPDATE_COMMANDS, b"npc-7", b"\x1b[2J"),
        (NPC_UPDATE_COMMANDS, b"npc-7", encode(foreign)),
        (NPC_UPDATE_COMMANDS, b"npc-7", None),
        *said(good),
        (NPC_UPDATE_RESULTS, b"npc-7", b"[" * 100_000),
        *came_of(result(good)),
        (NPC_ROSTER, b"npc-7", b"{}"),
    )

    done = run("npc-7", "--no-live")

    assert (0, "") == (done.exit_code, done.stderr)
    assert "Alice (1001): tall, red scarf" in done.stdout
    assert "4 records could not be read." in done.stdout


def test_a_command_on_its_way_is_told(connection: KafkaConnection) -> None:
    first, second = step(1, ALICE), step(2, BOB)
    send(connection, *said(first, second), *came_of(result(first)))

    assert [second.command_id] == [c["command_id"] for c in told("npc-7", "--no-live")["pending"]]


def test_a_result_whose_command_is_gone_says_so(connection: KafkaConnection) -> None:
    send(connection, *came_of(result(step(1, ALICE))))

    done = run("npc-7", "--no-live")

    assert "its command is no longer on the topic" in done.stdout
    assert "members     not known" in done.stdout


def test_an_npc_that_nobody_knows_is_one_sentence(connection: KafkaConnection) -> None:
    done = run("npc-9")

    assert (1, "") == (done.exit_code, done.stdout)
    assert "Error: npc-9 is unknown: not in the roster, and no record is about it.\n" == done.stderr


def test_a_time_before_the_history_is_one_sentence(connection: KafkaConnection) -> None:
    first = step(1, ALICE)
    send(connection, *said(first), *came_of(result(first)))

    done = run("npc-7", "--at", str(NOON - 3600))

    assert (1, "") == (done.exit_code, done.stdout)
    assert done.stderr.startswith(
        "Error: nothing is known of npc-7 at 2026-11-23T08:33:33Z. From 20"
    )


@pytest.mark.parametrize("arguments", [["npc\x1b7"], [""], ["npc-7", "--last", "3"], []])
def test_wrong_use_is_exit_code_two(connection: KafkaConnection, arguments: list[str]) -> None:
    assert 2 == run(*arguments).exit_code


def test_the_history_is_shown_while_letta_is_away(
    connection: KafkaConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROLLCALL_LETTA_URL", AWAY)
    first = step(1, ALICE)
    send(connection, *said(first), *came_of(result(first)))

    done = run("npc-7")

    assert 0 == done.exit_code
    assert "Alice (1001): tall, red scarf" in done.stdout
    assert f"in Letta    {AWAY} gives no answer: no connection to Letta" in done.stdout


def test_an_npc_that_was_never_written_is_no_failure(
    connection: KafkaConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROLLCALL_LETTA_URL", AWAY)
    entry = RosterEntry(npc_id="npc-7", name="Greta")
    send(connection, (NPC_ROSTER, b"npc-7", encode(entry)))

    done = run("npc-7")

    assert 0 == done.exit_code
    assert "There is no record yet" in done.stdout


@pytest.mark.parametrize("npc_id", ["npc-1", "npc-2", "Ünïcode 🐉", "x" * 200])
def test_the_records_of_a_key_are_found_in_its_partition_alone(
    connection: KafkaConnection, npc_id: str
) -> None:
    others = [f"npc-{number}" for number in range(20)]
    sent = [(NPC_UPDATE_COMMANDS, encode_key(each), b"{}") for each in (*others, npc_id)]
    send(connection, *sent)
    behind = []

    async def read(key: bytes | None) -> list[bytes | None]:
        found = records(
            connection, NPC_UPDATE_COMMANDS, key, lambda *offsets: behind.append(offsets)
        )
        return [record.key async for record in found]

    of_key, all_of_them = asyncio.run(read(encode_key(npc_id))), asyncio.run(read(None))

    assert [key for key in all_of_them if key == encode_key(npc_id)] == of_key
    assert PARTITIONS > 1
    assert (behind[0][1] < len(sent), behind[-1]) == (True, (len(sent), len(sent)))


# ---------------------------------------------------------------- beside Letta


@asynccontextmanager
async def written(url: str, *steps: UpdateCommand) -> AsyncIterator[tuple[str, list[UpdateResult]]]:
    """An agent with the NPC's tag into whose blocks these commands were written."""
    store = connect(url)
    async with client_of(url) as client, agents_on(client) as make:
        agent_id = await _agent(make, steps[0].npc_id)
        yield agent_id, [await reconcile(each, agent_id, store, at_last) for each in steps]
        await store.close()


def at_last() -> float:
    return NOON + 60


async def _agent(make: NewAgent, npc_id: str) -> str:
    return await make(f"npc:{npc_id}", tools=["core_memory_append"])


async def in_thread(*arguments: str) -> Any:
    """The command beside a running event loop."""
    return await asyncio.to_thread(told, *arguments)


def test_what_stands_in_letta_is_told_beside_what_was_written(
    connection: KafkaConnection, letta_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROLLCALL_LETTA_URL", letta_url)
    npc_id = f"npc-{uuid4().hex[:8]}"
    steps = [step(1, ALICE, npc_id=npc_id), step(2, ALICE, BOB, npc_id=npc_id)]
    send(connection, *said(*steps))

    async def edit_between() -> tuple[Any, Any]:
        async with written(letta_url, *steps) as (agent_id, results):
            await asyncio.to_thread(send, connection, *came_of(*results))
            untouched = await in_thread(npc_id)
            async with client_of(letta_url) as client:
                await client.agents.tools.run(
                    "core_memory_append",
                    agent_id=agent_id,
                    args={"label": "status", "content": "my feet hurt"},
                )
            return untouched, await in_thread(npc_id)

    untouched, edited = asyncio.run(edit_between())

    assert [("group_members", "as written", []), ("status", "as written", [])] == [
        (block["label"], block["verdict"], block["unlike_history"])
        for block in untouched["live"]["blocks"]
    ]
    assert ["Alice", "Bob"] == names(untouched["live"]["blocks"][0]["memory"])
    status = edited["live"]["blocks"][1]
    assert ("edited", []) == (status["verdict"], status["changes"])
    assert "as written" == edited["live"]["blocks"][0]["verdict"]
    assert [["my feet hurt"]] == [each["value"] for each in status["additions"]]


def test_an_agent_of_the_roster_that_is_gone_is_passed_over_for_the_tag(
    connection: KafkaConnection, letta_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROLLCALL_LETTA_URL", letta_url)
    npc_id = f"npc-{uuid4().hex[:8]}"
    entry = RosterEntry(npc_id=npc_id, name="Greta", agent_id=f"agent-{uuid4()}")
    send(connection, (NPC_ROSTER, encode_key(npc_id), encode(entry)))

    async def look() -> tuple[str, Any]:
        async with written(letta_url, step(1, ALICE, npc_id=npc_id)) as (agent_id, _):
            return agent_id, await in_thread(npc_id)

    agent_id, found = asyncio.run(look())

    assert agent_id == found["live"]["agent_id"]
    assert None is found["as_of"]
