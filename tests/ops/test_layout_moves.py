"""From one layout to the other and back, whatever stands in the blocks, broken off anywhere."""

import itertools
import re
from dataclasses import replace
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ops.layout.moves import facts_of, noted, notes_in, notes_of, shown
from ops.layout.steps import (
    Create,
    Standing,
    Step,
    Write,
    after,
    arrival,
    next_step,
    room_for,
    standing_of,
)
from streams.settings import Layout
from streams.writer.budget import DoesNotFitError
from streams.writer.document import DEPTH_LIMIT, Document, read
from streams.writer.layout import DESCRIPTIONS, NOTES
from streams.writer.reconcile import GROUP, KINDS, STATUS, rendered
from streams.writer.rules import Rules
from streams.writer.stamp import mark_of, read_stamp, stamped
from streams.writer.status import FIELDS
from streams.writer.store import Block
from tests.writer.commands import ALICE, BOB, GRETA, NOON, command
from topics.models import Member

Blocks = dict[str, Block]
TOKEN = re.compile(r"<\d+>")
PEOPLE = (ALICE, BOB, GRETA)


def a_block(label: str, value: str = "", **more: Any) -> Block:
    return Block(id=f"block-{label}", label=label, value=value, **more)


def told(blocks: Blocks, *members: Member, step: int = 0, layout: Layout = Layout.SHARED) -> Blocks:
    """The blocks once the writer has carried out a command."""
    asked = command(*members, offset=10 + step, observed_at=NOON + step)
    done = dict(blocks)
    for kind in KINDS:
        block = blocks.get(kind.label) or a_block(kind.label)
        wanted = rendered(kind, asked, block, Rules(layout=layout))
        metadata = orjson.loads(orjson.dumps(stamped(block.metadata, wanted, mark_of(asked))))
        done[kind.label] = msgspec.structs.replace(block, value=wanted.value, metadata=metadata)
    return done


def with_value(blocks: Blocks, label: str, value: object) -> Blocks:
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return {**blocks, label: msgspec.structs.replace(blocks[label], value=text)}


def document(blocks: Blocks, label: str) -> Any:
    return orjson.loads(blocks[label].value)


def noting(blocks: Blocks, who: str, **fields: object) -> Blocks:
    """The NPC's fields in somebody's entry of `group_members`."""
    group = document(blocks, GROUP.label)
    entry = group["members"].get(who, {})
    members = {**group["members"], who: {**entry, **fields}}
    return with_value(blocks, GROUP.label, {**group, "members": members})


def a_town() -> Blocks:
    """An NPC with notes in every place there is."""
    blocks = noting(told({}, ALICE, BOB, GRETA), "1002", notes="owes me five coins", trust=2)
    blocks = told(blocks, ALICE, GRETA, step=1)
    blocks = noting(blocks, "1001", notes="likes chess")
    blocks = noting(blocks, "ghost", notes="seen at night", appearance="pale")
    group = {**document(blocks, GROUP.label), "plan": ["sell bread"], "about": "me"}
    blocks = with_value(blocks, GROUP.label, orjson.dumps(group).decode() + "\nrain tomorrow")
    status = {**document(blocks, STATUS.label), "mood": "glum"}
    return with_value(blocks, STATUS.label, status)


def test_everything_the_npc_owns_moves_into_one_readable_object() -> None:
    blocks = arrival(a_town(), Layout.SPLIT)

    assert document(blocks, NOTES) == {
        "about": {"1001": {"name": "Alice", "notes": "likes chess"}},
        "about_absent": {"1002": {"notes": "owes me five coins", "trust": 2}},
        "about_others": {"ghost": {"notes": "seen at night", "appearance": "pale"}},
        "about_me": {"mood": "glum"},
        "loose": {"about": "me"},
        "plan": ["sell bread"],
        "unsorted_notes": ["rain tomorrow"],
    }
    assert document(blocks, GROUP.label)["members"] == {
        "1001": {"name": "Alice", "appearance": "tall, red scarf"},
        "npc-greta": {"name": "Greta", "appearance": "the baker"},
    }
    assert set(document(blocks, STATUS.label)) == set(FIELDS)
    assert read_stamp(blocks[GROUP.label].metadata).absent == {}
    assert {label: block.read_only for label, block in blocks.items()} == {
        GROUP.label: True,
        STATUS.label: True,
        NOTES: False,
    }


def test_the_way_there_and_back_changes_nothing() -> None:
    before = a_town()

    back = arrival(arrival(before, Layout.SPLIT), Layout.SHARED)

    assert notes_in(back) == notes_in(before)
    assert {label: facts_of(block) for label, block in back.items()} == {
        label: facts_of(block) for label, block in before.items()
    }
    assert standing_of(back) is Standing.SHARED


