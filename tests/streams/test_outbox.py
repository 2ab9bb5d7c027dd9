"""The order of the delivery barrier: send, acknowledged, changelog, acknowledged, store, ack."""

import asyncio
from typing import Any

import pytest

from streams.barrier import OrderedAcks
from streams.outbox import Outbox, Record
from tests.streams.fakes import Broker, FakeTable, FakeTopic, Group, Journal
from topics.dead_letter import parse_headers

COMMANDS, GROUPS, CHANGELOG = "commands", "groups", "groups-changelog"


class Stage:
    """One partition's worth of stand-ins that share a journal."""

    def __init__(self) -> None:
        self.group = Group()
        self.journal: Journal = self.group.journal
        self.broker = Broker(self.journal)
        self.commands: Any = FakeTopic(COMMANDS, self.broker)
        self.table: Any = FakeTable(GROUPS, self.broker)
        self.acks: OrderedAcks = self.group.acks()

    def outbox(self, *offsets: int) -> Outbox:
        """A batch in which each record leads to a command and a state."""
        outbox = Outbox(finished=self.group.take(self.acks, *offsets))
        for offset in offsets:
            outbox.records.append(Record(self.commands, b"npc-7", b"command %d" % offset))
            outbox.change(self.table, 3, b"npc-%d" % offset, b"state %d" % offset)
        return outbox

    def steps(self) -> list[tuple[Any, ...]]:
        """What happened, neighbours of a kind as one."""
        kinds = [
            entry[:1] if entry[0] == "ack" else entry[:2]
            for entry in self.journal
            if entry[0] != "handed over"
        ]
        return [kind for at, kind in enumerate(kinds) if kinds[at - 1 : at] != [kind]]


async def test_each_step_waits_for_the_one_before() -> None:
    stage = Stage()

    await stage.outbox(1, 2, 3).deliver(stage.acks)

    assert stage.steps() == [
        ("acknowledged", COMMANDS),
        ("acknowledged", CHANGELOG),
        ("stored", GROUPS),
        ("ack",),
    ]
    assert stage.group.acked() == [1, 2, 3]


async def test_no_state_is_handed_over_before_every_command_is_acknowledged() -> None:
    stage = Stage()

    await stage.outbox(1, 2).deliver(stage.acks)

    commands_are_out = max(
        at for at, entry in enumerate(stage.journal) if entry[:2] == ("acknowledged", COMMANDS)
    )
    assert all(entry[1] != CHANGELOG for entry in stage.journal[:commands_are_out])


@pytest.mark.parametrize(
    ("refused", "done"),
    [(COMMANDS, []), (CHANGELOG, [("acknowledged", COMMANDS)])],
)
async def test_a_failed_send_stores_and_acks_nothing(
    refused: str, done: list[tuple[Any, ...]]
) -> None:
    stage = Stage()
    stage.broker.refused.add(refused)

    with pytest.raises(ConnectionError):
        await stage.outbox(1, 2).deliver(stage.acks)

    assert [step for step in stage.steps() if step[0] != "refused"] == done
    assert (stage.table.data, stage.group.acked(), len(stage.acks)) == ({}, [], 2)


async def test_a_batch_over_which_a_rebalance_came_stores_and_acks_nothing() -> None:
    stage = Stage()
    outbox = stage.outbox(1, 2)

    delivery = asyncio.create_task(outbox.deliver(stage.acks))
    await asyncio.sleep(0)
    stage.group.generation += 1

    assert not await delivery
    assert [("acknowledged", COMMANDS)] == stage.steps()
    assert {} == stage.table.data


async def test_an_empty_outbox_still_acks_what_is_finished() -> None:
    stage = Stage()
    outbox = Outbox(finished=stage.group.take(stage.acks, 1))

    await outbox.deliver(stage.acks)

    assert stage.group.acked() == [1]


