"""A small part of what `rollcall bench faults --only fuzz` does, and that it can find something."""

import pytest

from tests.fuzz.hostile import batch
from tests.fuzz.road import UNCAUGHT, fuzz
from topics.decode import DecodeError

RECORDS = 20_000
SEED = 20_261_124


def test_hostile_records_are_decided_or_refused_and_nothing_else() -> None:
    tally = fuzz(SEED, RECORDS)

    assert [] == tally.faults
    assert RECORDS == tally.records == tally.fates.total()


def test_every_fate_is_met_often() -> None:
    fates = fuzz(SEED, 10_000).fates

    rare = {fate for fate, count in fates.items() if count < 100}
    assert set() == rare
    expected = {"refused", "disabled", "outdated", "suppressed", "sent", "split", "known", "read"}
    assert expected == set(fates)


def test_a_batch_can_be_made_again() -> None:
    assert list(batch(SEED, 3, 500)) == list(batch(SEED, 3, 500))


def _as_it_is(text: str, limit: int) -> str:
    return text


def _only_first_names(*_: object) -> None:
    raise KeyError("Alice")


def _at_length(*_: object) -> None:
    raise DecodeError("x" * 1_000)


@pytest.mark.parametrize(
    ("where", "bug"),
    [
        ("topics.decode.clean", _as_it_is),
        ("topics.decode._point", _only_first_names),
        ("topics.decode._check_key", _at_length),
        ("streams.filter.core.continuing", lambda before, members, limit: members * 2),
    ],
)
def test_planted_bugs_are_found(where: str, bug: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(where, bug)

    tally = fuzz(SEED, 4_000)

    assert tally.faults
    assert len(tally.faults) == tally.fates[UNCAUGHT]
