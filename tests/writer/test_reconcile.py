import json
from typing import Any

import pytest

from streams.settings import ConflictPolicy
from streams.writer.direct import overwrite
from streams.writer.letta import LettaStore
from streams.writer.notes import Change, Kept, NotesInMemory, Place, load
from streams.writer.outcome import Effort
from streams.writer.reconcile import TRIES, Reconciler, reconcile
from streams.writer.rules import Rules
from streams.writer.stamp import KEY
from streams.writer.store import AgentMissingError, PermanentError, TemporaryError
from tests.fake_letta import FakeLetta
from tests.writer.commands import ALICE, BOB, NOON, command
from topics.models import Editor, Member, Outcome, Reason

LATER = NOON + 60


def now() -> float:
    return LATER


def value(fake: FakeLetta, agent_id: str, label: str) -> Any:
    return json.loads(fake.block(agent_id, label)["value"])


async def settled(fake: FakeLetta, letta: LettaStore, *members: Member) -> str:
    """An agent whose blocks we wrote once."""
    agent_id = fake.agent(group_members="", status="")
    await reconcile(command(*members), agent_id, letta, now)
    fake.requests.clear()
    return agent_id


async def test_both_blocks_are_written_after_one_read(fake: FakeLetta, letta: LettaStore) -> None:
    agent_id = fake.agent(group_members="", status="")

    result = await reconcile(command(ALICE), agent_id, letta, now)

    assert value(fake, agent_id, "group_members")["summary"] == "Current members: Alice"
    assert value(fake, agent_id, "status")["current_location"] == "Market Square"
    assert (result.outcome, result.blocks) == (Outcome.APPLIED, ("group_members", "status"))
    assert (result.calls, result.attempts, result.finished_at) == (3, 1, LATER)
    assert (result.npc_id, result.observed_at, result.error) == ("npc-7", NOON, None)


async def test_the_same_command_again_costs_one_read(fake: FakeLetta, letta: LettaStore) -> None:
    agent_id = await settled(fake, letta, ALICE)

    result = await reconcile(command(ALICE), agent_id, letta, now)

    assert (result.outcome, result.blocks, result.calls) == (Outcome.UNCHANGED, (), 1)
    assert fake.calls("PATCH") == []


async def test_only_the_block_that_differs_is_written(fake: FakeLetta, letta: LettaStore) -> None:
    agent_id = await settled(fake, letta, ALICE)

    result = await reconcile(command(ALICE, action="sweeping", offset=11), agent_id, letta, now)

    assert (result.blocks, result.calls) == (("status",), 2)


async def test_missing_blocks_are_created(fake: FakeLetta, letta: LettaStore) -> None:
    agent_id = fake.agent(persona="a baker")

    result = await reconcile(command(ALICE), agent_id, letta, now)

    assert (result.blocks, result.calls) == (("group_members", "status"), 5)
    assert value(fake, agent_id, "group_members")["members"]["1001"]["name"] == "Alice"
    assert fake.block(agent_id, "group_members")["metadata"][KEY]["offset"] == 10
    assert "notes" in fake.block(agent_id, "group_members")["description"]


async def test_foreign_metadata_is_kept(fake: FakeLetta, letta: LettaStore) -> None:
    agent_id = fake.agent(group_members="", status="")
    fake.block(agent_id, "status")["metadata"] = {"theirs": [1]}

    await reconcile(command(ALICE), agent_id, letta, now)

    assert fake.block(agent_id, "status")["metadata"]["theirs"] == [1]


async def test_an_older_command_writes_nothing(fake: FakeLetta, letta: LettaStore) -> None:
    agent_id = await settled(fake, letta, ALICE)

    older = command(BOB, offset=9, observed_at=NOON - 3)
    result = await reconcile(older, agent_id, letta, now)

    assert (result.outcome, result.calls) == (Outcome.OUTDATED, 1)
    assert "1002" not in value(fake, agent_id, "group_members")["members"]


async def test_the_newest_of_both_stamps_counts(fake: FakeLetta, letta: LettaStore) -> None:
    agent_id = await settled(fake, letta, ALICE)
    newer = command(ALICE, action="sweeping", offset=20, observed_at=NOON + 9)
    await reconcile(newer, agent_id, letta, now)

    between = command(BOB, offset=15, observed_at=NOON + 5)
    result = await reconcile(between, agent_id, letta, now)

    assert result.outcome is Outcome.OUTDATED


