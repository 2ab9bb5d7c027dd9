"""Whom `rollcall verify` asks, when it has heard enough, and what it tells."""

from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from ops.cli import main
from ops.verification import view
from ops.verification.asking import WELL, Asking, Fate, Verified
from ops.verification.states import Known, known, unknown
from streams.filter.state import GroupState, dump
from topics.models import Conflict, Desired, Outcome, Reason, Source, UpdateResult

PATIENCE = 60.0


def result(
    npc_id: str = "npc-1",
    outcome: Outcome = Outcome.UNCHANGED,
    reason: Reason = Reason.VERIFY,
    **more: Any,
) -> UpdateResult:
    return UpdateResult(
        command_id="c",
        npc_id=npc_id,
        reason=reason,
        outcome=outcome,
        observed_at=1.0,
        finished_at=2.0,
        **more,
    )


def fate(asking: Asking, *results: UpdateResult) -> Fate | None:
    """What the last of some results settles."""
    told = [asking.hear(one, 1.0) for one in results]
    return told[-1].fate if told[-1] else None


def asked(*npc_ids: str, window: int = 50) -> Asking:
    asking = Asking.about(npc_ids, PATIENCE, window)
    asking.due(0.0)
    return asking


# ---------------------------------------------------------------- asking


@given(st.integers(0, 30), st.integers(1, 7), st.data())
def test_everybody_is_asked_once_and_never_more_than_a_window_at_a_time(
    npcs: int, window: int, data: st.DataObject
) -> None:
    names = [f"npc-{number}" for number in range(npcs)]
    asking = Asking.about([*names, *names], PATIENCE, window)
    waiting, order = list[str](), list[str]()
    while not asking.is_over:
        due = asking.due(0.0)
        waiting, order = waiting + due, order + due
        assert 1 <= len(waiting) <= window
        answered = data.draw(st.sampled_from(waiting))
        waiting.remove(answered)
        assert asking.hear(result(answered), 0.0) == Verified(
            answered, Fate.UNCHANGED, "", result(answered)
        )

    assert names == order


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Outcome.UNCHANGED, Fate.UNCHANGED),
        (Outcome.REPAIRED, Fate.REPAIRED),
        (Outcome.OUTDATED, Fate.UPDATED),
        (Outcome.FAILED, Fate.FAILED),
        (Outcome.SUPERSEDED, None),
    ],
)
def test_a_result_settles_whom_it_is_about(outcome: Outcome, expected: Fate | None) -> None:
    assert expected == fate(asked("npc-1"), result(outcome=outcome))


def test_a_superseded_verification_is_settled_by_the_command_that_took_its_place() -> None:
    superseded = result(outcome=Outcome.SUPERSEDED)
    applied = result(outcome=Outcome.APPLIED, reason=Reason.MEMBERS)

    assert Fate.UPDATED == fate(asked("npc-1"), superseded, applied)
    assert fate(asked("npc-1"), applied) is None


def test_results_for_others_settle_nothing() -> None:
    assert fate(asked("npc-1"), result("npc-2")) is None
    assert fate(asked("npc-1"), result("npc-1"), result("npc-1")) is None


def test_who_is_not_answered_for_in_time_is_given_up_alone() -> None:
    asking = asked("npc-1", "npc-2", "npc-3", window=2)
    asking.hear(result("npc-1"), 30.0)
    assert ["npc-3"] == asking.due(30.0)

    assert [] == asking.give_up(60.0)
    assert ["npc-2"] == asking.give_up(61.0)
    asking.hear(result("npc-3"), 61.0)
    assert asking.is_over


def test_where_nobody_answers_nobody_else_is_asked() -> None:
    asking = asked("npc-1", "npc-2", "npc-3", window=1)

    assert ["npc-1", "npc-2", "npc-3"] == asking.give_up(60.1)
    assert asking.is_over


# ---------------------------------------------------------------- states


def state(*, silent: bool = False) -> bytes:
    source = Source(topic="t", partition=0, offset=0)
    return dump(
        GroupState(
            desired=Desired(),
            last_updated=1.0,
            last_force_refresh=1.0,
            source=source,
            silent=silent,
        )
    )


def test_states_are_told_apart() -> None:
    table = {b"b": state(), b"a": state(silent=True), b"c": state()[:-3], b"\xff": b"{}"}

    found = known(table)

    assert (["a", "b"], ["a"]) == (list(found.well), found.silent)
    assert {"c": "the checksum does not fit", "\\xff": "not a state"} == found.damaged


def test_who_has_no_state_was_never_seen_unless_nobody_has_one() -> None:
    assert ["b"] == unknown(["a", "b"], known({b"a": state()}))
    assert [] == unknown(["a", "b"], Known())


# ---------------------------------------------------------------- telling


CONFLICT = Conflict(path="status.mood", base="secret", ours="secret", theirs="secret", kept="x")
FOUND = [
    Verified("npc-2", Fate.UNCHANGED, "", result("npc-2")),
    Verified(
        "npc-1\x1b[31m",
        Fate.REPAIRED,
        "",
        result(outcome=Outcome.REPAIRED, blocks=("status",), conflicts=(CONFLICT,)),
    ),
    Verified("npc-3", Fate.NO_ANSWER, "the writer is away"),
]


def test_only_those_with_more_to_say_have_a_row() -> None:
    table = view.table_of(FOUND)

    assert table
    assert ["npc-1\\x1b[31m", "npc-3"] == list(table.columns[0].cells)
    assert ["status; somebody had changed status.mood", "the writer is away"] == list(
        table.columns[2].cells
    )
    assert view.table_of(FOUND[:1]) is None


def test_the_sums_are_one_line() -> None:
    assert view.sums(FOUND) == "1 unchanged, 1 repaired, 1 no answer."
    assert view.sums([]) == "There is no NPC to verify."


def test_a_program_is_told_everything() -> None:
    asked = FOUND[0].npc_id
    others = {b"nobody-asked": state(silent=True), asked.encode(): state(silent=True)}

    told = view.as_json(FOUND, known(others))

    assert told["verified"] is False
    assert told["counts"] == {"unchanged": 1, "repaired": 1, "no answer": 1}
    assert told["npcs"][1]["conflicts"][0]["kept"] == "x"
    assert told["silent"] == [asked]


def test_all_is_well_only_with_fates_that_are() -> None:
    ends = {one: view.is_all_well([Verified("npc-1", one)]) for one in Fate}

    assert {one: one in WELL for one in Fate} == ends


@pytest.mark.parametrize("npc_id", ["", "a\x00b", "x" * 201, "\udcff"])
def test_what_can_be_no_id_is_wrong_use(npc_id: str) -> None:
    done = CliRunner().invoke(main, ["verify", npc_id])

    assert done.exit_code == 2
    assert "that is no NPC's id" in done.stderr
