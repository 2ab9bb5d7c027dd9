"""The writer under ROLLCALL_LAYOUT=split."""

import itertools
import json
from contextlib import suppress
from typing import Any

import pytest

from streams.settings import Layout
from streams.writer.layout import DESCRIPTIONS, NOTES
from streams.writer.letta import LettaStore
from streams.writer.reconcile import Reconciler, reconcile
from streams.writer.rules import Rules
from streams.writer.store import TemporaryError
from tests.fake_letta import FakeLetta
from tests.writer.commands import ALICE, BOB, NOON, command
from topics.models import Outcome

SPLIT, SHARED = DESCRIPTIONS[Layout.SPLIT], DESCRIPTIONS[Layout.SHARED]
split = Reconciler(Rules(layout=Layout.SPLIT))


def now() -> float:
    return NOON


def value(fake: FakeLetta, agent_id: str, label: str = "group_members") -> Any:
    return json.loads(fake.block(agent_id, label)["value"])


async def test_an_agent_without_blocks_gets_the_games_read_only_and_one_for_its_notes(
    fake: FakeLetta, letta: LettaStore
) -> None:
    agent_id = fake.agent()

    result = await split(command(ALICE), agent_id, letta, now)

    blocks = {block["label"]: block for block in fake.blocks_of(agent_id)}
    assert result.blocks == ("group_members", NOTES, "status")
    assert {label: block["read_only"] for label, block in blocks.items()} == {
        NOTES: False,
        "group_members": True,
        "status": True,
    }
    assert {label: block["description"] for label, block in blocks.items()} == SPLIT
    assert blocks[NOTES]["value"] == ""
    assert value(fake, agent_id)["members"] == {
        "1001": {"name": "Alice", "appearance": "tall, red scarf"}
    }


async def test_in_a_settled_agent_a_command_costs_what_it_costs_in_shared(
    fake: FakeLetta, letta: LettaStore
) -> None:
    agent_id = fake.agent()
    await split(command(ALICE), agent_id, letta, now)

    same = await split(command(ALICE), agent_id, letta, now)
    more = await split(command(ALICE, BOB, offset=11), agent_id, letta, now)

    assert (same.outcome, same.calls) == (Outcome.UNCHANGED, 1)
    assert (more.outcome, more.calls, more.blocks) == (Outcome.APPLIED, 2, ("group_members",))


async def test_what_the_npc_notes_is_never_written_or_read_into_anything(
    fake: FakeLetta, letta: LettaStore
) -> None:
    agent_id = fake.agent()
    await split(command(ALICE), agent_id, letta, now)
    notes = fake.block(agent_id, NOTES)
    notes["value"] = '{"Alice": "sings", broken'
    fake.requests.clear()

    for offset in (11, 12, 13):
        people = (ALICE, BOB) if offset % 2 else (BOB,)
        await split(command(*people, offset=offset), agent_id, letta, now)

    assert notes["value"] == '{"Alice": "sings", broken'
    assert notes["metadata"] == {}
    assert not [request for request in fake.requests if notes["id"] in request]


async def test_blocks_of_the_shared_layout_are_locked_before_they_are_read_for_a_write(
    fake: FakeLetta, letta: LettaStore
) -> None:
    agent_id = fake.agent()
    await reconcile(command(ALICE), agent_id, letta, now)
    block = fake.block(agent_id, "group_members")

    def note() -> None:
        assert not block["read_only"]
        block["value"] = block["value"].replace('"notes":""', '"notes":"sings"')

    fake.fail(method="PATCH", path=block["id"], before=note)
    result = await split(command(ALICE, BOB, offset=11), agent_id, letta, now)

    assert value(fake, agent_id)["members"]["1001"]["notes"] == "sings"
    assert "notes" not in value(fake, agent_id)["members"]["1002"]
    assert [block["read_only"] for block in fake.blocks_of(agent_id)] == [True, True, False]
    assert [block["description"] for block in fake.blocks_of(agent_id)] == list(SPLIT.values())
    assert result.blocks == ("group_members", NOTES)


async def test_what_got_newer_while_blocks_were_locked_is_not_overwritten(
    fake: FakeLetta, letta: LettaStore
) -> None:
    agent_id = fake.agent()
    await reconcile(command(ALICE), agent_id, letta, now)
    block = fake.block(agent_id, "group_members")

    def another_writer() -> None:
        block["metadata"]["rollcall"] |= {"offset": 12, "observed_at": NOON + 9}

    fake.fail(method="PATCH", path=block["id"], before=another_writer)
    result = await split(command(BOB, offset=11, observed_at=NOON + 3), agent_id, letta, now)

    assert result.outcome is Outcome.OUTDATED
    assert "1002" not in value(fake, agent_id)["members"]


async def test_a_description_that_is_not_ours_is_kept(fake: FakeLetta, letta: LettaStore) -> None:
    agent_id = fake.agent(group_members="", status="")
    fake.block(agent_id, "status")["description"] = "the game's own words"

    await split(command(ALICE), agent_id, letta, now)

    assert fake.block(agent_id, "status")["description"] == "the game's own words"
    assert fake.block(agent_id, "status")["read_only"]


async def test_notes_found_in_the_games_blocks_stay_with_their_people(
    fake: FakeLetta, letta: LettaStore
) -> None:
    agent_id = fake.agent()
    await reconcile(command(ALICE, BOB), agent_id, letta, now)
    block = fake.block(agent_id, "group_members")
    block["value"] = block["value"].replace('"notes":""', '"notes":"sings"', 1)

    await split(command(BOB, offset=11), agent_id, letta, now)
    await split(command(ALICE, BOB, offset=12), agent_id, letta, now)

    assert value(fake, agent_id)["members"]["1001"]["notes"] == "sings"


async def test_of_two_writers_that_make_the_notes_block_one_gives_way(
    fake: FakeLetta, letta: LettaStore
) -> None:
    agent_id = fake.agent()

    def create() -> None:
        block = fake._new_block(NOTES, "already mine")
        fake.agents[agent_id]["block_ids"].append(block["id"])

    fake.fail(path="/attach/", before=create)
    result = await split(command(ALICE), agent_id, letta, now)

    assert result.outcome is Outcome.APPLIED
    assert fake.block(agent_id, NOTES)["value"] == "already mine"
    assert len(fake.blocks) == 3


@pytest.mark.parametrize("done", range(1, 7))
async def test_a_command_that_breaks_off_at_any_request_is_finished_by_the_next(
    fake: FakeLetta, letta: LettaStore, done: int
) -> None:
    agent_id = fake.agent(group_members='{"diary":"mine"}')
    requests = itertools.count(1)

    def count(*_: object) -> None:
        if next(requests) == done:
            fake.fail(status=500, comes_after=True)

    with suppress(TemporaryError):
        await split(command(ALICE), agent_id, letta.observed_by(count), now)
    fake.faults.clear()

    await split(command(ALICE), agent_id, letta, now)

    assert [block["read_only"] for block in fake.blocks_of(agent_id)].count(True) == 2
    assert value(fake, agent_id)["diary"] == "mine"
    assert sorted(block["label"] for block in fake.blocks_of(agent_id)) == sorted(SPLIT)