def test_a_writer_has_nothing_to_do_after_a_migration() -> None:
    there = arrival(told({}, ALICE, BOB), Layout.SPLIT)
    back = arrival(there, Layout.SHARED)

    split = told(there, ALICE, BOB, layout=Layout.SPLIT)
    shared = told(back, ALICE, BOB)

    assert {label: block.value for label, block in split.items()} == {
        label: block.value for label, block in there.items()
    }
    assert document(shared, GROUP.label)["members"]["1001"]["notes"] == ""


def test_notes_about_somebody_who_left_wait_for_their_return() -> None:
    there = arrival(noting(told({}, ALICE, BOB), "1001", notes="likes chess"), Layout.SPLIT)
    there = told(there, BOB, step=1, layout=Layout.SPLIT)
    back = arrival(there, Layout.SHARED)

    returned = told(back, ALICE, BOB, step=2)

    assert "1001" not in document(back, GROUP.label)["members"]
    assert document(returned, GROUP.label)["members"]["1001"]["notes"] == "likes chess"


def test_notes_under_a_bare_name_find_who_is_called_so() -> None:
    there = arrival(told({}, ALICE), Layout.SPLIT)
    there = with_value(there, NOTES, {"about": {"Alice": "sings", "Bob": {"notes": "whistles"}}})

    blocks = told(arrival(there, Layout.SHARED), ALICE, BOB, step=1)

    members = document(blocks, GROUP.label)["members"]
    assert (members["1001"]["notes"], members["1002"]["notes"]) == ("sings", "whistles")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Bob is a liar.", ["Bob is a liar."]),
        ('{"about": {"1001": {"notes": "broken', ['{"about": {"1001": {"notes": "broken']),
        ('{"about": "nobody"}\nrain', ["rain", {"about": "nobody"}]),
        ("[1, 2]", ["[1, 2]"]),
    ],
)
def test_what_an_npc_made_of_its_notes_has_a_place_in_shared(text: str, kept: object) -> None:
    there = with_value(arrival(told({}, ALICE), Layout.SPLIT), NOTES, text)

    back = arrival(there, Layout.SHARED)

    assert document(back, GROUP.label)["unsorted_notes"] == kept


def test_fields_named_like_the_games_get_another_name_in_shared() -> None:
    there = arrival(told({}, ALICE), Layout.SPLIT)
    about = {"1001": {"name": "Red Alice", "appearance": "tired", "notes": "x"}}
    mine = {"about": about, "summary": "dull", "about_me": {"current_action": "thinking"}}

    back = arrival(with_value(there, NOTES, mine), Layout.SHARED)

    group = document(back, GROUP.label)
    assert group["members"]["1001"] == {
        "name": "Alice",
        "appearance": "tall, red scarf",
        "noted_name": "Red Alice",
        "noted_appearance": "tired",
        "notes": "x",
    }
    assert group["noted_summary"] == "dull"
    assert document(back, STATUS.label)["noted_current_action"] == "thinking"


def test_members_as_an_earlier_integration_wrote_them_are_left_to_the_writer() -> None:
    plain = '{"members": {"1001": "Alice", "1002": "Bob"}}'
    blocks = {GROUP.label: a_block(GROUP.label, plain), STATUS.label: a_block(STATUS.label, "")}

    there = arrival(blocks, Layout.SPLIT)

    assert (there[GROUP.label].value, there[NOTES].value) == (plain, "")


def test_an_agent_without_blocks_is_left_to_the_writer() -> None:
    assert arrival({}, Layout.SPLIT) == arrival({}, Layout.SHARED) == {}
    assert standing_of({}) is Standing.EMPTY


def test_notes_larger_than_a_block_get_a_larger_one() -> None:
    blocks = noting(told({}, ALICE), "1001", notes="n" * 4000)
    blocks = with_value(blocks, STATUS.label, {"diary": "d" * 4000})

    there = arrival(blocks, Layout.SPLIT)

    assert there[NOTES].limit == 13_000
    assert len(there[NOTES].value) < 13_000
    assert (room_for(5000), room_for(5001)) == (5000, 8000)


def test_a_notes_block_that_is_too_small_is_made_larger_before_it_is_written() -> None:
    blocks = noting(told({}, ALICE), "1001", notes="n" * 3000)
    blocks[NOTES] = a_block(NOTES, "m" * 3000, limit=5000)

    there = arrival(blocks, Layout.SPLIT)

    assert there[NOTES].limit == 10_000
    assert document(there, NOTES)["unsorted_notes"] == ["m" * 3000]


