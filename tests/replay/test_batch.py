"""What is not looked into because it tells the same again is decided as if it were."""

from collections.abc import Iterable
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from ops.replay.batch import Batch, Echoes
from ops.replay.dry_run import Decision, DryRun, Known
from ops.replay.stored import Stored
from streams.settings import Mode, Settings, Staleness
from topics.decode import decode_snapshot

NOON = 1_790_000_000.0
NPCS = ("npc-1", "npc-2")


def stored(offset: int, at: float, key: bytes | None, value: bytes | None) -> Stored:
    return Stored("npc-snapshots", 0, offset, int((NOON + at) * 1000), key, value)


def snapshot(offset: int, at: float, ahead: float = 0.0, **told: Any) -> Stored:
    key = told["npc_id"].encode() if told.pop("is_keyed", True) else None
    return stored(offset, at, key, orjson.dumps({**told, "observed_at": NOON + at + ahead}))


tellings = st.fixed_dictionaries(
    {
        "npc_id": st.sampled_from(NPCS),
        "cluster": st.sampled_from([["Ann"], ["npc-2"]]),
        "nearby_players": st.sampled_from([[], [{"id": "p1", "name": "Ann"}]]),
        "location": st.sampled_from(["inn", None]),
        "action": st.sampled_from(["idle", 'says "no"']),
        "is_keyed": st.sampled_from([True, True, True, False]),
    }
)
positions = st.sampled_from([[1.0, 2.0, 3.0], [900.0, 2.0, 3.0]])
aheads = st.sampled_from([0.0, 0.0, 0.0, 0.0, 0.5, -40.0, 3600.0])
damaged = st.sampled_from([b"{", b'{"npc_id": "npc-2"}', b'{"npc_id": "npc-1", "action": 7}', None])
gaps = st.sampled_from([0.0, 1.0, 1.0, 3.0, 3.0, 20.0, 300.0])


@st.composite
def stretches(draw: st.DrawFn) -> list[Stored]:
    """A few things are told again and again, as in games, now and then a damaged one."""
    things = draw(st.lists(tellings, min_size=1, max_size=2))
    at, found = 0.0, list[Stored]()
    for _ in range(draw(st.integers(0, 15))):
        at += draw(gaps)
        if draw(st.integers(0, 9)) == 9:
            found.append(stored(len(found), at, b"npc-1", draw(damaged)))
        else:
            told = draw(st.sampled_from(things)) | {"position": draw(positions)}
            found.append(snapshot(len(found), at, draw(aheads), **told))
    return found


settings = st.builds(
    Settings,
    mode=st.sampled_from([Mode.CACHED, Mode.CACHED, Mode.FILTERED, Mode.DIRECT]),
    staleness=st.sampled_from(list(Staleness)),
    settle_seconds=st.sampled_from([0.0, 4.0]),
    player_cache_ttl=st.sampled_from([60.0, 3600.0]),
)


def world() -> Known:
    """Two places, and an NPC that others may stand with."""
    known = Known()
    for topic, key, told in (
        ("locations", "inn", {"slug": "inn", "name": "Inn", "coordinates": [0, 0, 0]}),
        ("locations", "mill", {"slug": "mill", "name": "Mill", "coordinates": [900, 0, 0]}),
        ("npc-roster", "npc-2", {"npc_id": "npc-2", "name": "Otto"}),
    ):
        known.hear(Stored(topic, 0, 0, 0, key.encode(), orjson.dumps(told)))
    return known


def decided(records: Iterable[Stored], settings: Settings) -> list[Decision]:
    run = DryRun(settings, world())
    return [decision for record in records for decision in run.take(record)]


def decided_with_echoes(records: Iterable[Stored], settings: Settings) -> list[Decision]:
    run, echoes, found = DryRun(settings, world()), Echoes(), list[Decision]()
    for record in records:
        holds = run.holds(record, echoes.again(record))
        found += [run.held(record)] if holds else run.take(record)
    return found


@given(stretches(), settings)
def test_a_record_that_tells_the_same_again_is_decided_as_if_it_were_looked_into(
    records: list[Stored], settings: Settings
) -> None:
    assert decided(records, settings) == decided_with_echoes(records, settings)


def test_what_a_record_of_the_future_told_is_decided_when_it_is_told_in_time() -> None:
    def told(offset: int, action: str, ahead: float = 0.0) -> Stored:
        return snapshot(offset, offset / 2, ahead, npc_id="npc-1", location="inn", action=action)

    records = [told(0, "idle"), told(1, "idle"), told(2, "walking", 3600.0), told(3, "walking")]

    outcomes = [one.outcome for one in decided_with_echoes(records, Settings())]

    assert ["sent", "suppressed", "dead_letter", "sent"] == outcomes


def test_a_game_that_tells_the_same_is_hardly_looked_into() -> None:
    records = [
        snapshot(n, 3.0 * n, npc_id="npc-1", location="inn", position=[n, 0, 0]) for n in range(9)
    ]
    run, echoes = DryRun(Settings(), Known()), Echoes()

    held = [run.holds(one, echoes.again(one)) or not run.take(one) for one in records]

    # The others are looked into: the first, and one whenever a tick of five seconds is due.
    assert 4 == sum(held)


@given(stretches())
def test_what_tells_the_same_again_decodes_to_the_same_but_for_time_and_place(
    records: list[Stored],
) -> None:
    echoes, last = Echoes(), dict[bytes | None, Any]()
    for record in records:
        if at := echoes.again(record):
            told = decode_snapshot(record.key, record.value or b"", 0.0)
            before = last[record.key]
            assert (at, told.cluster, told.nearby_players, told.location, told.action) == (
                told.observed_at,
                before.cluster,
                before.nearby_players,
                before.location,
                before.action,
            )
            assert told.location or told.position == before.position
        elif record.value and record.value.endswith(b"}") and b"observed_at" in record.value:
            last[record.key] = decode_snapshot(record.key, record.value, 0.0)


@given(stretches())
def test_a_batch_holds_the_records_it_was_made_of(records: list[Stored]) -> None:
    batch = Batch.of(records, Echoes())

    assert records == list(batch.records())
    assert len(records) == len(batch.again)
