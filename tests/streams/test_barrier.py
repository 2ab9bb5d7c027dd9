"""Only a finished prefix of a partition is ever acked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.barrier import Ranges, delivered
from streams.faust_layer.producer import Outgoing
from tests.streams.fakes import Broker, FakeTopic, Group


def test_records_that_finish_in_order_are_acked_at_once() -> None:
    group = Group()
    acks = group.acks()
    for taken in group.take(acks, 10, 11):
        acks.finish(taken)

    assert group.acked() == [10, 11]
    assert len(acks) == 0


def test_a_record_waits_for_the_one_before_it() -> None:
    group = Group()
    acks = group.acks()
    first, second, third = group.take(acks, 10, 11, 12)

    acks.finish(second)
    acks.finish(third)
    assert group.acked() == []

    acks.finish(first)
    assert group.acked() == [10, 11, 12]


def test_offsets_may_have_gaps() -> None:
    group = Group()
    acks = group.acks()
    first, second = group.take(acks, 10, 17)

    acks.finish(second)
    acks.finish(first)

    assert group.acked() == [10, 17]


def test_partitions_do_not_wait_for_each_other() -> None:
    group = Group()
    acks = group.acks()
    group.take(acks, 10, partition=1)
    [other] = group.take(acks, 20, partition=2)

    acks.finish(other)

    assert (group.acked(1), group.acked(2)) == ([], [20])


def test_finishing_twice_is_harmless() -> None:
    group = Group()
    acks = group.acks()
    first, second = group.take(acks, 10, 11)

    for taken in (second, second, first, first, second):
        acks.finish(taken)

    assert group.acked() == [10, 11]


def test_a_record_of_an_older_generation_is_never_acked() -> None:
    group = Group()
    acks = group.acks()
    [old] = group.take(acks, 10)
    group.generation = 2

    acks.finish(old)

    assert group.acked() == []
    assert not acks.is_ours(old)


def test_records_of_an_older_generation_hold_up_nobody() -> None:
    group = Group()
    acks = group.acks()
    [old] = group.take(acks, 10)
    group.generation = 2
    again, new = group.take(acks, 10, 11)

    acks.finish(new)
    assert group.acked() == []
    acks.finish(again)
    acks.finish(old)

    assert group.acked() == [10, 11]


def test_a_record_that_was_still_on_its_way_when_the_group_changed_is_not_noted() -> None:
    group = Group(generation=2)
    acks = group.acks()

    late = acks.take(group.event(10, generation=1))
    acks.finish(late)

    assert (group.acked(), len(acks)) == ([], 0)


def test_what_an_older_generation_left_is_forgotten() -> None:
    group = Group()
    acks = group.acks()
    group.take(acks, *range(100))
    group.generation = 2
    group.take(acks, 100)

    assert len(acks) == 1


@given(st.data())
def test_in_any_finishing_order_what_is_acked_is_the_finished_prefix(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 12))
    order = data.draw(st.permutations(range(count)))
    group = Group()
    acks = group.acks()
    taken = group.take(acks, *range(count))
    finished: set[int] = set()

    for offset in order:
        acks.finish(taken[offset])

        finished.add(offset)
        prefix = next(at for at in range(count + 1) if at not in finished)
        assert group.acked() == list(range(prefix))
        assert len(acks) == count - prefix


STEPS = st.lists(
    st.tuples(st.just("take"), st.integers(0, 1))
    | st.tuples(st.just("finish"), st.integers(0, 30))
    | st.tuples(st.just("rebalance"), st.just(0)),
    max_size=60,
)


@given(STEPS)
def test_no_rebalance_makes_an_unfinished_record_acked(steps: list[tuple[str, int]]) -> None:
    """After a rebalance each partition comes again from its first record that is not acked."""
    group, everything = Group(), []
    acks = group.acks()
    following = {0: 0, 1: 0}
    finished: set[tuple[int, int]] = set()
    for what, number in steps:
        if what == "take":
            event = group.event(following[number], partition=number)
            following[number] += 1
            everything.append(acks.take(event))
        elif what == "finish" and number < len(everything):
            message = everything[number].event.message
            if acks.is_ours(everything[number]):
                finished.add((message.partition, message.offset))
            acks.finish(everything[number])
        elif what == "rebalance":
            group.generation += 1
            finished = {(p, o) for p, o in finished if o in group.acked(p)}
            following = {p: len(group.acked(p)) for p in following}

        for partition in following:
            acked = group.acked(partition)
            assert acked == list(range(len(acked)))
            assert {(partition, offset) for offset in acked} <= finished


@given(st.permutations(range(30)))
def test_ranges_hold_numbers_in_as_few_pieces_as_there_are_gaps(order: list[int]) -> None:
    ranges, held = Ranges(), set[int]()
    for number in order:
        ranges.add(number)
        held.add(number)
        assert len(ranges) == len(held)
        assert ranges.pieces == sum(one - 1 not in held for one in held)

    assert list(ranges.take_below(15)) == list(range(30))


def test_only_ranges_that_begin_below_the_limit_are_taken() -> None:
    ranges = Ranges()
    for number in (1, 2, 5, 9):
        ranges.add(number)

    assert list(ranges.take_below(6)) == [1, 2, 5]
    assert (len(ranges), ranges.pieces) == (1, 1)


async def test_delivered_waits_for_the_acknowledgements() -> None:
    broker = Broker([])
    topic = FakeTopic("commands", broker)

    await delivered(topic.send_many([Outgoing(b"k", b"%d" % number)]) for number in range(3))

    assert [entry[0] for entry in broker.journal] == ["handed over"] * 3 + ["acknowledged"] * 3


async def test_delivered_raises_what_a_send_failed_with() -> None:
    topic = FakeTopic("commands", Broker([], refused={"commands"}))

    with pytest.raises(ConnectionError, match="the broker is away"):
        await delivered([topic.send_many([Outgoing(b"k", b"1")])])
