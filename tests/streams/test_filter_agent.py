"""The filter's agent without a broker: batches in, commands, states and acks out."""

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from streams.filter import agent as module
from streams.filter import surveyor
from streams.filter.agent import Expire, FilterAgent, LookAround, ProfilesChanged, Sample
from streams.filter.groups import groups_for
from streams.filter.state import GroupState, load
from streams.home import home_of
from streams.topology import Role
from tests.streams.fakes import in_a_batch
from tests.streams.stage import NOON, TRACEPARENT, Stage, entry
from topics.catalogue import (
    DEAD_LETTERS,
    NPC_ROSTER,
    NPC_SNAPSHOTS,
    NPC_UPDATE_COMMANDS,
    NPC_VERIFY_REQUESTS,
    PLAYER_PROFILES,
)

NPC, ALICE = "npc-7", {"id": "1001", "name": "Alice"}
PROFILE = {"player_id": "1001", "name": "Alice", "description": "tall"}


class Filtering(Stage):
    """The filter's stage; `owned` partitions, and whether the group has settled."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
        super().__init__(Role.FILTER, FilterAgent, folder, **settings)
        self.groups = self.agent._table_of_groups = self.table("groups")
        self.agent._groups = groups_for(self.agent._settings.mode, cast("Any", self.groups))
        self.agent._surveyor._groups = self.agent._groups
        self.players = self.agent._sightings = self.table("players")
        self.seen = self.agent._seen = self.table("seen")
        self.owned, self.is_settled = set(range(8)), True
        monkeypatch.setattr(module, "owns", lambda _app, _table, number: number in self.owned)
        monkeypatch.setattr(module, "is_settled", lambda _app: self.is_settled)

    def snapshot(
        self, at: float = 0, *, npc_id: str = NPC, key: str | None = NPC, **more: Any
    ) -> Any:
        where = {
            name: more.pop(name)
            for name in ("partition", "generation", "timestamp")
            if name in more
        }
        value = {"npc_id": npc_id, "observed_at": NOON + at, "nearby_players": [ALICE], **more}
        return self.event(NPC_SNAPSHOTS, key, value, **where)

    def request(self, npc_id: str = NPC, value: object = None, **where: Any) -> Any:
        """Somebody asks to have an NPC verified."""
        wish = {"npc_id": npc_id, "requested_at": NOON}
        return self.event(NPC_VERIFY_REQUESTS, npc_id, wish if value is None else value, **where)

    def state(self, npc_id: str = NPC) -> GroupState | None:
        return load(self.groups.data.get(npc_id.encode()))

    async def flush(self, *events: Any) -> None:
        """Records and ticks, as they came, in one batch."""
        ticks = (ProfilesChanged, Expire, LookAround, Sample)
        await self.agent._flush(
            [
                one if isinstance(one, ticks) else self.agent._acks.take(in_a_batch(one))
                for one in events
            ]
        )

    def hear(self, name: str, key: str, value: object, at: float = NOON) -> None:
        self.agent._hear(entry(name, key, value, at))

    def tick(self) -> ProfilesChanged:
        """What the next tick would tell."""
        ids = frozenset(self.agent._changed)
        self.agent._changed.clear()
        return ProfilesChanged(ids)

    @property
    def commands(self) -> list[dict[str, Any]]:
        return self.sent_json(NPC_UPDATE_COMMANDS)

    @property
    def reasons(self) -> list[str]:
        return [command["reason"] for command in self.commands]


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Filtering:
    return Filtering(tmp_path, monkeypatch)


async def test_a_snapshot_becomes_a_command_a_state_and_an_ack(stage: Filtering) -> None:
    await stage.flush(stage.snapshot())

    [command] = stage.commands
    assert (command["npc_id"], command["reason"]) == (NPC, "first_seen")
    assert command["source"] == {"topic": "t-npc-snapshots", "partition": 3, "offset": 0}
    state = load(stage.groups.data[b"npc-7"])
    assert state
    assert state.source.offset == 0
    assert list(stage.players.data) == [b"3/1001"]
    assert stage.acked == [0]
    assert stage.count("snapshots_total", outcome="sent") == 1
    assert stage.count("decisions_total", reason="first_seen") == 1


async def test_a_batch_decides_each_record_on_what_the_one_before_left(stage: Filtering) -> None:
    await stage.flush(
        stage.snapshot(0),
        stage.snapshot(3),
        stage.snapshot(6, action="waving"),
        stage.snapshot(9, action="waving"),
    )

    assert stage.reasons == ["first_seen", "action"]
    assert stage.acked == [0, 1, 2, 3]
    state = load(stage.groups.data[b"npc-7"])
    assert state
    assert (state.desired.action, state.source.offset) == ("waving", 2)


async def test_a_second_batch_goes_on_from_the_table(stage: Filtering) -> None:
    await stage.flush(stage.snapshot(0))
    await stage.flush(stage.snapshot(3), stage.snapshot(6, nearby_players=[]))

    assert stage.reasons == ["first_seen", "members"]
    assert stage.count("cache_requests_total", cache="groups", result="hit") == 1
    assert stage.count("cache_requests_total", cache="groups", result="miss") == 2


BAD = {
    "no JSON": b"{nope",
    "no UTF-8": b"\xff\xfe",
    "another id than its key": {"npc_id": "npc-8"},
    "no id": {"cluster": []},
    "a time far ahead": {"npc_id": NPC, "observed_at": NOON + 301},
}


@pytest.mark.parametrize("kind", BAD)
async def test_a_bad_record_is_a_dead_letter_and_its_neighbours_are_unharmed(
    stage: Filtering, kind: str
) -> None:
    bad = stage.event(NPC_SNAPSHOTS, NPC, BAD[kind])

    await stage.flush(stage.snapshot(0), bad, stage.snapshot(3, action="waving"))

    [(value, told)] = stage.dead_letters
    assert value == bad.message.value
    assert (told.stage, told.topic, told.offset) == ("filter", "t-npc-snapshots", 0)
    assert stage.reasons == ["first_seen", "action"]
    assert sorted(stage.acked) == [0, 1, 2]
    assert stage.count("dead_letters_total", stage="filter") == 1
    assert stage.count("errors_total", stage="filter") == 1
    assert stage.count("snapshots_total", outcome="dead_letter") == 1


async def test_an_observation_a_little_ahead_of_its_record_is_taken(stage: Filtering) -> None:
    await stage.flush(stage.snapshot(300))

    assert stage.reasons == ["first_seen"]


async def test_a_deletion_on_the_snapshot_topic_is_nothing(stage: Filtering) -> None:
    await stage.flush(stage.event(NPC_SNAPSHOTS, NPC, None))

    assert (stage.commands, stage.dead_letters, stage.acked) == ([], [], [0])


async def test_what_was_decided_on_a_state_that_was_not_stored_is_forgotten(
    stage: Filtering,
) -> None:
    flush = asyncio.create_task(stage.flush(stage.snapshot(0)))
    await asyncio.sleep(0)

    stage.app.consumer_generation_id += 1
    await flush

    assert (None, []) == (stage.state(), list(stage.agent._core.everybody()))


async def test_a_record_of_an_older_generation_is_left_to_whom_it_belongs_to(
    stage: Filtering,
) -> None:
    await stage.flush(stage.snapshot(generation=0))

    assert (stage.commands, stage.acked, stage.groups.data) == ([], [], {})


@pytest.mark.parametrize("refused", [NPC_UPDATE_COMMANDS, "groups-changelog", DEAD_LETTERS])
async def test_a_failed_send_leaves_everything_to_the_next_start(
    stage: Filtering, refused: str
) -> None:
    stage.broker.refused.add(refused)

    with pytest.raises(ConnectionError):
        await stage.flush(stage.snapshot(0), stage.event(NPC_SNAPSHOTS, NPC, b"{nope"))

    assert (stage.acked, stage.groups.data, stage.players.data) == ([], {}, {})


async def test_a_profile_is_one_update_of_each_npc_that_stands_with_the_player(
    stage: Filtering,
) -> None:
    await stage.flush(
        stage.snapshot(npc_id="npc-1", key="npc-1"),
        stage.snapshot(npc_id="npc-2", key="npc-2", nearby_players=[], cluster=["Alice"]),
        stage.snapshot(npc_id="npc-3", key="npc-3", nearby_players=[]),
    )
    stage.hear(PLAYER_PROFILES, "1001", PROFILE)

    await stage.flush(stage.tick())
    await stage.flush(stage.tick())

    told = [(c["npc_id"], c["reason"]) for c in stage.commands[3:]]
    assert told == [("npc-1", "profile"), ("npc-2", "profile")]
    for command in stage.commands[3:]:
        assert command["desired"]["members"] == [
            {"id": "1001", "name": "Alice", "appearance": "tall"}
        ]


async def test_a_tick_in_the_batch_of_the_snapshot_sees_it(stage: Filtering) -> None:
    await stage.flush(stage.snapshot())
    stage.hear(PLAYER_PROFILES, "1001", PROFILE)

    await stage.flush(stage.snapshot(3, action="waving"), stage.tick())

    assert stage.reasons == ["first_seen", "action"]
    assert stage.commands[1]["desired"]["members"][0]["appearance"] == "tall"


async def test_an_update_for_a_profile_is_no_snapshot(stage: Filtering) -> None:
    await stage.flush(stage.snapshot())
    stage.hear(PLAYER_PROFILES, "1001", PROFILE)

    await stage.flush(stage.tick())

    assert stage.count("snapshots_total", outcome="sent") == 1
    assert stage.count("decisions_total", reason="profile") == 1


async def test_a_profile_is_no_business_of_a_partition_of_somebody_else(stage: Filtering) -> None:
    await stage.flush(stage.snapshot(partition=3))
    stage.hear(PLAYER_PROFILES, "1001", PROFILE)
    stage.owned = {4}

    await stage.flush(stage.tick())

    assert stage.reasons == ["first_seen"]


async def test_a_profile_waits_while_tables_recover(stage: Filtering) -> None:
    await stage.flush(stage.snapshot())
    stage.hear(PLAYER_PROFILES, "1001", PROFILE)
    stage.is_settled = False

    await stage.flush(stage.tick())
    assert stage.reasons == ["first_seen"]

    stage.is_settled = True
    await stage.flush(stage.tick())
    assert stage.reasons == ["first_seen", "profile"]


async def test_a_new_description_on_the_roster_reaches_who_stands_with_the_npc(
    stage: Filtering,
) -> None:
    greta = {"npc_id": "npc-1", "name": "Greta"}
    stage.hear(NPC_ROSTER, "npc-1", greta)
    await stage.flush(stage.snapshot(nearby_players=[], cluster=["Greta"]))

    stage.hear(NPC_ROSTER, "npc-1", {**greta, "description": "a baker"})
    await stage.flush(stage.tick())

    assert stage.reasons == ["first_seen", "profile"]
    assert stage.commands[1]["desired"]["members"][0]["appearance"] == "a baker"


async def test_a_state_that_cannot_be_read_makes_the_next_snapshot_the_first(
    stage: Filtering,
) -> None:
    stage.groups.data[b"npc-7"] = b"{broken"

    await stage.flush(ProfilesChanged(frozenset({"1001"})), stage.snapshot())

    assert stage.reasons == ["first_seen"]


async def test_a_player_nobody_sees_any_more_leaves_cache_and_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Filtering(tmp_path, monkeypatch, player_cache_ttl=60)
    await stage.flush(
        stage.snapshot(0), stage.snapshot(0, npc_id="npc-1", key="npc-1", partition=5)
    )
    assert sorted(stage.players.data) == [b"3/1001"]

    await stage.flush(stage.snapshot(100, nearby_players=[]), Expire())

    assert stage.players.data == {}
    assert stage.sent("players-changelog")[-1] is None
    assert stage.count("table_entries", table="players") == 0


async def test_a_player_seen_and_forgotten_in_one_batch_leaves_the_table_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Filtering(tmp_path, monkeypatch, player_cache_ttl=60)

    await stage.flush(stage.snapshot(0), stage.snapshot(100, nearby_players=[]), Expire())

    assert stage.players.data == {}
    assert len(stage.agent._players) == 0


async def test_a_player_deleted_by_the_game_leaves_the_table_as_well(stage: Filtering) -> None:
    stage.hear(PLAYER_PROFILES, "1001", PROFILE)
    await stage.flush(stage.snapshot(0))
    stage.hear(PLAYER_PROFILES, "1001", None)

    await stage.flush(Expire())

    assert stage.players.data == {}


async def test_who_is_still_remembered_stays_in_the_table(stage: Filtering) -> None:
    await stage.flush(stage.snapshot(0))

    await stage.flush(Expire())

    assert list(stage.players.data) == [b"3/1001"]
    assert None not in stage.sent("players-changelog")


async def test_sightings_of_a_partition_of_somebody_else_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Filtering(tmp_path, monkeypatch, player_cache_ttl=60)
    await stage.flush(stage.snapshot(0))
    stage.owned = {4}

    await stage.flush(stage.snapshot(100, nearby_players=[], partition=4), Expire())

    assert list(stage.players.data) == [b"3/1001"]


async def test_sightings_are_remembered_over_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Filtering(tmp_path, monkeypatch)
    await before.flush(before.snapshot(0))
    after = Filtering(tmp_path, monkeypatch)
    after.players.data.update({**before.players.data, b"no partition": b"{}", b"3/2": b"{broken"})

    await after.agent._restore_players()
    await after.flush(after.snapshot(3, nearby_players=[], cluster=["Alice"]))

    assert after.commands[0]["desired"]["members"][0]["id"] == "1001"


@pytest.mark.parametrize(("profile_at", "expected"), [(NOON - 1, "Alice"), (NOON + 1, "Alicia")])
async def test_of_a_stored_name_and_one_of_the_profile_the_newer_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, profile_at: float, expected: str
) -> None:
    before = Filtering(tmp_path, monkeypatch)
    await before.flush(before.snapshot(0))
    after = Filtering(tmp_path, monkeypatch)
    after.players.data.update(before.players.data)
    profile = {"player_id": "1001", "name": "Alicia", "description": "A hat"}
    after.agent._hear(entry("player-profiles", "1001", profile, at=profile_at))

    await after.agent._restore_players()

    assert after.agent._players.get("1001").name == expected


async def test_what_a_restart_has_not_stored_is_forgotten_when_partitions_move(
    stage: Filtering,
) -> None:
    await stage.flush(stage.snapshot(0), stage.snapshot(10))
    assert len(stage.agent._core._standing) == 1

    await stage.app.on_partitions_revoked.send({})

    assert len(stage.agent._core._standing) == 0


async def test_the_sizes_of_the_tables_are_told(stage: Filtering) -> None:
    stage.hear(NPC_ROSTER, "npc-1", {"npc_id": "npc-1", "name": "Greta"})

    await stage.flush(stage.snapshot(0), stage.snapshot(0, npc_id="npc-2", key="npc-2"))

    sizes = {name: stage.count("table_entries", table=name) for name in ("groups", "players")}
    assert sizes == {"groups": 2, "players": 1}
    assert stage.count("table_entries", table="roster") == 1


@pytest.mark.parametrize("mode", ["filtered", "direct"])
async def test_only_the_cached_mode_stores_states(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    stage = Filtering(tmp_path, monkeypatch, mode=mode)

    await stage.flush(stage.snapshot(0), stage.snapshot(3, action="waving"))

    assert (["first_seen", "action"], {}) == (stage.reasons, stage.groups.data)


async def test_the_filtered_mode_forgets_its_groups_when_partitions_move(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Filtering(tmp_path, monkeypatch, mode="filtered")
    await stage.flush(stage.snapshot(0))
    stage.agent._groups.forget()

    await stage.flush(stage.snapshot(3))

    assert ["first_seen", "first_seen"] == stage.reasons


# ---------------------------------------------------------------- what was seen is written down


async def restarted(stage: Filtering) -> None:
    """Another worker takes the partitions over: the Tables are what it knows."""
    stage.agent._core.forget_unsaved()
    await stage.agent._recall_sighted()


async def held_for_long(stage: Filtering) -> None:
    """The NPC does the same for two minutes."""
    for at in range(0, 121, 3):
        await stage.flush(stage.snapshot(at, timestamp=NOON + at))


async def test_an_npc_that_does_the_same_costs_no_state_and_no_command_after_a_restart(
    stage: Filtering,
) -> None:
    await held_for_long(stage)
    await restarted(stage)

    await stage.flush(stage.snapshot(124, timestamp=NOON + 124))

    assert ["first_seen"] == stage.reasons
    assert 1 == len(stage.sent("groups-changelog"))
    assert [b"3/0"] == list(stage.seen.data)


async def test_without_what_was_written_down_it_is_stale_once(stage: Filtering) -> None:
    await held_for_long(stage)
    stage.seen.data[b"3/0"] = b"junk"
    with capture_logs() as logs:
        await restarted(stage)

    await stage.flush(stage.snapshot(124, timestamp=NOON + 124))
    await stage.flush(stage.snapshot(127, timestamp=NOON + 127))

    assert ["first_seen", "stale"] == stage.reasons
    assert [("checkpoint_not_read", 3)] == [(one["event"], one["partition"]) for one in logs]


async def test_a_key_that_is_none_of_ours_hides_no_other(stage: Filtering) -> None:
    await held_for_long(stage)
    stage.seen.data = {b"junk": b"", **stage.seen.data}

    await restarted(stage)

    assert [NPC.encode()] == list(stage.agent._core.everybody())


async def test_while_nobody_reports_nothing_is_written_down(
    stage: Filtering, monkeypatch: pytest.MonkeyPatch
) -> None:
    await held_for_long(stage)
    written = len(stage.sent("seen-changelog"))
    monkeypatch.setattr(module, "monotonic", lambda: float("inf"))

    await stage.flush(LookAround())

    assert written == len(stage.sent("seen-changelog"))


async def test_one_record_from_the_future_does_not_end_the_writing_down(
    stage: Filtering, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = iter(range(0, 3000, 3))
    monkeypatch.setattr(module, "monotonic", lambda: float(next(ours)))
    await stage.flush(stage.snapshot(300, npc_id="npc-1", key="npc-1", timestamp=NOON))

    await held_for_long(stage)
    await restarted(stage)
    await stage.flush(stage.snapshot(124, timestamp=NOON + 124))

    assert ["first_seen", "first_seen"] == stage.reasons


async def test_nothing_is_written_down_of_partitions_that_are_anothers(stage: Filtering) -> None:
    await stage.flush(stage.snapshot(0))
    stage.owned.discard(3)

    await held_for_long(stage)

    assert {} == stage.seen.data


async def test_what_is_known_of_anothers_partitions_is_not_recalled(stage: Filtering) -> None:
    await held_for_long(stage)
    stage.owned.discard(3)
    await restarted(stage)

    assert [] == list(stage.agent._core.everybody())


@pytest.mark.parametrize("mode", ["filtered", "direct"])
async def test_without_a_table_nothing_is_written_down(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Filtering(tmp_path, monkeypatch, mode=mode)

    await held_for_long(stage)

    assert {} == stage.seen.data


# ---------------------------------------------------------------- the survey


def damage(stage: Filtering, npc_id: str = NPC) -> None:
    """A flipped bit in the middle of a state."""
    value = bytearray(stage.groups.data[npc_id.encode()])
    value[len(value) // 2] ^= 1
    stage.groups.data[npc_id.encode()] = bytes(value)


def others(stage: Filtering) -> list[Any]:
    """The game goes on elsewhere."""
    return [stage.snapshot(at, npc_id="npc-2", key="npc-2", timestamp=NOON + at) for at in (0, 200)]


async def fall_silent(stage: Filtering) -> None:
    """Nobody reports on the NPC for 200 s, and it is noticed."""
    await stage.flush(stage.snapshot(0), *others(stage))
    await stage.flush(LookAround())


async def test_a_damaged_state_is_dropped_and_rebuilt_from_the_next_snapshot(
    stage: Filtering,
) -> None:
    home = home_of(NPC)
    await stage.flush(stage.snapshot(partition=home))
    damage(stage)

    await stage.flush(LookAround())
    assert {} == stage.groups.data
    assert stage.sent("groups-changelog")[-1] is None
    assert stage.count("states_dropped_total") == 1

    await stage.flush(stage.snapshot(3, partition=home))
    assert ["first_seen", "first_seen"] == stage.reasons
    assert stage.state()


async def test_a_dropped_state_is_rebuilt_though_the_next_record_tells_the_same(
    stage: Filtering,
) -> None:
    home = home_of(NPC)
    await stage.flush(stage.snapshot(0, partition=home), stage.snapshot(3, partition=home))
    damage(stage)
    await stage.flush(LookAround())

    await stage.flush(stage.snapshot(6, partition=home))

    assert ["first_seen", "first_seen"] == stage.reasons


async def test_a_snapshot_that_meets_a_damaged_state_tells_of_it(stage: Filtering) -> None:
    await stage.flush(stage.snapshot())
    damage(stage)

    await stage.flush(stage.snapshot(3))

    assert ["first_seen", "first_seen"] == stage.reasons
    assert stage.count("states_dropped_total") == 1
    assert stage.state()


async def test_a_damaged_state_of_a_disabled_npc_is_dropped_once(stage: Filtering) -> None:
    stage.groups.data[NPC.encode()] = b"{broken"
    stage.hear(NPC_ROSTER, NPC, {"npc_id": NPC, "name": "Otto", "enabled": False})

    await stage.flush(stage.snapshot(0), stage.snapshot(3))

    assert {} == stage.groups.data
    assert stage.count("states_dropped_total") == 1


async def test_a_damaged_state_of_somebody_elses_partition_is_left_alone(stage: Filtering) -> None:
    stage.groups.data[NPC.encode()] = b"{broken"
    stage.owned = set(range(8)) - {home_of(NPC)}

    await stage.flush(LookAround(), Sample(), ProfilesChanged(frozenset({"1001"})))

    assert {NPC.encode(): b"{broken"} == stage.groups.data
    assert stage.count("states_dropped_total") == 0


async def test_an_npc_nobody_reports_on_is_marked_once(stage: Filtering) -> None:
    await stage.flush(
        stage.snapshot(0), stage.event(NPC_SNAPSHOTS, "npc-2", {"npc_id": "npc-2"}, timestamp=NOON)
    )
    later = stage.event(NPC_SNAPSHOTS, "npc-2", {"npc_id": "npc-2"}, timestamp=NOON + 121)

    with capture_logs() as logs:
        await stage.flush(later, LookAround(), LookAround(), LookAround())

    assert [("npc_silent", NPC, 121)] == [(x["event"], x["npc_id"], x["seconds"]) for x in logs]
    state, other = stage.state(), stage.state("npc-2")
    assert state
    assert (state.silent, state.last_updated) == (True, NOON)
    assert other
    assert not other.silent
    assert stage.count("silent_npcs") == 1
    assert [NPC, "npc-2", "npc-2"] == [command["npc_id"] for command in stage.commands]


SILENT: dict[str, dict[str, Any]] = {
    "cached": {},
    "seed": {"staleness": "seed"},
    "a threshold beyond silence": {"stale_data_threshold": 1000.0},
    "filtered": {"mode": "filtered"},
    "direct": {"mode": "direct"},
}


@pytest.mark.parametrize("policy", SILENT)
async def test_a_snapshot_takes_the_mark_off_under_every_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    stage = Filtering(tmp_path, monkeypatch, **SILENT[policy])
    await fall_silent(stage)
    assert stage.count("silent_npcs") == 1

    with capture_logs() as logs:
        await stage.flush(stage.snapshot(201, timestamp=NOON + 201), LookAround())

    assert [("npc_returned", NPC, 201)] == [(x["event"], x["npc_id"], x["seconds"]) for x in logs]
    assert stage.count("silent_npcs") == 0


async def test_a_profile_is_no_return(stage: Filtering) -> None:
    await fall_silent(stage)
    stage.hear(PLAYER_PROFILES, "1001", PROFILE)

    await stage.flush(stage.tick())

    state = stage.state()
    assert state
    assert state.silent


async def test_a_clock_ahead_of_its_record_silences_nobody(stage: Filtering) -> None:
    ahead = stage.snapshot(290, npc_id="npc-2", key="npc-2")

    await stage.flush(stage.snapshot(0), ahead)
    await stage.flush(LookAround())

    assert stage.count("silent_npcs") == 0


async def test_a_disabled_npc_is_not_called_silent(stage: Filtering) -> None:
    await stage.flush(stage.snapshot(0), *others(stage))
    stage.hear(NPC_ROSTER, NPC, {"npc_id": NPC, "name": "Otto", "enabled": False})

    await stage.flush(LookAround())

    assert stage.count("silent_npcs") == 0


async def test_who_is_silent_is_forgotten_when_partitions_move(stage: Filtering) -> None:
    await fall_silent(stage)
    stage.owned = {4}

    await stage.app.on_partitions_revoked.send({})
    await stage.flush(LookAround())

    assert stage.count("silent_npcs") == 0


async def test_a_sample_is_verified_in_turn_and_changes_no_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Filtering(tmp_path, monkeypatch, verify_sample=2)
    names = [f"npc-{number}" for number in range(3)]
    await stage.flush(
        *(stage.snapshot(npc_id=name, key=name) for name in names),
        *(stage.snapshot(10, npc_id=name, key=name, timestamp=NOON + 10) for name in names),
        stage.event(NPC_SNAPSHOTS, "npc-9", {"npc_id": "npc-9"}, timestamp=NOON + 90),
    )
    before = dict(stage.groups.data)

    await stage.flush(Sample(), Sample())
    await stage.flush(Sample())

    told = [c for c in stage.commands if c["reason"] == "verify"]
    assert [*names, *names[:2]] == [command["npc_id"] for command in told]
    first = {c["npc_id"]: c for c in stage.commands if c["reason"] == "first_seen"}["npc-0"]
    same = ("source", "desired", "command_id")
    assert [first[name] for name in same] == [told[0][name] for name in same]
    assert told[0]["observed_at"] == NOON + 10
    assert before == stage.groups.data
    assert stage.count("decisions_total", reason="verify") == 5


async def test_who_was_pushed_just_now_is_in_no_sample(stage: Filtering) -> None:
    await stage.flush(stage.snapshot(0), stage.snapshot(30, timestamp=NOON + 30))
    await stage.flush(Sample())

    assert ["first_seen"] == stage.reasons


async def test_the_survey_waits_while_tables_recover(stage: Filtering) -> None:
    later = stage.snapshot(200, npc_id="npc-2", key="npc-2", timestamp=NOON + 200)
    await stage.flush(stage.snapshot(0), stage.snapshot(1, npc_id="npc-2", key="npc-2"), later)
    stage.is_settled = False

    await stage.flush(LookAround(), Sample())

    assert "verify" not in stage.reasons
    assert stage.count("silent_npcs") == 0


async def test_a_survey_of_many_goes_in_slices(
    stage: Filtering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surveyor, "SLICE", 2)
    for number in range(5):
        stage.groups.data[f"npc-{number}".encode()] = b"{broken"

    left = []
    for _ in range(3):
        await stage.flush(LookAround())
        left.append(len(stage.groups.data))

    assert [3, 1, 0] == left


@pytest.mark.parametrize(
    "settings", [{"mode": "filtered"}, {"mode": "direct"}, {"verify_sample": 0}]
)
def test_the_sample_can_be_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    assert [] == Filtering(tmp_path, monkeypatch, **settings).agent._sampling()


async def test_the_survey_gives_way_to_snapshots_that_wait(stage: Filtering) -> None:
    flusher = stage.agent._flusher
    for _ in range(module.BATCH + 1):
        await flusher.put(Expire())

    await stage.agent._tell_survey()
    await stage.agent._tell_sample()

    assert flusher._queue.qsize() == module.BATCH + 1


async def test_the_flusher_counts_the_records_of_a_batch_and_ticks_as_one(
    stage: Filtering,
) -> None:
    flusher = stage.agent._flusher
    three = in_a_batch(*(stage.snapshot(3 * number) for number in range(3)))

    await flusher.put(stage.agent._acks.take(three))
    await flusher.put(Expire())

    assert flusher._queue.weight == 4


# ---------------------------------------------------------------- wishes


async def test_a_request_is_one_verification_and_an_ack(stage: Filtering) -> None:
    await stage.flush(stage.snapshot(0))

    await stage.flush(stage.request())

    assert ["first_seen", "verify"] == stage.reasons
    assert [0, 1] == stage.acked


async def test_a_request_sees_the_snapshot_of_its_batch(stage: Filtering) -> None:
    await stage.flush(stage.snapshot(0), stage.snapshot(3, action="waving"), stage.request())

    assert ["first_seen", "action", "verify"] == stage.reasons
    assert stage.commands[2]["desired"]["action"] == "waving"


@pytest.mark.parametrize(
    "value", [b"{nope", {"npc_id": "npc-8"}, {"requested_at": 3}, b"[" * 10**5]
)
async def test_a_hostile_request_is_a_dead_letter(stage: Filtering, value: object) -> None:
    await stage.flush(
        stage.snapshot(0), stage.request(value=value), stage.snapshot(3, action="waving")
    )

    [(_, told)] = stage.dead_letters
    assert (told.stage, told.topic) == ("filter", "t-npc-verify-requests")
    assert ["first_seen", "action"] == stage.reasons
    assert [0, 1, 2] == sorted(stage.acked)
    assert stage.count("snapshots_total", outcome="dead_letter") == 0


async def test_a_request_for_nobody_we_know_is_told(stage: Filtering) -> None:
    with capture_logs() as logs:
        await stage.flush(stage.request("npc-99"), stage.event(NPC_VERIFY_REQUESTS, NPC, None))

    assert [("npc_not_verified", "npc-99")] == [(x["event"], x["npc_id"]) for x in logs]
    assert ([], [0, 1]) == (stage.commands, stage.acked)


async def test_a_request_for_a_damaged_state_drops_it(stage: Filtering) -> None:
    await stage.flush(stage.snapshot(0))
    damage(stage)

    await stage.flush(stage.request())

    assert {} == stage.groups.data
    assert ["first_seen"] == stage.reasons
    assert stage.count("states_dropped_total") == 1


async def test_a_request_leaves_the_state_of_another_worker_alone(stage: Filtering) -> None:
    await stage.flush(stage.snapshot(0, partition=3))
    stage.owned = {4}

    await stage.flush(stage.request(partition=4))

    assert ["first_seen"] == stage.reasons


async def test_a_request_is_answered_in_modes_without_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Filtering(tmp_path, monkeypatch, mode="filtered")

    await stage.flush(stage.snapshot(0), stage.request())

    assert ["first_seen", "verify"] == stage.reasons


async def test_a_disabled_npc_is_not_verified(stage: Filtering) -> None:
    await stage.flush(stage.snapshot(0))
    stage.hear(NPC_ROSTER, NPC, {"npc_id": NPC, "name": "Otto", "enabled": False})

    await stage.flush(stage.request())

    assert ["first_seen"] == stage.reasons


async def test_a_command_bears_the_trace_of_its_snapshot(stage: Filtering) -> None:
    event = stage.snapshot()
    event.message.headers = [("tenant", b"7"), TRACEPARENT]
    await stage.flush(event)

    assert [[TRACEPARENT]] == stage.topics[NPC_UPDATE_COMMANDS].headers


async def test_a_command_of_a_snapshot_without_a_trace_has_no_headers(stage: Filtering) -> None:
    await stage.flush(stage.snapshot())

    assert [[]] == stage.topics[NPC_UPDATE_COMMANDS].headers


async def test_why_snapshots_are_suppressed_is_counted(stage: Filtering) -> None:
    await stage.flush(stage.snapshot(), stage.snapshot(3), stage.snapshot(6))

    assert stage.count("suppressed_total", why="unchanged") == 2


async def test_players_forgotten_are_counted(stage: Filtering) -> None:
    await stage.flush(stage.snapshot())
    later = stage.settings.player_cache_ttl + 1
    gone = stage.snapshot(later, nearby_players=[], timestamp=NOON + later)
    await stage.flush(gone, Expire())

    assert stage.count("evictions_total", cache="players") == 1
