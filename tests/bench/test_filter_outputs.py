import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.bench.filter.outputs import differences, outputs_of, unrefreshed
from topics.models import Desired, Reason, Source, UpdateCommand

INTERVAL, CADENCE = 300.0, 3.0
"""Seconds; so an NPC may be without a command for 456."""


def command(npc: int = 1, offset: int = 0, reason: Reason = Reason.ACTION) -> UpdateCommand:
    return UpdateCommand(
        command_id=f"npc-{npc}.0.{offset}.aa",
        npc_id=f"npc-{npc}",
        reason=reason,
        observed_at=float(offset),
        issued_at=100.0,
        source=Source(topic="npc-snapshots", partition=0, offset=offset),
        desired=Desired(action=f"does {offset}"),
    )


commands = st.builds(
    command,
    npc=st.integers(1, 3),
    offset=st.integers(0, 5),
    reason=st.sampled_from([Reason.ACTION, Reason.MEMBERS, Reason.FIRST_SEEN]),
)


def found(theirs: list[UpdateCommand], ours: list[UpdateCommand]) -> list[str]:
    return list(differences(outputs_of(theirs), outputs_of(ours)))


@given(st.lists(commands))
def test_npcs_may_come_in_any_order(sent: list[UpdateCommand]) -> None:
    npc_by_npc = sorted(sent, key=lambda one: one.npc_id)

    assert [] == found(sent, npc_by_npc)


def test_commands_of_one_npc_may_not() -> None:
    first, second = command(1, 1), command(1, 2)

    [told] = found([first, second], [second, first])

    assert "npc-1: command 1 is npc-1.0.2.aa (action), not npc-1.0.1.aa (action)" == told


@given(st.lists(commands, min_size=1), st.data())
def test_repeats_are_the_same(sent: list[UpdateCommand], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(sent) - 1))
    again = [*sent, *sent[start:]]

    assert [] == found(sent, again)
    assert outputs_of(again).repeats >= len(sent) - start


@given(st.lists(commands, min_size=1, unique_by=lambda one: one.command_id), st.data())
def test_one_command_less_or_more_is_a_difference(
    sent: list[UpdateCommand], data: st.DataObject
) -> None:
    lost = data.draw(st.sampled_from(sent))
    others = [one for one in sent if one is not lost]

    missing, more = found(sent, others), found(others, sent)

    assert [1, 1] == [len(missing), len(more)]
    assert missing[0].startswith(f"{lost.npc_id}: ")


@pytest.mark.parametrize(
    "changed",
    [
        {"command_id": "npc-1.0.0.bb"},
        {"reason": Reason.MEMBERS},
        {"observed_at": 0.5},
        {"desired": Desired(action="sleeps")},
    ],
)
def test_what_an_update_says_has_to_be_the_same(changed: dict[str, object]) -> None:
    other = msgspec.structs.replace(command(), **changed)

    [told] = found([command()], [other])

    assert told.startswith("npc-1: command 1 is ")


def test_when_and_where_it_was_sent_may_differ() -> None:
    elsewhere = Source(topic="npc-snapshots", partition=7, offset=0)
    other = msgspec.structs.replace(command(), issued_at=999.0, source=elsewhere)

    assert [] == found([command()], [other])


def test_refreshes_and_samples_are_not_compared() -> None:
    refresh, sample = command(1, 3, Reason.FORCE_REFRESH), command(1, 4, Reason.VERIFY)

    outputs = outputs_of([command(), refresh, sample])

    assert (2, 1) == (outputs.commands, outputs.refreshes)
    assert [] == list(differences(outputs_of([command()]), outputs))


def test_a_refresh_may_wait_for_half_an_interval_and_no_longer() -> None:
    in_time = outputs_of([command(1, 0), command(1, 456, Reason.FORCE_REFRESH)])
    late = outputs_of([command(1, 0), command(1, 457, Reason.FORCE_REFRESH)])

    assert [] == list(unrefreshed(in_time, INTERVAL, CADENCE))
    assert ["npc-1: 457 s without a command, 456 s are allowed"] == list(
        unrefreshed(late, INTERVAL, CADENCE)
    )
