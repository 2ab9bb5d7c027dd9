"""The Table `notes` of one worker: whose it is, what is written, and what is left alone."""

from collections.abc import Awaitable, Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from streams.writer import notes_table
from streams.writer.aside import Piece
from streams.writer.notes import NOTHING, Change, Kept, Place, dump
from streams.writer.notes_table import VALUE_LIMIT, NotesTable

PLACE = Place("npc/7", "group_members")
KEY = b"3/group_members/npc/7"


class Table:
    """What a Faust Table offers an outbox."""

    name = "notes"

    def __init__(self) -> None:
        self.data: dict[bytes, bytes] = {}
        self.changelog: list[tuple[int, bytes, bytes]] = []

    async def send_changelogs(
        self, changes: Iterable[tuple[int, bytes, bytes]]
    ) -> list[Awaitable[object]]:
        self.changelog += changes
        return []


class Group:
    """The worker's place in its group."""

    owned: frozenset[int] = frozenset({3})
    is_settled = True
    generation = 1


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> Group:
    group = Group()
    clock = iter(range(1000, 2000))
    monkeypatch.setattr(notes_table, "owns", lambda _app, _table, number: number in group.owned)
    monkeypatch.setattr(notes_table, "is_settled", lambda _: group.is_settled)
    monkeypatch.setattr(notes_table, "generation_of", lambda _: group.generation)
    monkeypatch.setattr(notes_table, "time", lambda: next(clock))
    return group


@pytest.fixture
def table() -> Table:
    return Table()


@pytest.fixture
def notes(group: Group, table: Table) -> NotesTable:
    async def deliver(delivery: Awaitable[None]) -> None:
        await delivery

    app: Any = SimpleNamespace(Table=lambda *_, **__: table)
    return NotesTable(app, {"npc/7": 3}, deliver)


def some(notes: NotesTable) -> Change:
    return Change(absent={"1002": {"notes": "likes chess"}}, keeper=notes.keeper)


async def test_what_is_kept_is_in_the_changelog_and_in_the_table(
    notes: NotesTable, table: Table
) -> None:
    await notes.keep(PLACE, some(notes))

    wanted = Kept(version=1, by=notes.keeper, absent={"1002": {"notes": "likes chess"}})
    assert notes.of(PLACE) == wanted
    assert table.changelog == [(3, KEY, dump(wanted))]


async def test_a_worker_is_younger_after_each_rebalance(notes: NotesTable, group: Group) -> None:
    before = notes.keeper
    assert before == notes.keeper

    group.generation = 2

    assert notes.keeper > before


async def test_nothing_is_said_of_what_is_anothers_or_not_recovered(
    notes: NotesTable, group: Group
) -> None:
    assert notes.of(PLACE) == NOTHING
    assert notes.of(Place("npc-unheard-of", "status")) is None

    group.is_settled = False
    assert notes.of(PLACE) is None
    group.is_settled, group.owned = True, frozenset({4})
    assert notes.of(PLACE) is None


async def test_a_change_of_before_the_rebalance_is_not_made(
    notes: NotesTable, table: Table, group: Group
) -> None:
    change, group.generation = some(notes), 2

    await notes.keep(PLACE, change)

    assert table.changelog == []


async def test_a_value_that_cannot_be_read_is_left_as_it_is(
    notes: NotesTable, table: Table
) -> None:
    table.data[KEY] = b"\xff not ours"

    assert notes.of(PLACE) is None
    await notes.keep(PLACE, some(notes))

    assert table.data == {KEY: b"\xff not ours"}
    assert table.changelog == []


async def test_a_value_too_large_for_a_record_is_not_sent(notes: NotesTable, table: Table) -> None:
    await notes.keep(PLACE, some(notes))
    large = Change(aside=(Piece(no=1, text="n" * VALUE_LIMIT),), keeper=notes.keeper)

    await notes.keep(PLACE, large)

    kept = notes.of(PLACE)
    assert len(table.changelog) == 1
    assert kept is not None
    assert kept.version == 1
