"""Notes that no block holds: what the metadata and the Table have together is all there is."""

import itertools
import re
from typing import Any

import orjson
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from streams.writer.aside import Piece
from streams.writer.budget import DoesNotFitError
from streams.writer.document import Document
from streams.writer.group import LABEL, group_document
from streams.writer.merge import Rendered
from streams.writer.notes import (
    GRACE,
    NOTHING,
    Change,
    Custody,
    Kept,
    NotesInMemory,
    Place,
    UnreadableError,
    custody_of,
    dump,
    is_same,
    load,
    united_notes,
)
from streams.writer.stamp import UNSTAMPED, Stamp, mark_of, read_stamp, stamped
from tests.writer.commands import ALICE, BOB, GRETA, NOON, command, desired
from topics.models import Member

PLACE = Place("npc-7", LABEL)
TOKEN = re.compile("[\u4e00-\u9fff]")
"""What the NPC notes: one character, so that no cut goes through it."""

SMALL = 500


class Worker(NotesInMemory):
    """One that may be taken for dead: its Table is what the changelog had when it began."""

    def __init__(self, name: str, changelog: dict[Place, bytes]) -> None:
        super().__init__(name)
        self.changelog, self.values = changelog, dict(changelog)

    def keep_now(self, change: Change) -> None:
        kept = self.of(PLACE) or NOTHING
        self.values[PLACE] = self.changelog[PLACE] = dump(change.of(kept))


class BlockAndTable(RuleBasedStateMachine):
    """A block, the changelog of the Table, and workers that die and are taken for dead.

    A command is done in two steps, as in life: the PATCH, and what the Table lacks. Any worker may
    die between them; another may do a command of its own there. Each does its own read and PATCH in
    one, since what Letta cannot prevent is looked at elsewhere.
    """

    @initialize()
    def begin(self) -> None:
        self.changelog: dict[Place, bytes] = {}
        self.value, self.metadata = "", dict[str, Any]()
        self.time, self.numbers = NOON, itertools.count()
        self.written: set[str] = set()
        self.workers = [Worker("0000", self.changelog)]
        self.names = (f"{number:04d}" for number in itertools.count(1))

    @rule(group=st.lists(st.sampled_from([ALICE, BOB, GRETA]), unique=True).map(tuple))
    def a_command_is_done(self, group: tuple[Member, ...]) -> None:
        self._keep(*self._patch(self.workers[-1], group))

    @rule(group=st.lists(st.sampled_from([ALICE, BOB, GRETA]), unique=True).map(tuple))
    def the_worker_dies_between_patch_and_table(self, group: tuple[Member, ...]) -> None:
        self._patch(self.workers[-1], group)
        self.a_worker_takes_over()

    @rule()
    def a_worker_takes_over(self) -> None:
        self.workers.append(Worker(next(self.names), self.changelog))

    @rule(group=st.lists(st.sampled_from([ALICE, BOB, GRETA]), unique=True).map(tuple))
    def one_that_was_taken_for_dead_goes_on(self, group: tuple[Member, ...]) -> None:
        self._keep(*self._patch(self.workers[-2:][0], group))

    @rule(whom=st.sampled_from([ALICE, BOB, GRETA]), long=st.booleans())
    def the_npc_notes_something(self, whom: Member, long: bool) -> None:
        token = chr(0x4E00 + next(self.numbers)) + "x" * 60 * long
        document = orjson.loads(self.value) if self.value else {}
        entry = document.get("members", {}).get(whom.id)
        if entry is None:
            document["diary"] = f"{document.get('diary', '')} {token}"
        else:
            entry["notes"] = f"{entry.get('notes', '')} {token}"
        self.value = orjson.dumps(document).decode()
        self.written |= set(TOKEN.findall(token))

    @rule(seconds=st.sampled_from([1.0, GRACE]))
    def time_goes_by(self, seconds: float) -> None:
        self.time += seconds

    def _patch(self, worker: Worker, group: tuple[Member, ...]) -> tuple[Worker, Any]:
        self.time += 1
        custody = custody_of(PLACE, read_stamp(self.metadata), worker, self.time)
        try:
            wanted = group_document(self.value, desired(*group), self.time, custody.recalled, SMALL)
        except DoesNotFitError:
            return worker, None
        assert len(wanted.value) <= SMALL
        is_written = wanted.value != self.value
        if is_written:
            mark = mark_of(command(observed_at=self.time))
            noted = custody.in_transit(wanted)
            self.metadata = stamped(self.metadata, noted, mark, custody.receipt)
            self.value = wanted.value
        self.look()
        return worker, custody.to_keep(wanted, is_written=is_written)

    def _keep(self, worker: Worker, change: Change | None) -> None:
        if change:
            worker.keep_now(change)
        self.look()

    def look(self) -> None:
        """After a crash right now, what would be there and count?"""
        custody = custody_of(
            PLACE, read_stamp(self.metadata), Worker("next", self.changelog), self.time
        )
        stamp = custody.recalled
        pieces = orjson.dumps([piece.text for piece in stamp.aside]).decode()
        there = self.value + orjson.dumps(stamp.absent).decode() + pieces
        assert self.written <= set(TOKEN.findall(there))


BlockAndTable.TestCase.settings = settings(max_examples=300, stateful_step_count=30, deadline=None)
TestBlockAndTable = BlockAndTable.TestCase


