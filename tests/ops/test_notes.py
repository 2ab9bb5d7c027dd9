"""`rollcall notes`: what is told, whom a purge means, and what it leaves."""

import pytest
from click.testing import CliRunner

from ops.cli import main
from ops.notes.held import EVERYBODY, Held, as_json, lines, meant, metadata_without, pieces_meant
from ops.notes.held import without as left_by_purge
from streams.writer.aside import Piece
from streams.writer.notes import Kept
from streams.writer.stamp import KEY, Stamp, read_stamp

DIARY = Piece(no=1, where=("diary",), text="and then\x1b[31m")
ON_BOB = Piece(no=2, where=("members", "1002", "notes"), text="more on Bob")
HELD = Held(
    "group_members",
    Kept(
        version=4,
        absent={"1002": {"notes": "likes chess"}, "1003": {"notes": "came back"}},
        aside=(DIARY, ON_BOB),
    ),
    Stamp(absent={"Carl": {"name": "Carl", "notes": "owes me"}}, given_back=("1003",)),
)
NAMES = {"1002": "Bob"}


def test_table_and_metadata_are_told_together_and_what_came_back_is_not() -> None:
    told = as_json(HELD, NAMES)

    assert told["absent"] == {
        "Carl": {
            "name": "Carl",
            "notes": {"name": "Carl", "notes": "owes me"},
            "in_transit": True,
        },
        "1002": {"name": "Bob", "notes": {"notes": "likes chess"}, "in_transit": False},
    }
    assert [piece["no"] for piece in told["aside"]] == [1, 2]


def test_nothing_in_a_note_acts_on_the_terminal() -> None:
    assert lines(HELD, NAMES) == [
        "group_members",
        '  Carl, absent, on its way to the Table: {"name":"Carl","notes":"owes me"}',
        '  Bob (1002), absent: {"notes":"likes chess"}',
        "  no. 1, from diary: and then\\x1b[31m",
        "  no. 2, from members.1002.notes: more on Bob",
    ]


@pytest.mark.parametrize("whom", ["1002", "bob", "BOB"])
def test_a_purge_of_one_person_takes_the_pieces_along(whom: str) -> None:
    ids = meant(HELD, whom, NAMES)
    left = left_by_purge(HELD, ids, pieces_meant(HELD, whom, ids))

    assert set(left.absent) == {"Carl"}
    assert left.aside == (DIARY,)
    assert (left.kept.version, left.kept.by) == (5, "purge")


def test_a_purge_of_all_leaves_nothing() -> None:
    ids = meant(HELD, EVERYBODY, NAMES)

    left = left_by_purge(HELD, ids, pieces_meant(HELD, EVERYBODY, ids))

    assert not left
    assert left.kept == Kept(version=5, by="purge")


def test_a_purge_mends_a_table_that_is_behind_the_stamp() -> None:
    unreadable = Held("status", Kept(), Stamp(table=(7, "lost")))

    assert left_by_purge(unreadable, set(), ()).kept == Kept(version=8, by="purge")


def test_a_purge_of_the_metadata_touches_nothing_else() -> None:
    metadata = {"theirs": 1, KEY: {"hash": "x", "later": 2, "absent": {"Carl": {}}}}

    left = metadata_without(metadata, Stamp())

    assert left == {"theirs": 1, KEY: {"hash": "x", "later": 2, "absent": {}, "aside": []}}
    assert read_stamp(left).hash == "x"
    assert metadata_without({"theirs": 1}, Stamp()) == {"theirs": 1}


def test_it_explains_itself() -> None:
    shown = CliRunner().invoke(main, ["notes", "--help"])

    assert shown.exit_code == 0
    assert "--purge" in shown.stdout
