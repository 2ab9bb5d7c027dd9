import json
from pathlib import Path

import pytest

from topics.decode import decode_world
from topics.models import PlayerRef, RosterEntry, Snapshot, WorldSnapshot
from topics.roster import Roster
from topics.world import split

EXAMPLES = Path(__file__).parent / "examples"
NOW = 1795426500.0
ALICE, BOB = PlayerRef(id="1001", name="Alice"), PlayerRef(id="1002", name="Bob")
ROSTER = Roster(
    [
        RosterEntry(npc_id="npc-7", name="kaiden", display_name="Kaiden the Bold"),
        RosterEntry(npc_id="npc-8", name="Goldie", home_location="inn"),
        RosterEntry(npc_id="npc-9", name="Noobster", home_location="gate"),
        RosterEntry(npc_id="npc-off", name="Diamond", enabled=False),
    ]
)


def world(**fields: object) -> WorldSnapshot:
    return decode_world(json.dumps(fields).encode(), NOW)


def by_npc(**fields: object) -> dict[str, Snapshot]:
    return {seen.npc_id: seen for seen in split(world(**fields), ROSTER)}


# ---------------------------------------------------------------- the seed's shape


def test_each_key_of_a_seed_world_becomes_a_snapshot() -> None:
    seed = decode_world((EXAMPLES / "world-snapshots.seed.json").read_bytes(), NOW)

    assert split(seed, ROSTER) == [
        Snapshot(
            npc_id="npc-7",
            observed_at=1795426413.2,
            cluster=("Alice", "Greta"),
            nearby_players=(ALICE,),
            location="market-square",
            action="waving",
        ),
        Snapshot(npc_id="npc-8", observed_at=1795426413.2, location="inn"),
    ]


def test_an_npc_that_the_roster_does_not_know_gets_its_snapshot() -> None:
    assert split(world(clusters={"stranger": ["Alice"]}), Roster()) == [
        Snapshot(npc_id="stranger", observed_at=NOW, cluster=("Alice",))
    ]


def test_without_a_place_an_npc_is_at_home() -> None:
    seen = by_npc(clusters={"npc-7": [], "npc-8": [], "npc-9": []}, locations={"npc-9": "well"})

    assert [seen[npc].location for npc in ("npc-7", "npc-8", "npc-9")] == [None, "inn", "well"]


def test_without_an_action_an_npc_is_idle() -> None:
    seen = by_npc(clusters={"npc-7": [], "npc-8": []}, actions={"npc-7": "waving", "npc-8": ""})

    assert [seen[npc].action for npc in ("npc-7", "npc-8")] == ["waving", "idle"]


@pytest.mark.parametrize("called", ["Alice", "aLICE", "1001", " alice "])
def test_a_player_belongs_to_the_npcs_whose_cluster_names_that_player(called: str) -> None:
    seen = by_npc(
        clusters={"npc-7": [called], "npc-8": ["Goldie"], "npc-9": ["BOB", called]},
        nearby_players=[[1001, "Alice"], [1002, "Bob"]],
    )

    assert seen["npc-7"].nearby_players == (ALICE,)
    assert seen["npc-8"].nearby_players == ()
    assert seen["npc-9"].nearby_players == (ALICE, BOB)


def test_where_no_cluster_names_any_player_all_belong_to_every_npc() -> None:
    seen = by_npc(
        clusters={"npc-7": ["Goldie"], "npc-8": []}, nearby_players=[[1001, "Alice"], [1002, "Bob"]]
    )

    assert seen["npc-7"].nearby_players == (ALICE, BOB)
    assert seen["npc-8"].nearby_players == (ALICE, BOB)


def test_a_cluster_of_a_disabled_npc_still_names_its_players() -> None:
    seen = by_npc(clusters={"npc-off": ["Alice"], "npc-7": []}, nearby_players=[[1001, "Alice"]])

    assert list(seen) == ["npc-7"]
    assert seen["npc-7"].nearby_players == ()


# ---------------------------------------------------------------- the Roblox shape


def test_each_npc_of_a_roblox_world_becomes_a_snapshot() -> None:
    roblox = decode_world((EXAMPLES / "world-snapshots.roblox.json").read_bytes(), NOW)

    assert split(roblox, ROSTER) == [
        Snapshot(
            npc_id="npc-7",
            observed_at=1795426413.0,
            cluster=("Goldie", "Alice"),
            action="moving",
            position=(8.113263130187988, 19.85175323486328, -12.013647079467773),
        ),
        Snapshot(
            npc_id="npc-8", observed_at=1795426413.0, cluster=("Kaiden", "Alice"), location="inn"
        ),
        Snapshot(npc_id="npc-9", observed_at=1795426413.0, location="gate"),
    ]


