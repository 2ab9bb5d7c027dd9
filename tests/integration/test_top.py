"""`rollcall top` on real topics, with real workers and without any."""

import asyncio
import json
import time
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from click.testing import CliRunner, Result

from ops.cli import main
from tests.integration.harness import Town, new_id, new_prefix
from topics.catalogue import NPC_UPDATE_COMMANDS, NPC_UPDATE_RESULTS
from topics.encode import encode
from topics.models import Desired, Outcome, Reason, Source, UpdateCommand, UpdateResult

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

ALICE, BOB = ("1001", "Alice"), ("1002", "Bob")


async def rollcall_top(town: Town, patch: pytest.MonkeyPatch, *more: str) -> Result:
    patch.setenv("ROLLCALL_BROKER", f"kafka://{town.connection.bootstrap_servers[0]}")
    patch.setenv("ROLLCALL_TOPIC_PREFIX", town.connection.topic_prefix)
    patch.delenv("ROLLCALL_METRICS_PORT", raising=False)
    words = ["top", "--once", *more]
    return await asyncio.to_thread(CliRunner().invoke, main, words)


async def told(town: Town, patch: pytest.MonkeyPatch, *more: str) -> Any:
    done = await rollcall_top(town, patch, "--json", "--interval", "3", "--worst", "100", *more)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


async def play(town: Town, npc_id: str, now: float) -> None:
    """A game in which Bob comes and goes, each time as soon as the NPC knows."""
    for turn in range(1000):
        await town.see(npc_id, now + turn, ALICE, *([BOB] if turn % 2 else []))
        await town.publish.world({"clusters": {npc_id: ["Alice"]}, "observed_at": now - 60})
        await town.publish.flush()
        await town.finished(npc_id, turn + 1)


async def test_a_running_pipeline_is_told_from_end_to_end(
    town: Town, now: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    npc_id = new_id()
    await town.letta.agent(f"npc:{npc_id}")
    workers = [f"--metrics=127.0.0.1:{one.port}" for one in town.workers.values()]
    game = asyncio.create_task(play(town, npc_id, now))
    await town.finished(npc_id, 1)

    seen = await told(town, monkeypatch, *workers, "--metrics=127.0.0.1:1")

    game.cancel()
    metrics = seen["metrics"]
    assert ["splitter", "filter", "writer", ""] == [one["role"] for one in seen["workers"]]
    assert "nobody answers there" == seen["workers"][-1]["why_not"]
    assert metrics["seconds"] > 2.5
    assert metrics["world_snapshots"]["split"] > 0
    assert metrics["snapshots"]["sent"] > 0
    assert metrics["commands"]["members"] > 0
    assert metrics["results"]["applied"] > 0
    assert {"read", "write"} <= {one["operation"] for one in metrics["letta"]}
    assert all(one["mean"] > 0 and one["p95"] > 0 for one in metrics["letta"])
    assert 0 < metrics["freshness"]["p50"] <= metrics["freshness"]["p99"]
    assert ["closed"] == [one["breaker"] for one in metrics["writer"]]
    assert npc_id in [one["npc_id"] for one in seen["told_late"]]
    inputs = [one["topic"] for one in seen["lag"] if one["is_input"]]
    names = ("world-snapshots", "npc-snapshots", "npc-update-commands")
    assert [town.connection.topic(name) for name in names] == inputs


def command(command_id: str, npc_id: str, at: float) -> bytes:
    return encode(
        UpdateCommand(
            command_id=command_id,
            npc_id=npc_id,
            reason=Reason.MEMBERS,
            observed_at=at,
            issued_at=at,
            source=Source(topic="npc-snapshots", partition=0, offset=0),
            desired=Desired(),
        )
    )


def result(command_id: str, npc_id: str, at: float, age: float) -> bytes:
    return encode(
        UpdateResult(
            command_id=command_id,
            npc_id=npc_id,
            reason=Reason.MEMBERS,
            outcome=Outcome.APPLIED,
            observed_at=at - age,
            finished_at=at,
        )
    )


async def groups_of(town: Town) -> list[str]:
    admin = AIOKafkaAdminClient(**town.connection.client_options())
    await admin.start()
    try:
        names = [name for name, *_ in await admin.list_consumer_groups()]
    finally:
        await admin.close()
    return [name for name in names if name.startswith(town.connection.topic_prefix)]


async def test_without_any_worker_the_topics_tell_who_was_late_and_who_waits(
    lone_town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    late, waits, now = new_id(), new_id(), time.time()
    await lone_town.raw(NPC_UPDATE_COMMANDS, late, command("a", late, now - 50))
    await lone_town.raw(NPC_UPDATE_RESULTS, late, result("a", late, now - 8, 42.0))
    await lone_town.raw(NPC_UPDATE_COMMANDS, waits, command("b", waits, now - 30))
    await lone_town.raw(NPC_UPDATE_COMMANDS, waits, command("c", waits, now - 20))
    await lone_town.raw(NPC_UPDATE_COMMANDS, waits, b"{nonsense")
    await lone_town.raw(NPC_UPDATE_RESULTS, waits, None)

    seen = await told(lone_town, monkeypatch)

    assert [(late, 42.0)] == [(one["npc_id"], one["seconds"]) for one in seen["told_late"]]
    [wait] = seen["waiting"]
    assert (waits, "members", 2) == (wait["npc_id"], wait["reason"], wait["commands"])
    assert wait["seconds"] >= 30
    assert seen["metrics"] is None
    assert {"NONE"} == {one["verdict"] for one in seen["lag"]}
    assert [] == await groups_of(lone_town)


async def test_a_page_is_printed_for_people(
    lone_town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    npc_id = new_id()
    await lone_town.raw(NPC_UPDATE_COMMANDS, npc_id, command("a", npc_id, time.time()))

    done = await rollcall_top(lone_town, monkeypatch, "--interval", "0.2", "--metrics=127.0.0.1:1")

    assert done.exit_code == 0, done.output
    assert "127.0.0.1:1 nobody answers there" in done.output
    assert "waiting for a result: 1" in done.output
    assert npc_id in done.output


async def test_missing_topics_are_a_sentence(
    lone_town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = lone_town.connection.model_copy(update={"topic_prefix": new_prefix()})
    nowhere = Town(elsewhere, lone_town.folder)

    done = await rollcall_top(nowhere, monkeypatch)

    assert done.exit_code == 1
    assert "run `rollcall topics apply` first" in done.output