async def test_a_conflict_is_read_and_merged_again(fake: FakeLetta, letta: LettaStore) -> None:
    agent_id = await settled(fake, letta, ALICE)

    def note() -> None:
        block = fake.block(agent_id, "group_members")
        block["value"] = block["value"].replace('"notes":""', '"notes":"sings"')

    fake.fail(method="PATCH", status=409, before=note)
    result = await reconcile(command(ALICE, BOB, offset=11), agent_id, letta, now)

    members = value(fake, agent_id, "group_members")["members"]
    assert (members["1001"]["notes"], members["1002"]["name"]) == ("sings", "Bob")
    assert (result.outcome, result.calls) == (Outcome.APPLIED, 4)


async def test_a_conflict_without_end_is_left_for_later(fake: FakeLetta, letta: LettaStore) -> None:
    agent_id = await settled(fake, letta, ALICE)
    fake.fail(method="PATCH", status=409, times=100)

    with pytest.raises(TemporaryError, match="times in a row"):
        await reconcile(command(BOB, offset=11), agent_id, letta, now)

    assert len(fake.calls("PATCH")) == TRIES


async def test_a_block_that_goes_away_between_read_and_write_is_made_anew(
    fake: FakeLetta, letta: LettaStore
) -> None:
    agent_id = await settled(fake, letta, ALICE)

    def drop() -> None:
        del fake.blocks[fake.block(agent_id, "group_members")["id"]]

    fake.fail(method="PATCH", status=404, before=drop)
    result = await reconcile(command(ALICE, BOB, offset=11), agent_id, letta, now)

    assert result.outcome is Outcome.APPLIED
    assert "1002" in value(fake, agent_id, "group_members")["members"]


async def test_a_block_somebody_else_creates_meanwhile_is_used(
    fake: FakeLetta, letta: LettaStore
) -> None:
    agent_id = fake.agent(status="")

    def create() -> None:
        block = fake._new_block("group_members", '{"diary":"mine"}')
        fake.agents[agent_id]["block_ids"].append(block["id"])

    fake.fail(path="/attach/", before=create)
    result = await reconcile(command(ALICE), agent_id, letta, now)

    assert value(fake, agent_id, "group_members")["diary"] == "mine"
    assert "1001" in value(fake, agent_id, "group_members")["members"]
    assert result.outcome is Outcome.APPLIED
    assert len(fake.blocks) == 2


async def test_an_attempt_goes_on_where_the_last_one_broke_off(
    fake: FakeLetta, letta: LettaStore
) -> None:
    agent_id = await settled(fake, letta, ALICE)
    later = command(BOB, location="Inn", offset=11)
    fake.fail(method="PATCH", path=fake.block(agent_id, "status")["id"], status=500)
    effort = Effort(attempts=1)
    with pytest.raises(TemporaryError):
        await reconcile(later, agent_id, letta, now, effort)
    effort.attempts += 1

    result = await reconcile(later, agent_id, letta, now, effort)

    assert result.blocks == ("group_members", "status")
    assert (result.calls, result.attempts, result.outcome) == (5, 2, Outcome.APPLIED)


async def test_a_write_whose_answer_got_lost_is_found_done(
    fake: FakeLetta, letta: LettaStore
) -> None:
    agent_id = await settled(fake, letta, ALICE)
    fake.fail(method="PATCH", is_reset=True, comes_after=True)
    later = command(ALICE, BOB, offset=11)
    with pytest.raises(TemporaryError):
        await reconcile(later, agent_id, letta, now)
    written = fake.block(agent_id, "group_members")["value"]

    result = await reconcile(later, agent_id, letta, now)

    assert result.outcome is Outcome.UNCHANGED
    assert fake.block(agent_id, "group_members")["value"] == written


async def test_a_full_group_block_keeps_no_status_from_being_written(
    fake: FakeLetta, letta: LettaStore
) -> None:
    diary = json.dumps({"diary": "mine"})
    agent_id = fake.agent(group_members=diary, status="")
    fake.block(agent_id, "group_members")["limit"] = 150
    effort = Effort(attempts=1)

    with pytest.raises(PermanentError, match=r"group_members needs .* limit is 150"):
        await reconcile(command(ALICE), agent_id, letta, now, effort)

    assert value(fake, agent_id, "status")["current_action"] == "idle"
    assert list(effort.blocks) == ["status"]
    assert fake.block(agent_id, "group_members")["value"] == diary


