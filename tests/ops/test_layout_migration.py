"""Migrations of agents on the stand-in for Letta."""

import itertools
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from ops.layout import migration
from ops.layout.migration import Fate, Told, agents_of, move_all, told_of
from ops.layout.steps import Standing
from streams.settings import Layout
from streams.writer.letta import LettaStore, connect
from streams.writer.reconcile import Reconciler, reconcile
from streams.writer.rules import Rules
from streams.writer.stamp import KEY
from tests.fake_letta import FakeLetta
from tests.writer.commands import ALICE, BOB, NOON, command
from topics.models import RosterEntry

GROUP, STATUS, NOTES = "group_members", "status", "group_notes"


@pytest.fixture
async def fake() -> AsyncIterator[FakeLetta]:
    async with FakeLetta().serving() as server:
        yield server


@pytest.fixture
async def letta(fake: FakeLetta, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LettaStore]:
    monkeypatch.setattr(migration, "_PAUSE", 0.001)
    store = connect(fake.url)
    yield store
    await store.close()


def now() -> float:
    return NOON


def edit(fake: FakeLetta, agent_id: str, label: str, old: str, new: str) -> None:
    """By the NPC's tools, which respect what is read only."""
    block = fake.block(agent_id, label)
    if not block["read_only"]:
        assert old in block["value"]
        block["value"] = block["value"].replace(old, new, 1)


def value(fake: FakeLetta, agent_id: str, label: str) -> Any:
    return json.loads(fake.block(agent_id, label)["value"])


async def with_notes(fake: FakeLetta, letta: LettaStore, *tags: str) -> str:
    """An agent that noted something about who is here and about somebody who left."""
    agent_id = fake.agent(*tags)
    await reconcile(command(ALICE, BOB), agent_id, letta, now)
    edit(fake, agent_id, GROUP, 'hat","notes":""', 'hat","notes":"owes me"')
    await reconcile(command(ALICE, offset=11), agent_id, letta, now)
    edit(fake, agent_id, GROUP, '"notes":""', '"notes":"sings"')
    edit(fake, agent_id, STATUS, "}", ',"mood":"glum"}')
    return agent_id


async def move(letta: LettaStore, agent_id: str, layout: Layout, **more: Any) -> Told:
    return await told_of("npc-7", agent_id, letta, layout, **more)


async def test_an_npc_is_moved_there_and_back(fake: FakeLetta, letta: LettaStore) -> None:
    agent_id = await with_notes(fake, letta)

    there = await move(letta, agent_id, Layout.SPLIT)
    notes = value(fake, agent_id, NOTES)
    back = await move(letta, agent_id, Layout.SHARED)

    assert (there.fate, there.standing, there.fields) == (Fate.MOVED, Standing.SHARED, 3)
    assert notes == {
        "about": {"1001": {"name": "Alice", "notes": "sings"}},
        "about_absent": {"1002": {"notes": "owes me"}},
        "about_me": {"mood": "glum"},
    }
    assert (back.fate, back.standing, back.fields) == (Fate.MOVED, Standing.SPLIT, 3)
    assert back.characters == there.characters == len("singsowes meglum")
    assert value(fake, agent_id, GROUP)["members"]["1001"]["notes"] == "sings"
    assert fake.block(agent_id, GROUP)["metadata"][KEY]["absent"] == {"1002": {"notes": "owes me"}}
    assert value(fake, agent_id, STATUS)["mood"] == "glum"
    assert [block["label"] for block in fake.blocks_of(agent_id)] == [GROUP, STATUS]
    assert not any(block["read_only"] for block in fake.blocks_of(agent_id))
    assert len(fake.blocks) == 2


async def test_the_same_again_only_reads(fake: FakeLetta, letta: LettaStore) -> None:
    agent_id = await with_notes(fake, letta)
    await move(letta, agent_id, Layout.SPLIT)
    fake.requests.clear()

    again = await move(letta, agent_id, Layout.SPLIT)

    assert (again.fate, again.standing) == (Fate.THERE, Standing.SPLIT)
    assert [request.split()[0] for request in fake.requests] == ["GET"]


async def test_a_dry_run_tells_the_same_and_only_reads(fake: FakeLetta, letta: LettaStore) -> None:
    agent_id = await with_notes(fake, letta)
    fake.requests.clear()

    outlook = await move(letta, agent_id, Layout.SPLIT, dry_run=True)

    assert [request.split()[0] for request in fake.requests] == ["GET"]
    assert await move(letta, agent_id, Layout.SPLIT) == outlook
    assert outlook.sizes[NOTES] == len(fake.block(agent_id, NOTES)["value"])


@pytest.mark.parametrize("layout", Layout)
@pytest.mark.parametrize("takes_effect", [True, False])
async def test_a_migration_killed_at_any_request_is_finished_by_the_next(
    fake: FakeLetta, letta: LettaStore, layout: Layout, takes_effect: bool
) -> None:
    for killed_at in itertools.count(1):
        agent_id = await with_notes(fake, letta)
        if layout is Layout.SHARED:
            await move(letta, agent_id, Layout.SPLIT)
        with suppress(KeyboardInterrupt):
            await move(Killed(letta, killed_at, takes_effect), agent_id, layout)  # type: ignore[arg-type]
            break
        edit(fake, agent_id, STATUS, "}", ',"late":"x"}')

        told = await move(letta, agent_id, layout)

        text = json.dumps(fake.blocks_of(agent_id))
        assert told.fate in (Fate.MOVED, Fate.THERE)
        assert [text.count(note) for note in ("sings", "owes me", "glum")] == [1, 1, 1]
    assert killed_at > 8