@pytest.mark.parametrize("layout", Layout)
def test_no_block_is_written_that_the_npcs_tools_can_edit(layout: Layout) -> None:
    blocks = noting(told({}, ALICE), "1001", notes="here")
    blocks[NOTES] = a_block(NOTES, "there")
    written = []

    while step := next_step(blocks, layout):
        if isinstance(step, Write):
            written.append((step.block.label, step.block.read_only))
        blocks = after(step, blocks)

    assert written
    assert all(is_locked for _, is_locked in written)


def test_notes_too_large_for_shared_are_refused_before_anything_is_done() -> None:
    there = arrival(told({}, ALICE), Layout.SPLIT)
    there = with_value(there, NOTES, "n" * 6000)

    with pytest.raises(DoesNotFitError, match="group_members needs 6"):
        next_step(there, Layout.SHARED)


def test_what_the_game_can_say_again_makes_room_for_notes() -> None:
    long = Member(id="1001", name="Alice", appearance="a" * 3000)
    there = arrival(told({}, long), Layout.SPLIT)
    there = with_value(there, NOTES, "n" * 3000)

    back = arrival(there, Layout.SHARED)

    assert len(back[GROUP.label].value) <= 5000
    assert document(back, GROUP.label)["unsorted_notes"] == ["n" * 3000]
    assert standing_of(back) is Standing.SHARED


def test_levels_too_deep_for_another_level_are_kept_as_text() -> None:
    deep: object = "<1>"
    for _ in range(DEPTH_LIMIT - 1):
        deep = {"in": deep}
    blocks = with_value(told({}, ALICE), STATUS.label, {"deep": deep})
    assert read(blocks[STATUS.label].value).exact

    there = arrival(blocks, Layout.SPLIT)

    assert standing_of(there) is Standing.SPLIT
    assert read(there[NOTES].value).exact
    assert "<1>" in there[NOTES].value
    assert "deep" not in document(there, STATUS.label)


def test_a_description_of_our_own_goes_with_the_layout_and_any_other_stays() -> None:
    blocks = told({}, ALICE)
    ours = DESCRIPTIONS[Layout.SHARED][GROUP.label]
    blocks[GROUP.label] = msgspec.structs.replace(blocks[GROUP.label], description=ours)
    blocks[STATUS.label] = msgspec.structs.replace(blocks[STATUS.label], description="theirs")

    there = arrival(blocks, Layout.SPLIT)
    back = arrival(there, Layout.SHARED)

    assert there[GROUP.label].description == DESCRIPTIONS[Layout.SPLIT][GROUP.label]
    assert (back[GROUP.label].description, back[STATUS.label].description) == (ours, "theirs")


def test_a_note_about_somebody_is_not_put_in_twice() -> None:
    notes = notes_in(a_town())

    once = noted({}, notes)

    assert noted(once, notes) == once
    assert notes_of(shown(once)) == notes


# -- whatever stands there -------------------------------------------------------------------------

leaves = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=8)
names = st.text(max_size=6) | st.sampled_from(["notes", "about", "loose", "about_me", "mood"])
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
GAME = ("name", "appearance", "members", "summary", "updates", "last_updated", *FIELDS)
fields = st.dictionaries(names.filter(lambda name: name not in GAME), values, max_size=4)
people = st.dictionaries(st.sampled_from([*(p.id for p in PEOPLE), "ghost"]), fields, max_size=4)


def said(part: Document) -> Document:
    """Without what says nothing: two such values are as good as one."""
    return {name: value for name, value in part.items() if value not in ("", None, [], {})}


@settings(deadline=None)
@given(people, fields, fields, st.sets(st.sampled_from(PEOPLE)))
def test_there_and_back_every_field_is_as_it_was(
    entries: Document, loose: Document, mine: Document, leaving: set[Member]
) -> None:
    blocks = told({}, *PEOPLE)
    for who, entry in entries.items():
        blocks = noting(blocks, who, **entry)
    group = document(blocks, GROUP.label)
    blocks = with_value(blocks, GROUP.label, {**group, **loose})
    blocks = with_value(blocks, STATUS.label, {**document(blocks, STATUS.label), **mine})
    blocks = told(blocks, *(set(PEOPLE) - leaving), step=1)
    before = notes_in(blocks)

    there = arrival(blocks, Layout.SPLIT)
    back = arrival(there, Layout.SHARED)

    after_all = notes_in(back)
    assert (after_all.me, after_all.loose) == (before.me, before.loose)
    assert after_all.others == before.others
    assert {k: said(v) for k, v in after_all.about.items()} == {
        k: said(v) for k, v in before.about.items()
    }
    assert {k: said(v) for k, v in after_all.absent.items()} == {
        k: said(v) for k, v in before.absent.items()
    }
    assert standing_of(there) is Standing.SPLIT
    assert standing_of(back) is Standing.SHARED