async def test_a_lower_limit_of_the_block_is_kept(fake: FakeLetta, letta: LettaStore) -> None:
    agent_id = fake.agent(group_members="", status="")
    fake.block(agent_id, "group_members")["limit"] = 230

    await reconcile(command(ALICE, BOB), agent_id, letta, now)

    assert len(fake.block(agent_id, "group_members")["value"]) <= 230


async def test_conflicts_are_reported(fake: FakeLetta, letta: LettaStore) -> None:
    agent_id = await settled(fake, letta, ALICE)
    block = fake.block(agent_id, "group_members")
    block["value"] = block["value"].replace('"name":"Alice"', '"name":"Queen"')

    result = await reconcile(command(ALICE, offset=11), agent_id, letta, now)

    assert [conflict.path for conflict in result.conflicts] == ["group_members.members.1001.name"]


async def test_a_conflict_that_needs_no_write_is_reported_all_the_same(
    fake: FakeLetta, letta: LettaStore
) -> None:
    agent_id = await settled(fake, letta, ALICE)
    block = fake.block(agent_id, "group_members")
    block["value"] = block["value"].replace('"name":"Alice"', '"name":"Queen"')
    npc_wins = Reconciler(Rules(ConflictPolicy.NPC))

    result = await npc_wins(command(ALICE, offset=11), agent_id, letta, now)

    assert (result.outcome, result.blocks, result.calls) == (Outcome.UNCHANGED, (), 1)
    assert [(c.theirs, c.kept, c.by) for c in result.conflicts] == [
        ("Queen", "Queen", Editor.OTHER)
    ]


async def test_that_the_game_came_to_agree_is_noted_without_a_word_of_a_write(
    fake: FakeLetta, letta: LettaStore
) -> None:
    agent_id = await settled(fake, letta, ALICE)
    block = fake.block(agent_id, "group_members")
    block["value"] = block["value"].replace(ALICE.appearance, "a mask")
    npc_wins = Reconciler(Rules(ConflictPolicy.NPC))
    masked = Member(id="1001", name="Alice", appearance="a mask")

    agreed = await npc_wins(command(masked, offset=11), agent_id, letta, now)
    again = await npc_wins(command(masked, offset=12), agent_id, letta, now)
    await npc_wins(command(ALICE, offset=13), agent_id, letta, now)

    assert (agreed.outcome, agreed.blocks, agreed.calls) == (Outcome.UNCHANGED, (), 2)
    assert again.calls == 1
    members = value(fake, agent_id, "group_members")["members"]
    assert members["1001"]["appearance"] == ALICE.appearance


async def test_a_verification_that_had_to_write_is_a_repair(
    fake: FakeLetta, letta: LettaStore
) -> None:
    agent_id = await settled(fake, letta, ALICE)
    verify = command(ALICE, reason=Reason.VERIFY)
    assert (await reconcile(verify, agent_id, letta, now)).outcome is Outcome.UNCHANGED
    fake.block(agent_id, "group_members")["value"] = "{}"

    result = await reconcile(verify, agent_id, letta, now)

    assert result.outcome is Outcome.REPAIRED


async def test_a_verification_that_finds_who_walked_standing_repairs_nothing(
    fake: FakeLetta, letta: LettaStore
) -> None:
    agent_id = await settled(fake, letta, ALICE)
    moved = command(ALICE, location="Inn", observed_at=NOON + 3, offset=11)
    await reconcile(moved, agent_id, letta, now)
    verify = command(ALICE, location="Inn", reason=Reason.VERIFY, observed_at=NOON + 6, offset=11)

    result = await reconcile(verify, agent_id, letta, now)

    assert (Outcome.APPLIED, ("status",)) == (result.outcome, result.blocks)
    assert "stationary" == value(fake, agent_id, "status")["movement_state"]


