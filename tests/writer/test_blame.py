"""Who changed what we wrote, told from a few hashes in the stamp."""

from hypothesis import given
from hypothesis import strategies as st

from streams.writer.blame import (
    FACTS_LIMIT,
    VERSIONS,
    changes,
    facts_found,
    facts_of,
    remembered,
    written_back,
)


def history(*values: dict[str, str]) -> tuple[dict[str, str], ...]:
    """What is remembered after these values were written one over the other."""
    before: tuple[dict[str, str], ...] = ()
    last = facts_of({})
    for found, written in zip(({}, *values), values, strict=False):
        before = remembered(before, last, facts_of(found), facts_of(written))
        last = facts_of(written)
    return before


def blamed(found: dict[str, str], *values: dict[str, str]) -> frozenset[str]:
    return written_back(changes(facts_of(found), facts_of(values[-1])), history(*values))


MARKET = {"place": "market", "doing": "idle"}
INN = {"place": "inn", "doing": "idle"}
WELL = {"place": "well", "doing": "drawing water"}


def test_the_value_before_the_last_is_a_write_back() -> None:
    assert blamed(MARKET, MARKET, INN) == {"place"}


def test_a_step_that_spans_several_writes_writes_the_value_before_all_of_them_back() -> None:
    assert blamed(MARKET, MARKET, INN, WELL, INN, WELL) == {"place", "doing"}


def test_the_block_before_our_first_write_may_be_written_back() -> None:
    assert blamed({}, MARKET) == {"place", "doing"}


def test_a_text_nobody_wrote_before_is_an_edit() -> None:
    assert blamed({**INN, "doing": "sulking"}, MARKET, INN) == frozenset()


def test_an_edit_in_the_step_that_writes_back_is_told_from_the_write_back() -> None:
    assert blamed({**MARKET, "doing": "sulking"}, MARKET, INN) == {"place"}


def test_half_of_an_earlier_value_is_an_edit() -> None:
    assert blamed({**WELL, "place": "market"}, MARKET, INN, WELL) == frozenset()


def test_what_we_wrote_last_is_nobodys_change() -> None:
    assert blamed(WELL, MARKET, WELL) == frozenset()


def test_a_value_older_than_those_remembered_is_an_edit() -> None:
    values = [{"place": f"room {n}"} for n in range(VERSIONS + 2)]

    assert blamed(values[0], *values) == frozenset()
    assert blamed(values[1], *values) == {"place"}


def test_a_repair_takes_no_earlier_value_out_of_memory() -> None:
    before = history(MARKET, INN, WELL)
    for _ in range(2 * VERSIONS):
        before = remembered(before, facts_of(WELL), facts_of(INN), facts_of(WELL))

    assert written_back(changes(facts_of(MARKET), facts_of(WELL)), before) == {"place", "doing"}


def test_what_was_edited_and_then_put_right_may_be_written_back_as_well() -> None:
    sulking = {**INN, "doing": "sulking"}
    before = history(MARKET, INN)

    before = remembered(before, facts_of(INN), facts_of(sulking), facts_of(INN))

    assert written_back(changes(facts_of(sulking), facts_of(INN)), before) == {"doing"}


def test_what_stood_there_before_an_edit_that_we_wrote_over_may_be_written_back() -> None:
    sulking = {**MARKET, "doing": "sulking"}
    before = history(MARKET)

    before = remembered(before, facts_of(MARKET), facts_of(sulking), facts_of(WELL))

    for found in (MARKET, sulking):
        changed = changes(facts_of(found), facts_of(WELL))
        assert written_back(changed, before) == {"place", "doing"}


def test_a_text_that_tells_nothing_of_ours_is_no_write_back_of_the_empty_block() -> None:
    before = remembered((), {}, facts_found({}, ""), facts_of(MARKET))

    def blamed_for(text: str) -> frozenset[str]:
        return written_back(changes(facts_found({}, text), facts_of(MARKET)), before)

    assert blamed_for("I stand at the well.") == frozenset()
    assert blamed_for(" ") >= {"place", "doing"}


Values = list[dict[str, str]]
names = st.sampled_from("abcde")
documents = st.dictionaries(names, st.sampled_from("xyz"))


@given(st.lists(documents, min_size=1, max_size=VERSIONS), st.data())
def test_every_value_remembered_is_recognised(
    values: list[dict[str, str]], data: st.DataObject
) -> None:
    found = data.draw(st.sampled_from([{}, *values[:-1]]))
    changed = changes(facts_of(found), facts_of(values[-1]))

    assert blamed(found, *values) == changed.keys()


@given(st.lists(documents, min_size=1, max_size=12))
def test_what_is_remembered_is_bounded(values: Values) -> None:
    crowds = [{f"{n}{k}": v for k, v in value.items() for n in range(40)} for value in values]

    before = history(*crowds)

    assert len(before) <= VERSIONS
    assert sum(map(len, before)) <= FACTS_LIMIT
