"""Hypothesis: what is encoded comes back equal, fits its schema, and anything else is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from topics.decode import (
    DecodeError,
    decode_command,
    decode_location,
    decode_profile,
    decode_result,
    decode_roster_entry,
    decode_snapshot,
    decode_verify_request,
    decode_world,
)
from topics.encode import encode, encode_key
from topics.models import (
    Conflict,
    Coordinates,
    Desired,
    Editor,
    Location,
    Member,
    Model,
    Outcome,
    PlayerProfile,
    PlayerRef,
    Reason,
    RobloxGroup,
    RobloxHealth,
    RobloxHuman,
    RobloxWorld,
    RosterEntry,
    SeedWorld,
    Snapshot,
    Source,
    UpdateCommand,
    UpdateResult,
    VerifyRequest,
    WorldSnapshot,
)
from topics.roster import Roster
from topics.schema import value_schema
from topics.text import DESCRIPTION_LIMIT, NAME_LIMIT, clean, fold, is_plain
from topics.world import split

settings.register_profile("any speed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any speed")

NOW = 1795426500.0
EXAMPLES = Path(__file__).parent / "examples"
DECODERS: dict[str, Callable[[bytes | None, bytes], Model]] = {
    "npc-snapshots": lambda key, value: decode_snapshot(key, value, NOW),
    "world-snapshots": lambda _, value: decode_world(value, NOW),
    "player-profiles": decode_profile,
    "npc-roster": decode_roster_entry,
    "locations": decode_location,
    "npc-update-commands": lambda _, value: decode_command(value),
    "npc-update-results": lambda _, value: decode_result(value),
    "npc-verify-requests": lambda key, value: decode_verify_request(key, value, NOW),
}
SCHEMAS = {topic: Draft202012Validator(value_schema(topic)) for topic in DECODERS}


# ---------------------------------------------------------------- strategies


visible = st.characters(exclude_categories=["C", "Z"]).filter(is_plain)
any_text = st.text(visible | st.sampled_from(" \u200d\u202e\n\u0301"), max_size=20)
# One visible character first, so that little is left out.
ids = st.builds("".join, st.tuples(visible, st.text(visible | st.just(" "), max_size=10), visible))
names = st.builds(lambda char, text: clean(char + text, NAME_LIMIT), visible, any_text)
slugs = names
actions = names
descriptions = any_text.map(lambda text: clean(text, DESCRIPTION_LIMIT))
times = st.floats(0, 1e11)
studs = st.floats(-1e9, 1e9)
points: st.SearchStrategy[Coordinates] = st.tuples(studs, studs, studs)
groups = st.lists(names, unique=True, max_size=6).map(tuple)
refs = st.builds(PlayerRef, id=ids, name=names)
players = st.lists(refs, unique_by=lambda ref: ref.id, max_size=5).map(tuple)
counts = st.integers(0, 2**63 - 1)

snapshots = st.builds(
    Snapshot,
    npc_id=ids,
    observed_at=times,
    cluster=groups,
    nearby_players=players,
    location=st.none() | slugs,
    action=actions,
    position=st.none() | points,
)
seed_worlds = st.builds(
    SeedWorld,
    observed_at=times,
    clusters=st.dictionaries(ids, groups, max_size=6),
    nearby_players=players,
    locations=st.dictionaries(ids, slugs, max_size=6),
    actions=st.dictionaries(ids, actions, max_size=6),
)
roblox_groups = st.builds(RobloxGroup, members=groups)
humans = st.builds(
    RobloxHuman,
    current_groups=st.none() | roblox_groups,
    position=st.none() | points,
    location=st.none() | slugs.filter(lambda slug: slug.casefold() != "unknown"),
    health=st.none() | st.builds(RobloxHealth, is_moving=st.none() | st.booleans()),
)
roblox_worlds = st.builds(
    RobloxWorld,
    observed_at=times,
    clusters=st.lists(roblox_groups, max_size=4).map(tuple),
    human_context=st.dictionaries(names, humans, max_size=6),
)
profiles = st.builds(
    PlayerProfile,
    player_id=ids,
    name=names,
    description=descriptions,
    last_seen=st.none() | times,
)
entries = st.builds(
    RosterEntry,
    npc_id=ids,
    name=names,
    display_name=descriptions,
    description=descriptions,
    agent_id=st.none() | ids,
    home_location=st.none() | slugs,
    enabled=st.booleans(),
)
locations = st.builds(
    Location, slug=slugs, name=names, description=descriptions, coordinates=points
)
members = st.builds(Member, id=ids, name=names, appearance=descriptions)
commands = st.builds(
    UpdateCommand,
    command_id=ids,
    npc_id=ids,
    reason=st.sampled_from(Reason),
    observed_at=times,
    issued_at=times,
    source=st.builds(Source, topic=ids, partition=counts, offset=counts),
    desired=st.builds(
        Desired,
        members=st.lists(members, unique_by=lambda member: member.id, max_size=4).map(tuple),
        location=descriptions,
        action=actions,
    ),
)
plain_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
results = st.builds(
    UpdateResult,
    command_id=ids,
    npc_id=ids,
    reason=st.sampled_from(Reason),
    outcome=st.sampled_from(Outcome),
    blocks=st.lists(names, max_size=3).map(tuple),
    conflicts=st.lists(
        st.builds(
            Conflict,
            path=st.text(),
            base=plain_json,
            ours=plain_json,
            theirs=plain_json,
            kept=plain_json,
            by=st.none() | st.sampled_from(Editor),
        ),
        max_size=2,
    ).map(tuple),
    calls=counts,
    attempts=counts,
    observed_at=times,
    finished_at=times,
    error=st.none() | descriptions.filter(bool),
)


# ---------------------------------------------------------------- there and back


@given(snapshots)
def test_a_snapshot_comes_back(snapshot: Snapshot) -> None:
    key = encode_key(snapshot.npc_id)

    assert decode_snapshot(key, encode(snapshot), NOW) == snapshot


@given(seed_worlds | roblox_worlds)
def test_a_world_snapshot_comes_back_in_its_shape(world: WorldSnapshot) -> None:
    assert decode_world(encode(world), NOW) == world


@given(profiles)
def test_a_profile_comes_back(profile: PlayerProfile) -> None:
    assert decode_profile(encode_key(profile.player_id), encode(profile)) == profile


@given(entries)
def test_a_roster_entry_comes_back(entry: RosterEntry) -> None:
    assert decode_roster_entry(encode_key(entry.npc_id), encode(entry)) == entry


@given(locations)
def test_a_location_comes_back(location: Location) -> None:
    assert decode_location(encode_key(location.slug), encode(location)) == location


@given(commands)
def test_a_command_comes_back(command: UpdateCommand) -> None:
    assert decode_command(encode(command)) == command


@given(results)
def test_a_result_comes_back(result: UpdateResult) -> None:
    assert decode_result(encode(result)) == result


@given(st.builds(VerifyRequest, npc_id=ids, requested_at=times))
def test_a_verify_request_comes_back(request: VerifyRequest) -> None:
    assert decode_verify_request(encode_key(request.npc_id), encode(request), NOW) == request


# ---------------------------------------------------------------- nothing but DecodeError


def assert_readable(error: DecodeError) -> None:
    assert str(error).isprintable()
    assert len(str(error)) < 400


def decode_with_all(key: bytes | None, value: bytes) -> dict[str, Model]:
    """What each topic makes of a record: topic -> model, for those that do not refuse it."""
    decoded: dict[str, Model] = {}
    for topic, decode in DECODERS.items():
        try:
            decoded[topic] = decode(key, value)
        except DecodeError as error:
            assert_readable(error)
    return decoded


@given(st.none() | st.binary(max_size=20), st.binary(max_size=200))
def test_any_bytes_are_decoded_or_refused(key: bytes | None, value: bytes) -> None:
    decode_with_all(key, value)


@given(plain_json)
def test_any_json_is_decoded_or_refused(value: object) -> None:
    decode_with_all(None, json.dumps(value).encode())


Steps = tuple[Any, ...]


def paths_of(value: object, path: Steps = ()) -> list[Steps]:
    if isinstance(value, dict):
        inner: Any = value.items()
    else:
        inner = enumerate(value) if isinstance(value, list) else ()
    return [path, *(below for at, part in inner for below in paths_of(part, (*path, at)))]


def replaced(value: Any, path: Steps, new: object) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


odd_values = plain_json | st.sampled_from(
    ["", "\u202e", "x" * 300, 1e300, -1, 10**30, 1795426413200, [], {}, [None], [[1, "A"]]]
)


@given(st.data())
@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.json")), ids=lambda path: path.stem)
def test_an_example_with_any_part_replaced_fits_its_schema_or_is_refused(
    path: Path, data: st.DataObject
) -> None:
    good = json.loads(path.read_bytes())
    spoilt = replaced(good, data.draw(st.sampled_from(paths_of(good))), data.draw(odd_values))

    for topic, model in decode_with_all(None, json.dumps(spoilt).encode()).items():
        SCHEMAS[topic].validate(spoilt)
        SCHEMAS[topic].validate(json.loads(encode(model)))
        if isinstance(model, WorldSnapshot):
            split(model, Roster())


@given(st.binary(max_size=30), st.sampled_from(["npc-snapshots.contract", "npc-roster.contract"]))
def test_a_record_with_any_key_is_decoded_or_refused(key: bytes, name: str) -> None:
    decoded = decode_with_all(key, (EXAMPLES / f"{name}.json").read_bytes())

    assert not decoded or key == b"npc-7"


# ---------------------------------------------------------------- splitting


@given(seed_worlds, st.lists(entries, max_size=6))
def test_splitting_a_seed_world_loses_no_npc(world: SeedWorld, npcs: list[RosterEntry]) -> None:
    roster = Roster(npcs)
    disabled = {entry.npc_id for entry in roster if not entry.enabled}

    found = split(world, roster)

    assert [seen.npc_id for seen in found] == [
        npc_id for npc_id in world.clusters if npc_id not in disabled
    ]
    assert all(seen.cluster == world.clusters[seen.npc_id] for seen in found)
    assert all(set(seen.nearby_players) <= set(world.nearby_players) for seen in found)


@given(roblox_worlds, st.data())
def test_splitting_a_roblox_world_loses_no_npc(world: RobloxWorld, data: st.DataObject) -> None:
    mentioned = [name for group in world.clusters for name in group.members]
    mentioned += list(world.human_context)
    called = st.sampled_from(mentioned) if mentioned else names
    npcs = data.draw(
        st.lists(st.builds(RosterEntry, npc_id=ids, name=called, enabled=st.booleans()), max_size=5)
    )
    roster = Roster(npcs)
    meant = {entry.npc_id for name in mentioned if (entry := roster.by_name(name)) is not None}
    enabled = {entry.npc_id for entry in roster if entry.enabled}
    for human in world.human_context.values():
        for name in human.current_groups.members if human.current_groups else ():
            entry = roster.by_name(name)
            meant |= {entry.npc_id} if entry else set()

    found = {seen.npc_id: seen for seen in split(world, roster)}

    assert set(found) == meant & enabled
    for npc_id, seen in found.items():
        around = {
            name
            for group in world.clusters
            if any(
                (npc := roster.by_name(other)) and npc.npc_id == npc_id for other in group.members
            )
            for name in group.members
        }
        own = roster.by_id(npc_id)
        assert own is not None
        assert set(seen.cluster) == {name for name in around if roster.by_name(name) != own}


@given(roblox_worlds | seed_worlds, st.lists(entries, max_size=6))
def test_what_is_split_can_be_sent(world: WorldSnapshot, npcs: list[RosterEntry]) -> None:
    for seen in split(world, Roster(npcs)):
        assert decode_snapshot(encode_key(seen.npc_id), encode(seen), NOW) == seen


@given(st.lists(entries, max_size=8), st.data())
def test_a_roster_answers_alike_however_it_was_filled(
    npcs: list[RosterEntry], data: st.DataObject
) -> None:
    newest = {entry.npc_id: entry for entry in npcs}
    shuffled = data.draw(st.permutations(list(newest.values())))
    gone = RosterEntry(npc_id="gone\u00e9", name=npcs[0].name if npcs else "gone")
    detour = Roster([*npcs, gone])
    if gone.npc_id not in newest:
        detour.remove(gone.npc_id)

    for name in {entry.name for entry in npcs} | {entry.display_name.upper() for entry in npcs}:
        claims = [
            (not entry.enabled, entry.npc_id)
            for entry in newest.values()
            if fold(name) in {fold(entry.name), fold(entry.display_name)} - {""}
        ]
        expected = newest[min(claims)[1]] if claims else None

        assert Roster(shuffled).by_name(name) == expected
        assert detour.by_name(name) == expected