async def test_a_verification_of_who_walked_is_a_repair_where_somebody_edited(
    fake: FakeLetta, letta: LettaStore
) -> None:
    agent_id = await settled(fake, letta, ALICE)
    moved = command(ALICE, location="Inn", observed_at=NOON + 3, offset=11)
    await reconcile(moved, agent_id, letta, now)
    fake.block(agent_id, "status")["value"] = "{}"
    verify = command(ALICE, location="Inn", reason=Reason.VERIFY, observed_at=NOON + 6, offset=11)

    result = await reconcile(verify, agent_id, letta, now)

    assert Outcome.REPAIRED is result.outcome


async def test_an_agent_that_is_gone_is_missing(letta: LettaStore) -> None:
    with pytest.raises(AgentMissingError):
        await reconcile(command(ALICE), "agent-none", letta, now)


async def test_direct_mode_makes_four_requests_and_keeps_notes(
    fake: FakeLetta, letta: LettaStore
) -> None:
    agent_id = fake.agent(group_members='{"mood":"glum"}', status="")
    await overwrite(command(ALICE), agent_id, letta, now)
    fake.requests.clear()

    result = await overwrite(command(ALICE), agent_id, letta, now)

    assert result.calls == 4
    assert [request.split()[0] for request in fake.requests] == ["GET", "GET", "PATCH", "PATCH"]
    assert value(fake, agent_id, "group_members")["mood"] == "glum"
    assert result.outcome is Outcome.APPLIED


async def test_direct_mode_creates_missing_blocks(fake: FakeLetta, letta: LettaStore) -> None:
    agent_id = fake.agent()

    result = await overwrite(command(ALICE), agent_id, letta, now)

    assert result.calls == 6
    assert value(fake, agent_id, "status")["current_action"] == "idle"


async def test_direct_mode_parks_an_npc_without_an_agent(
    fake: FakeLetta, letta: LettaStore
) -> None:
    with pytest.raises(AgentMissingError):
        await overwrite(command(ALICE), "agent-none", letta, now)

    assert fake.blocks == {}


# -- notes beside the blocks -----------------------------------------------------------------------

GROUP = Place("npc-7", "group_members")


class DiesBeforeItKeeps(NotesInMemory):
    """Its worker ends after the write to Letta and before the one to the Table."""

    async def keep(self, place: Place, change: Change) -> None:
        raise KeyboardInterrupt


def note_on_bob(fake: FakeLetta, agent_id: str) -> None:
    block = fake.block(agent_id, "group_members")
    document = json.loads(block["value"])
    document["members"]["1002"]["notes"] = "likes chess"
    block["value"] = json.dumps(document)


async def noted(fake: FakeLetta, letta: LettaStore, notes: NotesInMemory) -> str:
    """An agent that noted something on Bob, who then left."""
    agent_id = fake.agent(group_members="", status="")
    await Reconciler(notes=notes)(command(BOB), agent_id, letta, now)
    note_on_bob(fake, agent_id)
    await Reconciler(notes=notes)(command(offset=11), agent_id, letta, now)
    return agent_id


def stamp_of(fake: FakeLetta, agent_id: str) -> Any:
    return fake.block(agent_id, "group_members")["metadata"][KEY]


async def test_notes_on_who_left_go_to_the_table_and_then_from_the_metadata(
    fake: FakeLetta, letta: LettaStore
) -> None:
    notes = NotesInMemory()
    agent_id = await noted(fake, letta, notes)
    assert stamp_of(fake, agent_id)["absent"] == {"1002": {"notes": "likes chess"}}

    await Reconciler(notes=notes)(command(ALICE, offset=12), agent_id, letta, now)

    assert stamp_of(fake, agent_id)["absent"] == {}
    assert notes.of(GROUP) == Kept(
        version=1, by="memory", absent={"1002": {"notes": "likes chess"}}
    )


async def test_notes_survive_the_agent_they_were_written_in(
    fake: FakeLetta, letta: LettaStore
) -> None:
    notes = NotesInMemory()
    await noted(fake, letta, notes)
    another = fake.agent(group_members="", status="")

    await Reconciler(notes=notes)(command(BOB, offset=12), another, letta, now)

    assert value(fake, another, "group_members")["members"]["1002"]["notes"] == "likes chess"