def test_an_npc_is_found_by_name_or_display_name_without_case() -> None:
    seen = by_npc(clusters=[{"members": ["KAIDEN THE BOLD", "goldie"]}])

    assert seen["npc-7"].cluster == ("goldie",)
    assert seen["npc-8"].cluster == ("KAIDEN THE BOLD",)


def test_an_npc_named_twice_in_a_group_is_not_its_own_neighbour() -> None:
    seen = by_npc(clusters=[{"members": ["Kaiden", "Kaiden the Bold", "Alice"]}])

    assert seen["npc-7"].cluster == ("Alice",)


def test_an_npc_in_two_groups_stands_with_all_of_them_once() -> None:
    seen = split(
        world(
            clusters=[
                {"members": ["Kaiden", "Alice", "Bob"]},
                {"members": ["Bob", "Kaiden", "Eve"]},
            ]
        ),
        ROSTER,
    )

    assert [found.cluster for found in seen] == [("Alice", "Bob", "Eve")]


def test_a_name_in_no_roster_is_a_player() -> None:
    seen = by_npc(clusters=[{"members": ["Alice", "Bob"]}, {"members": ["Stranger", "Goldie"]}])

    assert list(seen) == ["npc-8"]
    assert seen["npc-8"].cluster == ("Stranger",)


def test_a_disabled_npc_gets_no_snapshot_and_is_still_a_neighbour() -> None:
    seen = by_npc(clusters=[{"members": ["Diamond", "Goldie"]}], humanContext={"Diamond": {}})

    assert list(seen) == ["npc-8"]
    assert seen["npc-8"].cluster == ("Diamond",)


def test_an_npc_that_is_mentioned_but_in_no_group_stands_alone() -> None:
    seen = by_npc(
        clusters=[{"members": ["Goldie", "Alice"]}],
        humanContext={
            "Alice": {"currentGroups": {"members": ["Alice", "Noobster"]}},
            "Kaiden": {"currentGroups": {"members": ["Kaiden", "Alice"]}},
        },
    )

    assert seen["npc-7"].cluster == ()
    assert seen["npc-8"].cluster == ("Alice",)
    assert seen["npc-9"].cluster == ()


@pytest.mark.parametrize(
    ("human", "action"),
    [
        ({"health": {"state": "Running", "isMoving": True}}, "moving"),
        ({"health": {"state": "Running", "isMoving": False}}, "idle"),
        ({"health": {"state": "Idle"}}, "idle"),
        ({"health": []}, "idle"),
        ({}, "idle"),
    ],
)
def test_what_a_roblox_npc_does_is_whether_it_moves(human: object, action: str) -> None:
    assert by_npc(clusters=[], humanContext={"Goldie": human})["npc-8"].action == action


@pytest.mark.parametrize(
    ("human", "location", "position"),
    [
        ({"location": "well", "position": [1, 2, 3]}, "well", (1.0, 2.0, 3.0)),
        ({"location": "Unknown", "position": [1, 2, 3]}, None, (1.0, 2.0, 3.0)),
        ({"position": [1, 2, 3]}, None, (1.0, 2.0, 3.0)),
        ({"location": "UNKNOWN"}, "inn", None),
        ({}, "inn", None),
    ],
)
def test_a_roblox_npc_is_where_it_is_said_to_be_else_near_its_position_else_at_home(
    human: object, location: str | None, position: object
) -> None:
    seen = by_npc(clusters=[], humanContext={"Goldie": human})["npc-8"]

    assert (seen.location, seen.position) == (location, position)


def test_what_is_known_of_an_npc_is_found_by_either_of_its_names() -> None:
    seen = by_npc(
        clusters=[{"members": ["Kaiden", "Alice"]}],
        humanContext={"kaiden the bold": {"location": "well"}},
    )

    assert seen["npc-7"].location == "well"


def test_a_world_of_no_known_shape_is_a_mistake_of_the_program() -> None:
    with pytest.raises(TypeError, match="WorldSnapshot"):
        split(WorldSnapshot(observed_at=NOW), ROSTER)
