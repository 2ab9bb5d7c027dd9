"""A requeued snapshot meets a running filter: an old one changes nothing, a mended one counts."""

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from ops.cli import main
from tests.integration.harness import Town, new_id, new_prefix, until
from topics.connection import KafkaConnection

pytestmark = pytest.mark.integration


async def test_a_requeued_snapshot_counts_unless_it_is_outdated(
    kafka_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROLLCALL_BROKER", f"kafka://{kafka_address}")
    monkeypatch.setenv("ROLLCALL_TOPIC_PREFIX", new_prefix())
    npc_id, now = new_id(), time.time()

    async with Town(KafkaConnection.from_environment(), tmp_path) as town:
        bad = {"npc_id": npc_id, "cluster": 7, "observed_at": now - 60, "action": "sleeping"}
        await town.raw("npc-snapshots", npc_id, json.dumps(bad).encode())
        undated = {"npc_id": npc_id, "cluster": 7, "action": "undated"}
        await town.raw("npc-snapshots", npc_id, json.dumps(undated).encode())
        worker = town.start("filter")
        await until(lambda: len(town.dead_letters(npc_id)) == 2, "the dead letters")
        await town.see(npc_id, time.time(), ("1001", "Alice"), action="baking")
        await town.reasons(npc_id, 1)

        for number, snapshot in enumerate((bad, undated)):
            await requeue(f"0-{number}", {**snapshot, "cluster": []}, tmp_path)
        await until(lambda: outdated(worker, 2), "both counted as outdated")
        assert await town.reasons(npc_id, 1) == ["first_seen"]

        mended = {**bad, "cluster": [], "observed_at": time.time(), "action": "waking"}
        await requeue("0-0", mended, tmp_path, "--again")
        assert await town.reasons(npc_id, 2) == ["first_seen", "members"]
        assert town.commands(npc_id)[-1].desired.action == "waking"


async def outdated(worker: object, count: int) -> bool:
    found = await worker.metric("rollcall_snapshots_total", outcome="outdated")  # type: ignore[attr-defined]
    return bool(found == count)


async def requeue(letter: str, value: object, folder: Path, *options: str) -> None:
    (folder / "value.json").write_text(json.dumps(value))
    arguments = ["requeue", letter, "--value", str(folder / "value.json"), *options]
    result = await in_thread(["dead-letters", *arguments])
    assert result == 0


async def in_thread(arguments: list[str]) -> int:
    """The command in a thread of its own: it has an event loop of its own."""
    import asyncio

    return (await asyncio.to_thread(CliRunner().invoke, main, arguments)).exit_code
