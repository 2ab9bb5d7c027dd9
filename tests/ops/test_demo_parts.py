"""The demo's parts without servers: notes, sums, timing, and when an NPC may write."""

import asyncio
import json
import os
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from ops.demo.command import kept_lines, new_stage
from ops.demo.game import Record, Truth, World
from ops.demo.notes import Note, Notebook, first_memory, with_note
from ops.demo.play import Play, Told, timeline
from ops.demo.scrape import Counts, add
from ops.demo.scribe import Scribe
from ops.demo.servers import Servers
from ops.demo.summary import caches_of, latency_of, letta_faults_of, percentile
from ops.demo.town import build_town
from ops.demo.watch import Tally
from ops.demo.workers import WorkerProcess, last_line, peak_memory
from streams.settings import Mode
from topics.models import Desired, Outcome, Reason, Source, UpdateCommand, UpdateResult

PAGE = """\
# TYPE rollcall_letta_requests_total counter
rollcall_letta_requests_total{operation="read",status="200"} 6.0
rollcall_letta_requests_total{operation="read",status="404"} 1.0
rollcall_letta_requests_total{operation="write",status="200"} 4.0
rollcall_letta_requests_total{operation="write",status="409"} 1.0
# TYPE rollcall_cache_requests_total counter
rollcall_cache_requests_total{cache="players",result="hit"} 3.0
rollcall_cache_requests_total{cache="players",result="miss"} 1.0
"""


def truth(npc_id: str = "npc-1", at: float = 3.0, *members: str) -> Truth:
    return Truth(npc_id, at, members, "market", (0.0, 0.0, 0.0), "idle")


def test_what_a_kept_demo_tells_leads_to_its_metrics_and_its_end(tmp_path: Path) -> None:
    town = build_town(1, 1)
    servers = Servers("kafka://127.0.0.1:9", "http://127.0.0.1:9", "", tmp_path)
    stage = new_stage("demo-1", town, Mode.CACHED, servers)
    stage.workers = [WorkerProcess("filter", Mock(pid=7), 9101, tmp_path / "filter.log")]

    lines = kept_lines(stage)

    assert "  export ROLLCALL_TOPIC_PREFIX=demo-1-" in lines
    assert "  rollcall top --metrics 127.0.0.1:9101" in lines
    assert lines[-1].endswith("kill 7")


# ---- what NPCs write


def test_every_note_of_a_first_memory_is_in_the_notebook_and_in_the_blocks() -> None:
    town, notebook = build_town(12, 1), Notebook()

    memories = {npc_id: first_memory(npc_id, town, notebook) for npc_id in town.npcs}

    assert {len(blocks) for blocks in memories.values()} == {0, 2}
    assert notebook.made_up
    for npc_id, notes in notebook.notes.items():
        assert all(note.text in memories[npc_id][note.label] for note in notes)


def test_no_two_notes_are_the_same() -> None:
    town, notebook = build_town(30, 1), Notebook()
    for npc_id in town.npcs:
        first_memory(npc_id, town, notebook)

    texts = [note.text for notes in notebook.notes.values() for note in notes]

    assert len(set(texts)) == len(texts)


def test_a_note_joins_what_the_npc_wrote_before() -> None:
    value = json.dumps({"members": {"7": {"name": "Al", "notes": "kind"}}, "x": 1})

    about_al = json.loads(with_note(value, Note("npc-1", "group_members", "owes me", "7")))
    own = json.loads(with_note(value, Note("npc-1", "group_members", "sleep more")))

    assert about_al == {"members": {"7": {"name": "Al", "notes": "kind; owes me"}}, "x": 1}
    assert own["diary"] == "sleep more"


def scribe_after(told: Told, ahead: list[Record], at: float, tally: Tally) -> Truth | None:
    play: Any = type("Play", (), {"told": told, "ahead": ahead, "at": at})()
    agents: Any = None
    return Scribe(agents, Notebook(), play, tally)._quiet_one()


def told_of(*truths: Truth) -> Told:
    told = Told()
    for one in truths:
        told.take(Record(one.at, "npc-snapshots", one.npc_id, {}, (one,)), one.at, one.at)
    return told


def test_an_npc_writes_while_nothing_is_about_to_be_written() -> None:
    quiet = told_of(truth(at=0.0), truth(at=3.0))
    changed = told_of(truth(at=0.0), truth("npc-1", 3.0, "1001"))
    with_profile = told_of(truth(at=0.0), truth(at=3.0))
    with_profile.profile_at = 3.2
    waiting = Tally(waiting={"npc-1": {"c"}})
    next_snapshot = Record(4.0, "npc-snapshots", "npc-1", {}, (truth(at=4.0),))
    profile = Record(4.0, "player-profiles", "1001", {})

    assert scribe_after(quiet, [], 3.5, Tally()) == truth(at=3.0)
    assert scribe_after(changed, [], 3.5, Tally()) is None
    assert scribe_after(with_profile, [], 3.5, Tally()) is None
    assert scribe_after(quiet, [], 3.5, waiting) is None
    assert scribe_after(quiet, [next_snapshot], 3.5, Tally()) is None
    assert scribe_after(quiet, [profile], 3.5, Tally()) is None


# ---- the way of the game to Kafka