class Killed:
    """A store whose user dies over a request."""

    def __init__(self, store: LettaStore, at: int, takes_effect: bool) -> None:
        self._store, self._left, self._takes_effect = store, at, takes_effect

    def __getattr__(self, name: str) -> Any:
        async def call(*args: Any, **more: Any) -> Any:
            self._left -= 1
            if self._left == 0 and not self._takes_effect:
                raise KeyboardInterrupt
            answer = await getattr(self._store, name)(*args, **more)
            if self._left == 0:
                raise KeyboardInterrupt
            return answer

        return call


@pytest.mark.parametrize("layout", Layout)
async def test_notes_made_at_any_moment_of_a_migration_are_kept(
    fake: FakeLetta, letta: LettaStore, layout: Layout
) -> None:
    agent_id = await with_notes(fake, letta)
    if layout is Layout.SHARED:
        await move(letta, agent_id, Layout.SPLIT)
    numbers, written = itertools.count(), []

    def note() -> None:
        for block in fake.blocks_of(agent_id):
            if not block["read_only"]:
                written.append(f"<{next(numbers)}>")
                block["value"] += f"\n{written[-1]}"
        fake.fail(method="PATCH", before=note)

    note()
    told = await move(letta, agent_id, layout)

    text = json.dumps(fake.blocks_of(agent_id))
    assert told.fate is Fate.MOVED
    assert [note for note in written if note not in text] == []
    assert len(written) >= 3


async def test_conflicts_and_a_busy_letta_are_waited_out(
    fake: FakeLetta, letta: LettaStore
) -> None:
    agent_id = await with_notes(fake, letta)
    fake.fail(method="PATCH", status=409, times=2)
    fake.fail(method="GET", status=503, times=2)
    fake.fail(method="POST", status=503)

    assert (await move(letta, agent_id, Layout.SPLIT)).fate is Fate.MOVED


async def test_a_letta_that_stays_away_is_told_and_nothing_is_lost(
    fake: FakeLetta, letta: LettaStore
) -> None:
    agent_id = await with_notes(fake, letta)
    fake.fail(method="PATCH", status=503, times=1000)

    told = await move(letta, agent_id, Layout.SPLIT)

    assert told.fate is Fate.FAILED
    assert "somebody else writes, too" in told.details
    assert "sings" in fake.block(agent_id, GROUP)["value"]


async def test_notes_that_do_not_fit_stay_where_they_are(
    fake: FakeLetta, letta: LettaStore
) -> None:
    agent_id = await with_notes(fake, letta)
    await move(letta, agent_id, Layout.SPLIT)
    fake.block(agent_id, NOTES)["value"] = "n" * 6000
    fake.requests.clear()

    told = await move(letta, agent_id, Layout.SHARED)

    assert told.fate is Fate.REFUSED
    assert told.details.startswith("group_members needs 6")
    assert [request.split()[0] for request in fake.requests] == ["GET"]


async def test_notes_that_grow_too_large_meanwhile_go_back(
    fake: FakeLetta, letta: LettaStore
) -> None:
    agent_id = await with_notes(fake, letta)
    await move(letta, agent_id, Layout.SPLIT)
    notes = fake.block(agent_id, NOTES)

    def grow() -> None:
        notes["value"] += "n" * 6000

    fake.fail(method="PATCH", path=notes["id"], before=grow)
    told = await move(letta, agent_id, Layout.SHARED)

    assert told.fate is Fate.REFUSED
    assert not notes["read_only"]
    assert (await move(letta, agent_id, Layout.SPLIT, dry_run=True)).fate is Fate.THERE


async def test_agents_are_the_rosters_or_those_with_the_tag(
    fake: FakeLetta, letta: LettaStore
) -> None:
    one, other = await with_notes(fake, letta, "npc:a"), await with_notes(fake, letta)
    tagged = await with_notes(fake, letta, "npc:moved")
    roster = [
        RosterEntry(npc_id="a", name="A"),
        RosterEntry(npc_id="b", name="B", agent_id=other),
        RosterEntry(npc_id="twin", name="T", agent_id=other),
        RosterEntry(npc_id="moved", name="M", agent_id="agent-gone"),
        RosterEntry(npc_id="none", name="N"),
    ]
    told: dict[str, Told] = {}

    agents = await agents_of(roster, letta)
    await move_all(agents, letta, Layout.SPLIT, lambda one: told.update({one.npc_id: one}))

    assert {npc_id: (t.agent_id, t.fate) for npc_id, t in told.items()} == {
        "a": (one, Fate.MOVED),
        "b": (other, Fate.MOVED),
        "moved": (tagged, Fate.MOVED),
        "none": (None, Fate.NO_AGENT),
    }


async def test_metadata_nobody_can_write_again_stops_only_its_own_npc(
    fake: FakeLetta, letta: LettaStore
) -> None:
    agent_id = await with_notes(fake, letta)
    fake.block(agent_id, GROUP)["metadata"][KEY]["absent"] = {"x": {"notes": 10**30}}

    told = await move(letta, agent_id, Layout.SPLIT)

    assert told.fate is Fate.REFUSED
    assert "sings" in fake.block(agent_id, GROUP)["value"]


async def test_a_writer_in_split_goes_on_after_a_migration_without_a_write(
    fake: FakeLetta, letta: LettaStore
) -> None:
    agent_id = await with_notes(fake, letta)
    await move(letta, agent_id, Layout.SPLIT)
    fake.requests.clear()

    await Reconciler(Rules(layout=Layout.SPLIT))(command(ALICE, offset=12), agent_id, letta, now)

    assert [request.split()[0] for request in fake.requests] == ["GET"]
