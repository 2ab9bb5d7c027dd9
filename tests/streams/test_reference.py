"""Roster and locations as a worker hears them; what cannot be read is stepped over."""

import json

import pytest

from streams.broadcast import Entry
from streams.partitioned_key import partitioned_key, split_key
from streams.reference import LocationTable, RosterTable, skip_unreadable
from topics.decode import DecodeError


def entry(key: str | bytes | None, value: object) -> Entry:
    return Entry(
        "t",
        key.encode() if isinstance(key, str) else key,
        value if value is None or isinstance(value, bytes) else json.dumps(value).encode(),
        1.0,
    )


GRETA = {"npc_id": "npc-1", "name": "Greta"}
INN = {"slug": "inn", "name": "The Inn", "coordinates": [1, 2, 3]}


class Heard:
    """A roster table and whom it told of."""

    def __init__(self) -> None:
        self.changed: list[str] = []
        self.table = RosterTable(self.changed.append)


def test_an_npc_comes_changes_and_goes() -> None:
    heard = Heard()

    heard.table.apply(entry("npc-1", GRETA))
    heard.table.apply(entry("npc-1", {**GRETA, "description": "a baker"}))
    assert heard.table.roster.by_name("greta")
    heard.table.apply(entry("npc-1", None))

    assert heard.changed == ["npc-1"] * 3
    assert len(heard.table.roster) == 0


def test_an_npc_told_again_unchanged_is_no_news() -> None:
    heard = Heard()
    for _ in range(3):
        heard.table.apply(entry("npc-1", GRETA))

    assert heard.changed == ["npc-1"]


def test_an_npc_without_a_key_is_news_as_well() -> None:
    heard = Heard()

    heard.table.apply(entry(None, GRETA))

    assert heard.changed == ["npc-1"]


def test_deleting_somebody_unknown_is_no_news() -> None:
    heard = Heard()

    heard.table.apply(entry("npc-9", None))

    assert heard.changed == []


def test_a_place_comes_changes_and_goes() -> None:
    table = LocationTable()

    table.apply(entry("inn", INN))
    table.apply(entry("inn", {**INN, "name": "The Old Inn"}))
    assert ["The Old Inn"] == [one.name for one in table.places]
    table.apply(entry("inn", None))

    assert [] == list(table.places)


@pytest.mark.parametrize(
    "bad", [b"", b"{nope", b"null", b"\xff", {"npc_id": "npc-2", "name": "Not The Key"}, {}]
)
def test_what_cannot_be_read_is_stepped_over_and_the_rest_is_kept(bad: object) -> None:
    heard = Heard()
    hear = skip_unreadable(heard.table.apply)
    hear(entry("npc-1", GRETA))

    hear(entry("npc-1", bad))
    hear(entry("npc-3", {"npc_id": "npc-3", "name": "Otto"}))

    assert [npc.name for npc in heard.table.roster] == ["Greta", "Otto"]


def test_a_fault_of_our_own_is_not_stepped_over() -> None:
    def broken(_: Entry) -> None:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        skip_unreadable(broken)(entry("npc-1", GRETA))


def test_a_bad_record_is_refused_without_the_net() -> None:
    with pytest.raises(DecodeError, match="npc_id"):
        Heard().table.apply(entry("npc-1", {"name": "Greta"}))


@pytest.mark.parametrize("key", [b"\xff\xfe", b"", b"x" * 10_000])
def test_no_key_makes_a_deletion_fail(key: bytes) -> None:
    Heard().table.apply(entry(key, None))
    LocationTable().apply(entry(key, None))


@pytest.mark.parametrize("identity", ["1001", "a/b", "/", "ä"])
def test_a_key_carries_its_partition(identity: str) -> None:
    assert split_key(partitioned_key(7, identity)) == (7, identity)


@pytest.mark.parametrize("key", [b"", b"1001", b"x/1001", b"\xff/1"])
def test_a_key_without_a_partition_is_refused(key: bytes) -> None:
    with pytest.raises(ValueError, match=r"partition|invalid"):
        split_key(key)