@settings(deadline=None)
@given(st.text(max_size=200) | values.map(lambda value: orjson.dumps(value).decode()), st.text())
def test_any_text_at_all_arrives_in_either_layout(text: str, status: str) -> None:
    blocks = {GROUP.label: a_block(GROUP.label, text), STATUS.label: a_block(STATUS.label, status)}

    there = arrival(blocks, Layout.SPLIT)
    back = arrival(with_value(there, NOTES, text), Layout.SHARED)

    assert standing_of(there) is Standing.SPLIT
    assert next_step(back, Layout.SHARED) is None
    assert NOTES not in back


# -- whenever something happens --------------------------------------------------------------------


class NpcAndMigration(RuleBasedStateMachine):
    """A migration that is somewhere between a read and its next request, and an NPC that notes.

    An NPC's tools edit the blocks that are not read only; the writer runs between two requests.
    """

    @initialize(has_notes=st.booleans())
    def begin(self, has_notes: bool) -> None:
        self.blocks, self.step, self.numbers = told({}, ALICE, BOB), 0, itertools.count()
        self.written: set[str] = set()
        if has_notes:
            self.blocks[NOTES] = a_block(NOTES, "")
        self.planned: Step | None = None

    @precondition(lambda self: self.planned is None)
    @rule(layout=st.sampled_from(Layout))
    def the_migration_reads(self, layout: Layout) -> None:
        try:
            self.planned = next_step(self.blocks, layout)
        except DoesNotFitError:
            self.planned = None

    @precondition(lambda self: self.planned is not None)
    @rule()
    def its_request_arrives(self) -> None:
        step, self.planned = self.planned, None
        assert step is not None
        if not isinstance(step, Create):
            self.merge_into_now(step)
        elif step.label not in self.blocks:
            self.blocks = after(step, self.blocks)

    def merge_into_now(self, step: Any) -> None:
        """What the request does not set is as it is now, not as it was read."""
        now = self.blocks[step.block.label]
        if isinstance(step, Write):
            assert now.read_only, "the NPC's tools could have edited it"
        self.blocks = after(replace(step, block=now), self.blocks)

    @rule()
    def it_breaks_off(self) -> None:
        self.planned = None

    @rule(layout=st.sampled_from(Layout))
    def it_goes_all_the_way(self, layout: Layout) -> None:
        self.planned = None
        try:
            self.blocks = arrival(self.blocks, layout)
        except DoesNotFitError:
            return
        assert next_step(self.blocks, layout) is None
        assert standing_of(self.blocks) == layout.value

    @precondition(lambda self: self.planned is None)
    @rule(members=st.sets(st.sampled_from(PEOPLE)), layout=st.sampled_from(Layout))
    def the_writer_writes(self, members: set[Member], layout: Layout) -> None:
        self.step += 1
        self.blocks = told(self.blocks, *members, step=self.step, layout=layout)

    @rule(label=st.sampled_from([GROUP.label, STATUS.label, NOTES]), how=st.integers(0, 4))
    def the_npc_notes(self, label: str, how: int) -> None:
        block = self.blocks.get(label)
        if block is None or block.read_only:
            return
        token = f"<{next(self.numbers)}>"
        self.written.add(token)
        self.blocks = with_value(self.blocks, label, edited(block.value, label, token, how))

    @invariant()
    def no_note_is_lost(self) -> None:
        stands = "".join(b.value + orjson.dumps(b.metadata).decode() for b in self.blocks.values())
        assert self.written <= set(TOKEN.findall(stands))


def edited(text: str, label: str, token: str, how: int) -> str:
    found = read(text)
    if how == 0 or not found.exact:
        return f"{text}\n{token}"
    place = {GROUP.label: "members", NOTES: "about"}.get(label)
    whole = found.document
    if how == 1 or place is None or not isinstance(whole.get(place, {}), dict):
        own = f"own{how}"
        return orjson.dumps({**whole, own: f"{whole.get(own, '')}{token}"}).decode()
    if how == 2:
        return f'{text[:-1]}" {token}'
    who = "1001" if how == 3 else "ghost"
    entry = whole.get(place, {}).get(who, {})
    entry = entry if isinstance(entry, dict) else {"notes": entry}
    noted_before = str(entry.get("notes", ""))
    entries = {**whole.get(place, {}), who: {**entry, "notes": f"{noted_before}{token}"}}
    return orjson.dumps({**whole, place: entries}).decode()


NpcAndMigration.TestCase.settings = settings(
    max_examples=150, stateful_step_count=25, deadline=None
)
TestNpcAndMigration = pytest.mark.filterwarnings("ignore")(NpcAndMigration.TestCase)