def custody(stamp: Stamp = UNSTAMPED, kept: Kept = NOTHING, **more: Any) -> Custody:
    return Custody(stamp, kept, **{"keeper": "me", "may_keep": True, "now": NOON, **more})


def wanted(**absent: Document) -> Rendered:
    return Rendered(value="{}", base={}, absent=absent)


BOBS: Document = {"notes": "owes me five"}


def test_what_the_table_lacks_travels_in_the_metadata() -> None:
    mine = Stamp(keeper="me")

    noted = custody(mine, Kept(absent={"1001": BOBS})).in_transit(wanted(**{"1001": BOBS, "2": {}}))

    assert noted.absent == {"2": {}}


def test_a_block_that_another_wrote_carries_everything_once_more() -> None:
    theirs = Stamp(keeper="another")
    mine = custody(theirs, Kept(version=3, absent={"1002": BOBS}))

    noted = mine.in_transit(wanted(**{"1002": BOBS}))

    assert noted.absent == {"1002": BOBS}
    assert mine.to_keep(wanted(**{"1002": BOBS}), is_written=True) is not None
    assert mine.to_keep(wanted(**{"1002": BOBS}), is_written=False) is None


def test_who_came_back_no_longer_counts_and_goes_from_the_table_later() -> None:
    kept = Kept(version=1, absent={"1002": BOBS})
    noted = custody(Stamp(keeper="me"), kept).in_transit(wanted())
    after = Stamp(keeper="me", given_back=noted.given_back, written_at=NOON)

    soon = custody(after, kept, now=NOON + GRACE - 1)
    later = custody(after, kept, now=NOON + GRACE)

    assert noted.given_back == ("1002",)
    assert soon.recalled.absent == {}
    assert soon.to_keep(wanted(), is_written=False) is None
    change = later.to_keep(wanted(), is_written=False)
    assert change is not None
    assert change.of(kept) == Kept(version=2, by="me")


def test_newer_notes_on_somebody_take_the_place_of_what_does_not_count() -> None:
    stamp = Stamp(keeper="me", given_back=("1002",))
    kept = Kept(version=1, absent={"1002": BOBS})
    newer: Document = {"notes": "paid"}
    mine = custody(stamp, kept)

    noted = mine.in_transit(wanted(**{"1002": newer}))

    assert (noted.absent, noted.given_back) == ({"1002": newer}, ("1002",))
    change = mine.to_keep(wanted(**{"1002": newer}), is_written=True)
    assert change is not None
    assert change.of(kept).absent == {"1002": newer}


def test_a_table_that_is_behind_is_left_alone() -> None:
    store = NotesInMemory("me")
    store.values[PLACE] = dump(Kept(version=3))
    ahead = Stamp(table=(4, "another"))

    behind = custody_of(PLACE, ahead, store, NOON)

    assert behind.to_keep(wanted(**{"1002": BOBS}), is_written=True) is None
    assert behind.receipt.table == (4, "another")


def test_a_table_is_left_alone_once_a_younger_worker_wrote_the_block() -> None:
    store = NotesInMemory("1000-me")

    older = custody_of(PLACE, Stamp(keeper="2000-another"), store, NOON)
    younger = custody_of(PLACE, Stamp(keeper="0999-another"), store, NOON)

    assert (older.may_keep, older.receipt.keeper) == (False, "2000-another")
    assert (younger.may_keep, younger.receipt.keeper) == (True, "1000-me")


def test_a_change_is_made_of_what_is_there_then() -> None:
    piece = Piece(no=1, text="more")
    change = Change(absent={"1": BOBS}, aside=(piece,), gone=frozenset({"2"}), keeper="me")

    kept = change.of(Kept(version=5, absent={"1": {}, "2": {}, "3": {}}, aside=(piece,)))

    assert kept == Kept(version=6, by="me", absent={"1": BOBS, "3": {}}, aside=(piece,))


def test_a_value_is_read_as_it_was_written() -> None:
    piece = Piece(no=3, where=("members", "1001", "notes"), text="é\0", observed_at=NOON)
    kept = Kept(version=7, absent={"1002": {"notes": "é", "n": 2**70}}, aside=(piece,))

    assert kept == load(dump(kept))


@pytest.mark.parametrize(
    "value", [b"", b"{", b"[]", b"\xff", b'{"version":"x"}', b'{"more":1}', b"[" * 10_000]
)
def test_a_value_of_somebody_elses_is_not_taken_for_nothing(value: bytes) -> None:
    with pytest.raises(UnreadableError):
        load(value)


def test_numbers_too_large_for_a_block_are_kept_as_text() -> None:
    united = united_notes({"1002": {"n": 2**70}}, {"1002": BOBS})

    assert united == {"1002": {"notes": f'{{"n": {2**70}}}\nowes me five'}}


def test_true_is_not_one() -> None:
    assert not is_same({"trust": True}, {"trust": 1})
    assert is_same({"a": 1, "b": 2}, {"b": 2, "a": 1})


def test_the_base_is_never_larger_than_the_block() -> None:
    crowd = [Member(id=str(10**9 + n), name=f"Player {n}", appearance="é" * 400) for n in range(50)]

    rendered = group_document("", desired(*crowd), NOON)

    assert len(orjson.dumps(rendered.base).decode()) < len(rendered.value) <= 5000
