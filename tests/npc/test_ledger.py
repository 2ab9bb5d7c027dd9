"""What became of a note, judged by when things happened."""

import pytest

from tests.npc.ledger import Edit, Fate, Write, fate, note

EDIT = Edit(7, "npc-1", "status", "core_memory_append", held_from=10.0, began=10.0, ended=11.0)
NOTE = note(7)


def write(at: float, read: str = "", written: str = "", label: str = "status") -> Write:
    """Read between `at` and 0.1 later, written from 0.2 to 0.5 later."""
    return Write("npc-1", label, at, at + 0.1, at + 0.2, at + 0.5, read, written)


def other(held_from: float, ended: float, label: str = "status") -> Edit:
    return EDIT._replace(number=8, held_from=held_from, began=held_from, ended=ended, label=label)


def judged(*writes: Write, memory: str = "", edits: tuple[Edit, ...] = (EDIT,)) -> Fate:
    return fate(EDIT, memory, writes, edits)


def test_a_note_in_the_memory_is_kept_whatever_happened() -> None:
    assert Fate.KEPT == judged(write(10.0), memory=f"a {NOTE} b")


def test_the_note_of_a_longer_number_is_another_note() -> None:
    assert Fate.LOST == judged(memory=note(71))


def test_a_note_whose_tool_failed_was_refused_and_not_lost() -> None:
    refused = EDIT._replace(is_refused=True)

    assert Fate.REFUSED == fate(refused, "", [write(10.0)], [refused])


@pytest.mark.parametrize("at", [9.6, 10.5, 10.9])
def test_a_note_made_between_a_read_and_its_write_fell_into_the_window(at: float) -> None:
    assert Fate.IN_WINDOW == judged(write(at))


@pytest.mark.parametrize("at", [9.4, 11.1])
def test_a_note_gone_though_no_write_was_near_is_lost(at: float) -> None:
    assert Fate.LOST == judged(write(at))


def test_a_write_of_another_block_is_no_excuse() -> None:
    assert Fate.LOST == judged(write(10.5, label="group_members"))


def test_a_note_that_the_writer_read_and_did_not_write_was_dropped_by_the_merge() -> None:
    window = write(10.5)
    dropping = write(12.0, read=NOTE)

    assert Fate.DROPPED == judged(window, dropping)


def test_a_note_that_survived_a_window_did_not_fall_into_it() -> None:
    assert Fate.LOST == judged(write(10.5), write(12.0, read=NOTE, written=NOTE))


def test_a_known_note_went_when_a_tool_wrote_back_what_it_held_before_our_write() -> None:
    step = other(held_from=11.9, ended=13.0)._replace(began=12.9)

    assert Fate.REVERTED == judged(write(12.0, NOTE, NOTE), edits=(EDIT, step))


def test_a_tool_that_loaded_its_memory_after_our_write_is_no_excuse() -> None:
    step = other(held_from=12.6, ended=13.0)

    assert Fate.LOST == judged(write(12.0, NOTE, NOTE), edits=(EDIT, step))


def test_two_edits_at_once_overrun_each_other_even_on_different_blocks() -> None:
    beside = other(held_from=9.0, ended=10.5, label="group_members")

    assert Fate.OVERRUN == judged(edits=(EDIT, beside))


def test_an_edit_that_saw_the_note_did_not_overrun_it() -> None:
    beside = other(held_from=10.5, ended=12.0)._replace(saw=f"... {NOTE}")

    assert Fate.LOST == judged(edits=(EDIT, beside))
