"""What an NPC's memory was, from its commands and results, without Kafka and Letta."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from ops.history.as_json import document
from ops.history.memory import PARTS, UNKNOWN, Change, Kind, Memory, changes, written
from ops.history.standing import Addition, Live, Standing, Verdict, standing
from ops.history.timeline import Confirmations, Entry, Said, Timeline, timeline, told
from ops.history.view import card, entry_lines, live_lines
from streams.writer.document import Document
from streams.writer.group import group_document
from streams.writer.stamp import mark_of, stamped
from streams.writer.status import status_document
from streams.writer.store import Block
from tests.writer.commands import ALICE, BOB, GRETA, NOON, command, desired
from topics.models import (
    Conflict,
    Desired,
    Editor,
    Member,
    Outcome,
    Reason,
    UpdateCommand,
    UpdateResult,
)

BOTH = ("group_members", "status")
ORIGIN = "applied (members), seen at 2026-11-23T09:33:{}Z, wrote group_members, status"

SEEN = "seen at 2026-11-23T09:33:33Z"


def result(
    of: UpdateCommand,
    outcome: Outcome = Outcome.APPLIED,
    *,
    after: float = 1.0,
    blocks: Sequence[str] | None = None,
    error: str | None = None,
    conflicts: tuple[Conflict, ...] = (),
) -> UpdateResult:
    """`after`: seconds after the command was seen."""
    wrote = BOTH if outcome in (Outcome.APPLIED, Outcome.REPAIRED) else ()
    return UpdateResult(
        command_id=of.command_id,
        npc_id=of.npc_id,
        reason=of.reason,
        outcome=outcome,
        blocks=tuple(wrote if blocks is None else blocks),
        conflicts=conflicts,
        observed_at=of.observed_at,
        finished_at=of.observed_at + after,
        error=error,
    )


def step(number: int, *members: Member, location: str = "Inn", action: str = "idle") -> Said:
    """The command of a snapshot, ten seconds after the one before it."""
    at = NOON + 10 * number
    given = command(*members, location=location, action=action, observed_at=at, offset=number)
    return Said(given, at + 0.1)


def history(*pairs: tuple[Said, Outcome]) -> Timeline:
    return timeline(
        [said for said, _ in pairs], [result(said.command, outcome) for said, outcome in pairs]
    )


def memory(*members: Member, location: str = "Inn", action: str = "idle") -> Memory:
    return Memory(members=members, location=location, action=action)


# ---------------------------------------------------------------- changes

texts = st.text("ab", max_size=2)
people = st.builds(Member, id=st.sampled_from("123456"), name=st.text("AB", min_size=1, max_size=2),
                   appearance=texts)  # fmt: skip
groups = st.lists(people, unique_by=lambda member: member.id, max_size=5).map(tuple)
memories = st.builds(Memory, members=groups, location=texts, action=texts)


def replayed(before: Memory, told: Sequence[Change]) -> Memory:
    """A memory made from the one before it by the changes alone."""
    members = {member.id: member for member in before.members or ()}
    after = before
    for change in told:
        match change:
            case Change(Kind.LOCATION | Kind.ACTION, _, text, _):
                after = structs.replace(after, **{change.kind.value: text})
            case Change(Kind.LEFT, _, _, Member() as member):
                del members[member.id]
            case Change(Kind.IDENTIFIED, str() as known_as, _, Member() as member):
                members[member.id] = structs.replace(members.pop(known_as), id=member.id)
            case Change(Kind.RENAMED, was, now, Member() as member):
                assert (was, now) == (members[member.id].name, member.name)
                members[member.id] = structs.replace(members[member.id], name=member.name)
            case Change(Kind.APPEARANCE, was, now, Member() as member):
                assert (was, now) == (members[member.id].appearance, member.appearance)
                members[member.id] = structs.replace(
                    members[member.id], appearance=member.appearance
                )
            case Change(Kind.JOINED, _, _, Member() as member):
                members[member.id] = member
    return structs.replace(after, members=tuple(members.values()))


def in_any_order(memory: Memory) -> tuple[set[Member], str | None, str | None]:
    return set(memory.members or ()), memory.location, memory.action


@given(memories, memories)
def test_the_changes_alone_lead_from_one_memory_to_the_next(before: Memory, after: Memory) -> None:
    told = changes(before, after)

    assert in_any_order(after) == in_any_order(replayed(before, told))


@given(memories)
def test_nothing_changed_where_nothing_is_different(same: Memory) -> None:
    assert changes(same, same) == ()


@given(memories, st.sampled_from(sorted(PARTS)))
def test_a_part_that_is_not_known_tells_no_change(known: Memory, part: str) -> None:
    unknown = structs.replace(known, **{part: None})

    assert changes(known, unknown) == changes(unknown, known) == ()


def test_a_player_whose_id_became_known_neither_left_nor_joined() -> None:
    before = memory(Member(id="Bob", name="Bob"))

    told = changes(before, memory(BOB))

    assert [Kind.IDENTIFIED, Kind.APPEARANCE] == [change.kind for change in told]


@pytest.mark.parametrize("appearance", ["", "Unknown", " unknown "])
def test_an_appearance_that_says_nothing_overwrites_no_real_one(appearance: str) -> None:
    nobody_told = structs.replace(ALICE, appearance=appearance)

    after = written(memory(ALICE), desired(nobody_told, location="Inn"), PARTS)

    assert memory(ALICE) == after


# ---------------------------------------------------------------- timeline


def test_a_memory_is_what_the_last_command_that_reached_it_says() -> None:
    found = history(
        (step(1, ALICE), Outcome.APPLIED),
        (step(2, ALICE, BOB), Outcome.SUPERSEDED),
        (step(3, ALICE, GRETA, location="Mill"), Outcome.APPLIED),
        (step(4, BOB), Outcome.OUTDATED),
        (step(5, BOB), Outcome.FAILED),
    )

    assert found.newest is not None
    assert memory(ALICE, GRETA, location="Mill") == found.newest.after
    assert [5] == [entry.command.source.offset for entry in found.failures if entry.command]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(10.9, UNKNOWN), (11.0, memory(ALICE)), (20.9, memory(ALICE)), (21.0, memory(BOB))],
)
def test_the_memory_at_a_time_is_that_of_the_last_result_before_it(
    seconds: float, expected: Memory
) -> None:
    found = history((step(1, ALICE), Outcome.APPLIED), (step(2, BOB), Outcome.APPLIED))

    newest = found.at(NOON + seconds).newest

    assert expected == (newest.after if newest else UNKNOWN)


@given(st.lists(st.tuples(groups, st.sampled_from(Outcome)), max_size=8), st.data())
def test_later_records_never_change_what_the_memory_was(
    steps: list[tuple[tuple[Member, ...], Outcome]], data: st.DataObject
) -> None:
    pairs = [(step(at, *group), outcome) for at, (group, outcome) in enumerate(steps)]
    cut = data.draw(st.integers(0, len(pairs)))

    then = history(*pairs).at(NOON + 10 * cut - 5)

    assert history(*pairs[:cut]).entries == then.entries


def test_a_command_without_a_result_is_pending_until_a_newer_one_has_one() -> None:
    first, second, third = step(1, ALICE), step(2, BOB), step(3, GRETA)

    found = timeline([first, second, third], [result(second.command)])

    assert (third.command,) == found.pending


def test_what_was_on_its_way_then_is_pending_at_that_time() -> None:
    found = history((step(1, ALICE), Outcome.APPLIED), (step(2, BOB), Outcome.APPLIED))

    then = found.at(NOON + 20.5)

    assert [2] == [command.source.offset for command in then.pending]


def test_a_command_that_is_gone_makes_unknown_only_what_it_wrote() -> None:
    first, gone, last = step(1, ALICE), step(2, BOB, location="Mill"), step(3, GRETA)
    results = [
        result(first.command),
        result(gone.command, blocks=["status"]),
        result(last.command),
    ]

    entries = timeline([first, last], results).entries

    assert Memory(members=(ALICE,)) == entries[1].after
    assert entries[1].command is None
    assert [Kind.JOINED, Kind.LEFT] == [change.kind for change in entries[2].changes]
    assert entries[2].is_beginning


def test_a_confirmation_whose_command_is_gone_leaves_the_memory_known() -> None:
    first, gone = step(1, ALICE), step(2, ALICE)
    results = [result(first.command), result(gone.command, Outcome.UNCHANGED)]

    found = timeline([first], results)

    assert memory(ALICE) == found.entries[-1].after


@pytest.mark.parametrize("outcome", [Outcome.APPLIED, Outcome.REPAIRED, Outcome.UNCHANGED])
@pytest.mark.parametrize("labels", [[], ["status"]])
def test_a_block_that_needed_no_write_says_what_the_command_says(
    outcome: Outcome, labels: list[str]
) -> None:
    said = step(1, ALICE)

    found = timeline([said], [result(said.command, outcome, blocks=labels)])

    assert memory(ALICE) == found.entries[0].after


def test_a_failure_that_wrote_one_block_changed_that_part() -> None:
    first, second = step(1, ALICE), step(2, BOB, location="Mill")
    results = [
        result(first.command),
        result(second.command, Outcome.FAILED, blocks=["status"], error="group_members is full"),
    ]

    found = timeline([first, second], results)

    assert memory(ALICE, location="Mill") == found.entries[-1].after


def test_one_command_may_have_several_results() -> None:
    said = step(1, ALICE)
    results = [
        result(said.command, Outcome.FAILED, error="parked: no agent"),
        result(said.command, after=60.0),
    ]

    found = timeline([said], results)

    assert [UNKNOWN, memory(ALICE)] == [entry.after for entry in found.entries]
    assert found.failures == ()


def test_runs_of_confirmations_are_one_line() -> None:
    found = history(
        (step(1, ALICE), Outcome.APPLIED),
        (step(2, ALICE), Outcome.UNCHANGED),
        (step(3, ALICE), Outcome.UNCHANGED),
        (step(4, BOB), Outcome.APPLIED),
        (step(5, BOB), Outcome.UNCHANGED),
    )

    shown = list(told(found.entries))

    assert [Entry, Confirmations, Entry, Confirmations] == [type(each) for each in shown]
    assert list(found.entries) == [
        entry
        for each in shown
        for entry in (each.entries if isinstance(each, Confirmations) else (each,))
    ]


# ---------------------------------------------------------------- what stands in Letta


def blocks(of: Desired, group: str = "", status: str = "") -> dict[str, Block]:
    """The two blocks as the writer leaves them, after what stood there before."""
    said = command(*of.members, location=of.location, action=of.action)
    pairs = (
        ("group_members", group_document(group, of, NOON)),
        ("status", status_document(status, of, NOON)),
    )
    return {
        label: Block(
            id=label, label=label, value=drawn.value, metadata=stamped({}, drawn, mark_of(said))
        )
        for label, drawn in pairs
    }


def edited(block: Block, change: Document) -> Block:
    return structs.replace(block, value=json.dumps(json.loads(block.value) | change))


def test_a_block_that_nobody_touched_is_as_written() -> None:
    group, status = standing(blocks(desired(ALICE)))

    assert (Verdict.AS_WRITTEN, Verdict.AS_WRITTEN) == (group.verdict, status.verdict)
    assert Memory(members=(ALICE,)) == group.memory
    assert (NOON, ()) == (status.observed_at, status.changes)


def test_a_note_is_the_npcs_own_and_changes_nothing_of_the_games() -> None:
    there = blocks(desired(ALICE))
    note = {**there["status"].metadata, "mine": 1}
    document = json.loads(there["group_members"].value)
    document["members"]["1001"]["notes"] = "owes me a coin"
    document["members"]["ghost"] = {"seen": "at night"}
    document["mood"] = "merry"
    group, status = standing(
        {
            "group_members": edited(there["group_members"], document),
            "status": structs.replace(there["status"], metadata=note),
        }
    )

    assert (Verdict.EDITED, ()) == (group.verdict, group.changes)
    assert (
        Addition("members.1001.notes", "owes me a coin"),
        Addition("members.ghost.seen", "at night"),
        Addition("mood", "merry"),
    ) == group.additions
    assert Verdict.AS_WRITTEN == status.verdict


def test_what_somebody_made_of_the_games_part_is_told() -> None:
    there = blocks(desired(ALICE, BOB))
    document = json.loads(there["group_members"].value)
    del document["members"]["1002"]
    group, status = standing(
        {
            "group_members": edited(there["group_members"], document),
            "status": edited(there["status"], {"current_location": "the moon"}),
        }
    )

    assert (Change(Kind.LEFT, member=BOB),) == group.changes
    assert (Change(Kind.LOCATION, "Market Square", "the moon"),) == status.changes


def test_a_block_without_our_stamp_is_foreign_and_one_that_is_not_there_missing() -> None:
    found = Block(id="b", label="status", value='{"current_location": "Inn", "mood": "low"}')

    group, status = standing({"status": found})

    assert Standing("group_members", Verdict.MISSING) == group
    assert (Verdict.FOREIGN, "Inn") == (status.verdict, status.memory.location)
    assert (Addition("mood", "low"),) == status.additions


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)


@given(st.text(max_size=40) | json_values.map(json.dumps), json_values)
def test_whatever_stands_in_a_block_can_be_shown(value: str, noted: object) -> None:
    metadata = {"rollcall": noted}
    found = {label: Block(id="b", label=label, value=value, metadata=metadata) for label in BOTH}
    live = Live("agent-1", standing(found))

    lines = [line.plain for line in live_lines(live, UNKNOWN)]

    assert not [line for line in lines if "\x1b" in line or "\n" in line]
    json.dumps(document("npc-7", timeline([], []), 0, None, None, live))


def test_a_stamped_base_that_anybody_damaged_can_be_shown() -> None:
    there = blocks(desired(ALICE))["status"]
    metadata = {"rollcall": {**there.metadata["rollcall"], "base": {"current_location": 10**30}}}

    (_, status) = standing({"status": structs.replace(there, value="{}", metadata=metadata)})

    assert Change(Kind.LOCATION, str(10**30), "") in status.changes


# ---------------------------------------------------------------- words


def plain(entry: Entry | Confirmations) -> list[str]:
    return [line.plain for line in entry_lines(entry)]


def test_changes_are_told_in_signs_and_words() -> None:
    conflict = Conflict(
        path="status.current_location", base="Inn", ours="Mill", theirs="the moon", kept="Mill"
    )
    first, second = step(1, ALICE), step(2, BOB, location="Mill")
    results = [result(first.command), result(second.command, conflicts=(conflict,))]

    lines = plain(timeline([first, second], results).entries[1])

    assert [
        f"2026-11-23T09:33:54Z  {ORIGIN.format(53)}",
        "  + Bob (1002) joined: short, green hat",
        "  - Alice (1001) left",
        '  ~ location "Mill", before "Inn"',
        '  ! status.current_location: somebody had made "the moon" of "Inn"; "Mill" was kept',
    ] == lines


@pytest.mark.parametrize(
    ("base", "theirs", "kept", "by", "told"),
    [
        ("Inn", "moon", "Mill", Editor.OTHER, 'somebody had made "moon" of "Inn"; "Mill" was kept'),
        (None, "Bob", None, None, 'somebody had put "Bob" there; it is not there now'),
        ("Bob", None, "Bob", Editor.OTHER, 'somebody had taken "Bob" out; "Bob" was kept'),
        (
            "Inn",
            "Mill",
            "Inn",
            Editor.AGENT,
            'a write-back, it seems, had made "Mill" of "Inn"; "Inn" was kept',
        ),
    ],
)
def test_a_conflict_tells_who_did_what_and_what_stands_now(
    base: str | None, theirs: str | None, kept: str | None, by: Editor | None, told: str
) -> None:
    said = step(1, ALICE)
    conflict = Conflict(path="a field", base=base, ours=kept, theirs=theirs, kept=kept, by=by)
    found = timeline([said], [result(said.command, conflicts=(conflict,))])

    lines = plain(found.entries[0])

    assert f"  ! a field: {told}" == lines[-1]


def test_who_was_put_into_a_block_by_somebody_did_not_join() -> None:
    edits = (Change(Kind.JOINED, member=BOB), Change(Kind.LEFT, member=ALICE))
    there = Standing("group_members", Verdict.EDITED, changes=edits)

    lines = [line.plain for line in live_lines(Live("agent-1", (there,)), UNKNOWN)]

    assert ["    ! Bob (1002) was put there", "    ! Alice (1001) was taken out"] == lines[2:]


def test_nothing_in_a_record_acts_on_a_terminal() -> None:
    said = step(1, ALICE)
    conflict = Conflict(path="\x1b[2J", base=None, ours="", theirs="\x1b]0;x\x07", kept="\u202e")
    results = [result(said.command, Outcome.FAILED, error="\x1b[31m", conflicts=(conflict,))]
    found = timeline([said], results)

    lines = [*plain(found.entries[0]), *(line.plain for line in card("npc-7", found))]

    assert not [line for line in lines if "\x1b" in line or "\x07" in line or "\u202e" in line]


def test_a_card_tells_what_failed_since_and_what_is_on_its_way() -> None:
    first, second, third = step(1, ALICE), step(2, BOB), step(3, GRETA)
    results = [result(first.command), result(second.command, Outcome.FAILED, error="it is full")]

    lines = [line.plain for line in card("npc-7", timeline([first, second, third], results))]

    assert [
        "npc         npc-7",
        "as of       2026-11-23T09:33:44Z",
        f"result      {ORIGIN.format(43)}",
        "location    Inn",
        "action      idle",
        "members     1",
        "  Alice (1001): tall, red scarf",
        "failed      once since, last at 2026-11-23T09:33:54Z: it is full",
        "pending     (members), issued at 2026-11-23T09:34:03Z",
    ] == lines


def test_what_stands_in_letta_is_told_in_words() -> None:
    there = blocks(desired(ALICE))
    there["status"] = edited(there["status"], {"current_location": "the moon", "mood": "low"})

    lines = [line.plain for line in live_lines(Live("agent-1", standing(there)), memory(BOB))]

    assert [
        "in Letta    agent agent-1",
        f"  group_members  as rollcall wrote it, {SEEN}",
        "    which is not what the history ends with:",
        "    + Alice (1001) joined: tall, red scarf",
        "    - Bob (1002) left",
        f"  status         edited since rollcall wrote it, {SEEN}; the game's part, too",
        '    ! location "the moon", before "Market Square"',
        '    the NPC\'s own  mood: "low"',
    ] == lines


def test_the_reason_of_a_verification_is_told() -> None:
    said = Said(structs.replace(step(1, ALICE).command, reason=Reason.VERIFY), NOON)

    (line, *_) = plain(timeline([said], [result(said.command, Outcome.REPAIRED)]).entries[0])

    assert "repaired (verify)" in line
