"""Whom to look at again after a write."""

from dataclasses import replace

from streams.writer.rechecks import Recheck, Rechecks
from streams.writer.runs import Runs
from streams.writer.stamp import mark_of
from streams.writer.store import AgentRun
from tests.writer.commands import ALICE, BOB, command
from topics.models import Member


def written(npc_id: str, *members: Member, looks: int = 0) -> Recheck:
    sent = command(*members, npc_id=npc_id)
    return Recheck(sent, mark_of(sent), f"agent-of-{npc_id}", looks)


def runs_of(npc_id: str, *, is_active: bool) -> Runs:
    runs = Runs()
    runs.told([], 0.0)
    runs.told([AgentRun(id="run-1", agent_id=f"agent-of-{npc_id}", is_active=is_active)], 4.0)
    return runs


def due(rechecks: Rechecks, now: float, runs: Runs | None) -> list[str]:
    return [write.command.npc_id for write in rechecks.take_due(now, runs)]


def test_an_npc_whose_agent_has_not_run_since_costs_no_look() -> None:
    rechecks = Rechecks(delay=5.0)
    rechecks.put(written("npc-1", looks=1), 0.0)

    looked_at = due(rechecks, 5.0, runs_of("npc-2", is_active=False))

    assert [] == looked_at
    assert len(rechecks) == 0


def test_an_npc_whose_agent_has_run_since_is_looked_at_once() -> None:
    rechecks = Rechecks(delay=5.0)
    rechecks.put(written("npc-1", looks=1), 0.0)

    looked_at = due(rechecks, 5.0, runs_of("npc-1", is_active=False))

    assert ["npc-1"] == looked_at
    assert len(rechecks) == 0


def test_an_npc_whose_agent_runs_is_looked_at_every_delay_until_the_run_has_ended() -> None:
    rechecks, runs = Rechecks(delay=5.0), runs_of("npc-1", is_active=True)
    rechecks.put(written("npc-1", looks=1), 0.0)

    first = due(rechecks, 5.0, runs)
    second = due(rechecks, 10.0, runs)
    runs.told([AgentRun(id="run-1", agent_id="agent-of-npc-1", is_active=False)], 14.0)
    last = due(rechecks, 15.0, runs)

    assert [["npc-1"]] * 3 == [first, second, last]
    assert len(rechecks) == 0


def test_where_nobody_tells_of_runs_every_write_is_looked_at() -> None:
    rechecks = Rechecks(delay=5.0)
    rechecks.put(written("npc-1"), 0.0)
    rechecks.put(written("npc-2"), 1.0)

    looked_at = due(rechecks, 5.5, None)

    assert ["npc-1"] == looked_at
    assert rechecks.next_due() == 6.0


def test_only_the_newest_write_of_an_npc_is_looked_at() -> None:
    rechecks = Rechecks(delay=5.0)
    rechecks.put(written("npc-1", ALICE), 0.0)
    rechecks.put(written("npc-1", BOB), 3.0)

    early, late = rechecks.take_due(5.0, None), rechecks.take_due(8.0, None)

    assert ([], [(BOB,)]) == (early, [write.command.desired.members for write in late])


def test_without_a_delay_nothing_is_looked_at() -> None:
    rechecks = Rechecks(delay=0)

    rechecks.put(written("npc-1"), 0.0)

    assert rechecks.next_due() is None


def test_after_a_write_in_doubt_an_npc_is_looked_at_twice_whoever_ran() -> None:
    rechecks, runs = Rechecks(delay=5.0), runs_of("npc-2", is_active=False)
    rechecks.put(replace(written("npc-1", looks=1), doubts=2), 0.0)

    looked_at = [due(rechecks, now, runs) for now in (5.0, 10.0, 15.0)]

    assert [["npc-1"], ["npc-1"], []] == looked_at