class Noting:
    """A publisher that notes values and times."""

    def __init__(self) -> None:
        self.values: list[Mapping[str, Any]] = []

    async def snapshot(self, value: Mapping[str, Any]) -> None:
        self.values.append(value)

    async def world(self, value: Mapping[str, Any], world_id: str) -> int:
        self.values.append(value)
        return 1

    async def profile(self, value: Mapping[str, Any]) -> None:
        return

    async def flush(self) -> None:
        return


@pytest.mark.parametrize("speed", [50.0, 100.0])
async def test_a_fast_game_is_sent_whole_and_never_lies_in_the_future(speed: float) -> None:
    import time

    town, publisher = build_town(6, 1), Noting()
    records = list(timeline(World(town, 1), 30))
    untyped: Any = publisher
    play = Play(records, 30, untyped, speed=speed)

    await play.run()

    times = [value.get("observed_at", value.get("timestamp")) for value in publisher.values]
    assert len(times) == sum(bool(record.truths) for record in records)
    assert max(times) <= time.time()
    assert max(times) - min(times) >= 27  # of 30; a busy machine sends later, never earlier
    assert play.told.snapshots == sum(len(record.truths) for record in records)
    assert play.told.truths == {t.npc_id: t for record in records for t in record.truths}
    assert play.told.changed == sum(1 for _ in _changes(records))


def _changes(records: list[Record]) -> list[Truth]:
    last: dict[str, Truth] = {}
    changes = []
    for record in records:
        for one in record.truths:
            before = last.get(one.npc_id)
            if before is None or before.told() != one.told():
                changes.append(one)
            last[one.npc_id] = one
    return changes


def test_a_timeline_is_the_game_in_steps() -> None:
    town = build_town(6, 1)

    assert list(timeline(World(town, 1), 30)) == World(town, 1).tick(30)


async def test_stopping_a_game_stops_it() -> None:
    untyped: Any = Noting()
    task = asyncio.create_task(Play(timeline(World(build_town(6, 1), 1), 60), 60, untyped).run())
    await asyncio.sleep(0)
    task.cancel()

    (outcome,) = await asyncio.gather(task, return_exceptions=True)

    assert isinstance(outcome, asyncio.CancelledError)


# ---- sums


def command(command_id: str = "c") -> UpdateCommand:
    return UpdateCommand(
        command_id=command_id,
        npc_id="npc-1",
        reason=Reason.MEMBERS,
        observed_at=100.0,
        issued_at=100.1,
        source=Source(topic="npc-snapshots", partition=0, offset=1),
        desired=Desired(),
    )


def result(
    command_id: str = "c",
    outcome: Outcome = Outcome.APPLIED,
    reason: Reason = Reason.MEMBERS,
    error: str | None = None,
) -> UpdateResult:
    return UpdateResult(
        command_id=command_id,
        npc_id="npc-1",
        reason=reason,
        outcome=outcome,
        calls=2,
        observed_at=100.0,
        finished_at=100.4,
        error=error,
    )


def test_a_command_waits_for_its_result_in_whichever_order_they_are_read() -> None:
    tally = Tally()

    tally.take_command(command("a"))
    tally.take_result(result("b"), None)
    tally.take_command(command("b"))

    assert tally.waiting["npc-1"] == {"a"}
    assert tally.is_waiting("npc-1")
    tally.take_result(result("a"), None)
    assert tally.waiting_commands == 0


def test_the_age_of_a_memory_counts_from_sending_and_only_for_snapshots() -> None:
    tally = Tally()

    tally.take_result(result(), None)
    tally.take_result(result(), 100.1)
    tally.take_result(result(reason=Reason.PROFILE), None)
    tally.take_result(result(outcome=Outcome.UNCHANGED), None)

    assert tally.latencies == pytest.approx([0.4, 0.3])
    assert tally.changes == 3


def test_a_failed_result_is_a_fault_with_its_reason() -> None:
    tally = Tally()

    tally.take_result(result(outcome=Outcome.FAILED, error="no agent"), None)

    assert tally.faults == ["npc-1: no agent"]


def test_percentiles_are_values_that_occurred() -> None:
    values = [float(n) for n in range(1, 101)]
    random.Random(1).shuffle(values)

    assert (percentile(values, 50), percentile(values, 95)) == (50.0, 95.0)
    assert percentile([3.0], 95) == 3.0
    assert latency_of([]).p95 is None


def test_counts_of_several_workers_are_added() -> None:
    counts = Counts()
    add(counts, PAGE)
    add(counts, PAGE)

    assert counts.by("rollcall_letta_requests_total", "operation") == {"read": 14, "write": 10}
    assert counts.total("rollcall_letta_requests_total", operation="write", status="409") == 2
    assert letta_faults_of(counts) == {"write 409": 2}
    assert caches_of(counts) == {"players": {"hits": 6, "misses": 2, "hit_rate": 0.75}}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells VmHWM")
def test_the_peak_memory_of_a_process_is_known() -> None:
    peak = peak_memory(os.getpid())

    assert peak is not None
    assert peak > 10_000_000


def test_a_process_that_is_gone_has_no_peak_memory() -> None:
    assert peak_memory(2**22 + 1) is None


def test_the_last_words_of_a_log_are_bounded_and_plain(tmp_path: Any) -> None:
    log = tmp_path / "w.log"
    log.write_bytes(b"first\n\x1b[31mlast " + b"x" * 5000 + b"\n\n")

    assert len(last_line(log)) == 400
    assert "\x1b" not in last_line(log)
    assert last_line(tmp_path / "none.log") == ""