async def test_what_a_crash_left_undone_is_done_without_a_write_to_letta(
    fake: FakeLetta, letta: LettaStore
) -> None:
    with pytest.raises(KeyboardInterrupt):
        await noted(fake, letta, DiesBeforeItKeeps())
    agent_id, notes = next(iter(fake.agents)), NotesInMemory("worker 2")
    await Reconciler(notes=notes)(command(offset=11), agent_id, letta, now)
    fake.requests.clear()

    result = await Reconciler(notes=notes)(command(offset=11), agent_id, letta, now)

    assert result.outcome is Outcome.UNCHANGED
    assert fake.calls("PATCH") == []
    assert load(notes.values[GROUP]).absent == {"1002": {"notes": "likes chess"}}


async def test_notes_that_the_npc_deleted_do_not_come_back(
    fake: FakeLetta, letta: LettaStore
) -> None:
    notes = NotesInMemory()
    agent_id = await noted(fake, letta, notes)
    await Reconciler(notes=notes)(command(BOB, offset=12), agent_id, letta, now)
    block = fake.block(agent_id, "group_members")
    block["value"] = block["value"].replace("likes chess", "")
    await Reconciler(notes=notes)(command(offset=13), agent_id, letta, now)

    await Reconciler(notes=notes)(command(BOB, offset=14), agent_id, letta, now)

    assert value(fake, agent_id, "group_members")["members"]["1002"]["notes"] == ""


async def test_a_diary_that_does_not_fit_is_kept_in_the_table(
    fake: FakeLetta, letta: LettaStore
) -> None:
    notes, diary = NotesInMemory(), "n" * 6000
    agent_id = fake.agent(group_members=json.dumps({"diary": diary}), status=diary)

    result = await Reconciler(notes=notes)(command(ALICE), agent_id, letta, now)

    assert result.outcome is Outcome.APPLIED
    for label in ("group_members", "status"):
        [piece] = load(notes.values[Place("npc-7", label)]).aside
        block = fake.block(agent_id, label)
        assert len(block["value"]) <= 5000
        assert "characters kept aside, no. 1]" in block["value"]
        assert block["value"].count("n") + piece.text.count("n") > 6000


async def test_a_write_without_an_answer_is_in_doubt_and_a_read_is_not(
    fake: FakeLetta, letta: LettaStore
) -> None:
    agent_id = fake.agent(group_members="", status="")
    read, written = Effort(), Effort()
    fake.fail(method="GET", status=503)
    with pytest.raises(TemporaryError):
        await reconcile(command(ALICE), agent_id, letta, now, read)

    fake.fail(method="PATCH", is_reset=True, comes_after=True)
    with pytest.raises(TemporaryError):
        await reconcile(command(ALICE), agent_id, letta, now, written)

    assert [False, True] == [read.is_doubtful, written.is_doubtful]


async def test_a_command_that_changes_nothing_still_stops_an_older_one_in_other_hands(
    fake: FakeLetta, letta: LettaStore
) -> None:
    agent_id = fake.agent(group_members="", status="")
    await reconcile(command(ALICE, offset=10), agent_id, letta, now)
    patches = len(fake.calls("PATCH"))

    newest = command(ALICE, offset=12, observed_at=NOON + 2)
    same = await reconcile(newest, agent_id, letta, now, Effort(has_rivals=True))
    late = await reconcile(command(BOB, offset=11, observed_at=NOON + 1), agent_id, letta, now)

    assert (Outcome.UNCHANGED, Outcome.OUTDATED) == (same.outcome, late.outcome)
    assert len(fake.calls("PATCH")) == patches + 1


async def test_a_command_without_rivals_that_changes_nothing_writes_nothing(
    fake: FakeLetta, letta: LettaStore
) -> None:
    agent_id = fake.agent(group_members="", status="")
    await reconcile(command(ALICE, offset=10), agent_id, letta, now)
    patches = len(fake.calls("PATCH"))

    await reconcile(command(ALICE, offset=12, observed_at=NOON + 2), agent_id, letta, now)

    assert len(fake.calls("PATCH")) == patches


async def test_a_stamp_of_the_far_future_keeps_no_command_out(
    fake: FakeLetta, letta: LettaStore
) -> None:
    agent_id = fake.agent(group_members="", status="")
    await reconcile(command(ALICE, offset=10), agent_id, letta, now)
    for block in fake.blocks_of(agent_id):
        block["metadata"][KEY] |= {"observed_at": 1e18, "offset": 2**60}

    result = await reconcile(command(BOB, offset=11, observed_at=NOON + 1), agent_id, letta, now)

    assert Outcome.APPLIED == result.outcome