async def test_a_change_shows_at_once_in_the_batch_and_later_in_the_table() -> None:
    stage = Stage()
    stage.table.data[b"npc-7"] = b"old"
    outbox = Outbox()
    assert outbox.staged(stage.table, b"npc-7") == b"old"

    outbox.change(stage.table, 3, b"npc-7", b"new")

    assert outbox.staged(stage.table, b"npc-7") == b"new"
    assert stage.table.data[b"npc-7"] == b"old"
    await outbox.deliver(stage.acks)
    assert stage.table.data[b"npc-7"] == b"new"


async def test_the_last_change_of_a_key_counts_and_is_sent_once() -> None:
    stage = Stage()
    outbox = Outbox()
    for value in (b"1", b"2", b"3"):
        outbox.change(stage.table, 3, b"npc-7", value)

    await outbox.deliver(stage.acks)

    assert [entry for entry in stage.journal if entry[0] == "acknowledged"] == [
        ("acknowledged", CHANGELOG, b"3")
    ]
    assert stage.table.data == {b"npc-7": b"3"}


async def test_a_deletion_shows_in_the_batch_and_takes_the_key_away() -> None:
    stage = Stage()
    stage.table.data[b"npc-7"] = b"old"
    outbox = Outbox()

    outbox.change(stage.table, 3, b"npc-7", None)

    assert outbox.staged(stage.table, b"npc-7") is None
    await outbox.deliver(stage.acks)
    assert stage.table.data == {}


async def test_the_same_key_in_two_tables_is_two_changes() -> None:
    stage = Stage()
    other: Any = FakeTable("players", stage.broker)
    outbox = Outbox()
    outbox.change(stage.table, 3, b"1", b"a group")
    outbox.change(other, 3, b"1", b"a player")

    await outbox.deliver(stage.acks)

    assert (stage.table.data, other.data) == ({b"1": b"a group"}, {b"1": b"a player"})


async def test_a_dead_letter_keeps_the_bytes_and_tells_where_they_came_from() -> None:
    stage = Stage()
    letters: Any = FakeTopic("dead-letters", stage.broker)
    event = stage.group.event(41)
    event.message.value = b"\xff\x00 not JSON"
    outbox = Outbox(finished=[stage.acks.take(event)])

    outbox.dead_letter(letters, "filter", ValueError("not JSON"), event.message)
    await outbox.deliver(stage.acks)

    assert ("acknowledged", "dead-letters", b"\xff\x00 not JSON") in stage.journal
    told = parse_headers(letters.headers[0])
    assert (told.stage, told.error) == ("filter", "not JSON")
    assert (told.topic, told.partition, told.offset) == ("npc-snapshots", 3, 41)
    assert stage.group.acked() == [41]


async def test_a_dead_letter_longer_than_its_topic_takes_is_cut_and_says_so() -> None:
    stage = Stage()
    letters: Any = FakeTopic("dead-letters", stage.broker)
    event = stage.group.event(41)
    event.message.value = b"x" * (8 * 2**20)
    outbox = Outbox(finished=[stage.acks.take(event)])

    outbox.dead_letter(letters, "filter", ValueError("too large"), event.message)
    await outbox.deliver(stage.acks)

    [sent] = [entry[2] for entry in stage.journal if entry[0] == "acknowledged"]
    assert sent == b"x" * 2**20
    told = parse_headers(letters.headers[0])
    assert "too large" in told.error
    assert str(8 * 2**20 + len(event.message.key)) in told.error


async def test_the_keys_of_a_table_are_those_that_the_batch_leaves() -> None:
    stage = Stage()
    other: Any = FakeTable("players", stage.broker)
    for key in (b"kept", b"deleted"):
        stage.table.data[key] = b"1"
    outbox = Outbox()
    outbox.change(stage.table, 3, b"new", b"1")
    outbox.change(stage.table, 3, b"deleted", None)
    outbox.change(other, 3, b"elsewhere", b"1")

    assert outbox.keys(stage.table) == {b"kept", b"new"}
