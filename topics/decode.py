"""Raw record bytes to models: strict about what matters, forgiving about how it is spelt.

Every function takes what came from Kafka and returns a canonical model of `topics.models`, or
raises `DecodeError`, whose text is one sentence that names the field. Nothing else is ever raised,
whatever the bytes are. Rules that hold for every topic:

    record          one JSON object in UTF-8, at most 1 MiB; unknown fields are ignored
    ids             text, or a whole number (Lua and JavaScript send those); 1 to 200 characters
    key             the same id as in the value; a record without a key takes it from the value
    times           seconds since the epoch or ISO 8601 (without a zone: UTC); absent: the record's
    players         {"id", "name"}, [id, name], or a bare id; the first of a repeated id counts
    texts           `topics.text.clean`: bounded, one line, no control or bidi characters
    positions       [x, y, z] or {"x", "y", "z"}, finite
    null            the same as absent

A null value is a tombstone: the caller's business, never given to a function here.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from sys import intern  # a few places are home to all NPCs
from typing import Any, NoReturn, TypeVar

import msgspec
from msgspec import UNSET

from topics.models import (
    COORDINATE_LIMIT,
    DEFAULT_ACTION,
    TIME_LIMIT,
    Coordinates,
    Desired,
    Location,
    Member,
    PlayerProfile,
    PlayerRef,
    RobloxGroup,
    RobloxHealth,
    RobloxHuman,
    RobloxWorld,
    RosterEntry,
    SeedWorld,
    Snapshot,
    UpdateCommand,
    UpdateResult,
    VerifyRequest,
    WorldSnapshot,
)
from topics.plain import plain_snapshot
from topics.text import (
    ACTION_LIMIT,
    DESCRIPTION_LIMIT,
    ID_LIMIT,
    LOCATION_LIMIT,
    NAME_LIMIT,
    clean,
    clip,
    is_plain,
)
from topics.wire import (
    FLOAT_LIMIT,
    NUMBER_LIMIT,
    RECORD_LIMIT,
    ROBLOX_FIELDS,
    SEED_FIELDS,
    WireAnyPlayer,
    WireCommand,
    WireGroup,
    WireHealth,
    WireHuman,
    WireId,
    WireLocation,
    WireName,
    WirePlayer,
    WirePoint,
    WirePosition,
    WireProfile,
    WireRobloxWorld,
    WireRosterEntry,
    WireSeedWorld,
    WireSnapshot,
    WireTime,
    WireVerifyRequest,
    WireWorldFields,
)

_UNKNOWN_PLACE = "unknown"
_SHOWN_TEXT = 80
_SHOWN_ESCAPED = 120
_SHOWN_ERROR = 100


class DecodeError(ValueError):
    """A record that cannot be understood; the message is one sentence that names the field."""


_snapshot = msgspec.json.Decoder(WireSnapshot)
_profile = msgspec.json.Decoder(WireProfile)
_roster_entry = msgspec.json.Decoder(WireRosterEntry)
_location = msgspec.json.Decoder(WireLocation)
_world_fields = msgspec.json.Decoder(WireWorldFields)
_seed_world = msgspec.json.Decoder(WireSeedWorld)
_roblox_world = msgspec.json.Decoder(WireRobloxWorld)
_command = msgspec.json.Decoder(WireCommand)
_result = msgspec.json.Decoder(UpdateResult)
_verify_request = msgspec.json.Decoder(WireVerifyRequest)


# ---------------------------------------------------------------- one function per topic


def decode_snapshot(key: bytes | None, value: bytes, timestamp: float) -> Snapshot:
    """A record of `npc-snapshots`; `timestamp` is the record's own, in seconds."""
    plain = plain_snapshot(value)
    if plain is not None and (key is None or key == plain.npc_id.encode()):
        return plain
    return careful_snapshot(key, value, timestamp)


def careful_snapshot(key: bytes | None, value: bytes, timestamp: float) -> Snapshot:
    """As `decode_snapshot`, whatever the record looks like."""
    wire = _parsed(_snapshot, value)
    npc_id = _identity(wire.npc_id, "npc_id")
    _check_key(key, npc_id, "npc_id")
    return Snapshot(
        npc_id=npc_id,
        observed_at=_time(wire.observed_at, "observed_at", timestamp),
        cluster=_names(wire.cluster, "cluster") if wire.cluster else (),
        nearby_players=_players(wire.nearby_players) if wire.nearby_players else (),
        location=_optional(wire.location, LOCATION_LIMIT),
        action=_optional(wire.action, ACTION_LIMIT) or DEFAULT_ACTION,
        position=_position(wire.position, "position"),
    )


def decode_world(value: bytes, timestamp: float) -> WorldSnapshot:
    """A record of `world-snapshots`, either shape; `timestamp` is the record's own, in seconds."""
    if _is_seed_shape(_parsed(_world_fields, value)):
        return _seed(_parsed(_seed_world, value), timestamp)
    return _roblox(_parsed(_roblox_world, value), timestamp)


def decode_profile(key: bytes | None, value: bytes) -> PlayerProfile:
    """A record of `player-profiles`."""
    wire = _parsed(_profile, value)
    player_id = _identity(wire.player_id, "player_id")
    _check_key(key, player_id, "player_id")
    return PlayerProfile(
        player_id=player_id,
        name=_required(_name(wire.name, "name"), "name"),
        description=clean(wire.description or "", DESCRIPTION_LIMIT),
        last_seen=None if wire.last_seen is None else _time(wire.last_seen, "last_seen", 0.0),
    )


def decode_roster_entry(key: bytes | None, value: bytes) -> RosterEntry:
    """A record of `npc-roster`."""
    wire = _parsed(_roster_entry, value)
    npc_id = _identity(wire.npc_id, "npc_id")
    _check_key(key, npc_id, "npc_id")
    return RosterEntry(
        npc_id=npc_id,
        name=_required(_name(wire.name, "name"), "name"),
        display_name=clean(wire.display_name or "", NAME_LIMIT),
        description=clean(wire.description or "", DESCRIPTION_LIMIT),
        agent_id=_identity(wire.agent_id, "agent_id") if wire.agent_id else None,
        letta=_identity(wire.letta, "letta") if wire.letta else None,
        home_location=intern(_optional(wire.home_location, LOCATION_LIMIT) or "") or None,
        enabled=wire.enabled is not False,
    )


def decode_location(key: bytes | None, value: bytes) -> Location:
    """A record of `locations`."""
    wire = _parsed(_location, value)
    slug = _identity(wire.slug, "slug")
    if clean(slug, ID_LIMIT) != slug:
        raise DecodeError(f"slug: {_shown(slug)} has double spaces or is not in Unicode NFC")
    _check_key(key, slug, "slug")
    return Location(
        slug=slug,
        name=_required(_name(wire.name, "name"), "name"),
        description=clean(wire.description or "", DESCRIPTION_LIMIT),
        coordinates=_point(wire.coordinates, "coordinates"),
    )


def decode_command(value: bytes) -> UpdateCommand:
    """A record of `npc-update-commands`; its texts are cleaned once more, whoever wrote it."""
    command = _parsed(_command, value)
    _identity(command.command_id, "command_id")
    _identity(command.npc_id, "npc_id")
    _number_in_time(command.observed_at, "observed_at")
    _number_in_time(command.issued_at, "issued_at")
    _check_count(command.source.partition, "source.partition")
    _check_count(command.source.offset, "source.offset")
    return UpdateCommand(
        command_id=command.command_id,
        npc_id=command.npc_id,
        reason=command.reason,
        observed_at=command.observed_at,
        issued_at=command.issued_at,
        source=command.source,
        desired=_desired(command.desired),
    )


def decode_result(value: bytes) -> UpdateResult:
    """A record of `npc-update-results`; the values of its conflicts are left as they are."""
    result = _parsed(_result, value)
    _identity(result.command_id, "command_id")
    _identity(result.npc_id, "npc_id")
    _number_in_time(result.observed_at, "observed_at")
    _number_in_time(result.finished_at, "finished_at")
    _check_count(result.calls, "calls")
    _check_count(result.attempts, "attempts")
    return msgspec.structs.replace(
        result,
        blocks=tuple(clean(label, NAME_LIMIT) for label in result.blocks),
        error=_optional(result.error, DESCRIPTION_LIMIT),
    )


def decode_verify_request(key: bytes | None, value: bytes, timestamp: float) -> VerifyRequest:
    """A record of `npc-verify-requests`; `timestamp` is the record's own, in seconds."""
    wire = _parsed(_verify_request, value)
    npc_id = _identity(wire.npc_id, "npc_id")
    _check_key(key, npc_id, "npc_id")
    return VerifyRequest(
        npc_id=npc_id, requested_at=_time(wire.requested_at, "requested_at", timestamp)
    )


def decode_key(key: bytes) -> str:
    """The id in a record's key: what a tombstone, which has no value, is about."""
    return _identity(_key_text(key), "key")


# ---------------------------------------------------------------- world snapshots


def _is_seed_shape(fields: WireWorldFields) -> bool:
    of_seed = _first_given(fields, SEED_FIELDS)
    of_roblox = _first_given(fields, ROBLOX_FIELDS)
    if of_seed and of_roblox:
        raise DecodeError(f"a world snapshot of two shapes at once: {of_seed} and {of_roblox}")
    match fields.clusters:
        case dict() if of_roblox:
            raise DecodeError(f"clusters: a list is expected beside {of_roblox}")
        case [_, *_] if of_seed:
            raise DecodeError(f"clusters: a mapping is expected beside {of_seed}")
        case dict():
            return True
        case list():
            return of_seed is not None
        case _:
            raise DecodeError("clusters: missing, so this is neither shape of a world snapshot")


def _first_given(fields: WireWorldFields, names: Iterable[str]) -> str | None:
    return next((name for name in names if getattr(fields, name) is not UNSET), None)


def _seed(wire: WireSeedWorld, timestamp: float) -> SeedWorld:
    return SeedWorld(
        observed_at=_time(wire.observed_at, "observed_at", timestamp),
        clusters={
            _identity(npc_id, "clusters"): _names(names or (), f"clusters.{_shown(npc_id)}")
            for npc_id, names in _mapping(wire.clusters).items()
        },
        nearby_players=_players(wire.nearby_players or ()),
        locations=_texts_by_id(_mapping(wire.locations), LOCATION_LIMIT, "locations"),
        actions=_texts_by_id(_mapping(wire.actions), ACTION_LIMIT, "actions"),
    )


def _texts_by_id(texts: Mapping[str, str | None], limit: int, field: str) -> dict[str, str]:
    cleaned = {_identity(key, field): clean(text or "", limit) for key, text in texts.items()}
    return {key: text for key, text in cleaned.items() if text}


def _roblox(wire: WireRobloxWorld, timestamp: float) -> RobloxWorld:
    humans = _mapping(wire.human_context)
    return RobloxWorld(
        observed_at=_time(wire.timestamp, "timestamp", timestamp),
        clusters=tuple(_group(group, f"clusters[{at}]") for at, group in enumerate(wire.clusters)),
        human_context=_first_of_each(
            (clean(name, NAME_LIMIT), _human(human, f"humanContext.{_shown(name)}"))
            for name, human in humans.items()
        ),
    )


def _human(wire: WireHuman, field: str) -> RobloxHuman:
    groups, health = wire.current_groups, wire.health
    return RobloxHuman(
        current_groups=_group(groups, field) if isinstance(groups, WireGroup) else None,
        position=_position(wire.position, f"{field}.position"),
        location=_known_place(wire.location),
        health=RobloxHealth(is_moving=health.is_moving) if isinstance(health, WireHealth) else None,
    )


def _known_place(location: str | None) -> str | None:
    # The game writes "Unknown" wherever it has a position only.
    place = _optional(location, LOCATION_LIMIT)
    return None if place is not None and place.casefold() == _UNKNOWN_PLACE else place


def _group(wire: WireGroup, field: str) -> RobloxGroup:
    return RobloxGroup(members=_names(wire.members or (), f"{field}.members"))


def _first_of_each(pairs: Iterable[tuple[str, RobloxHuman]]) -> dict[str, RobloxHuman]:
    found: dict[str, RobloxHuman] = {}
    for name, human in pairs:
        if name:
            found.setdefault(name, human)
    return found


Value = TypeVar("Value")


def _mapping(value: dict[str, Value] | list[Any] | None) -> dict[str, Value]:
    return value if isinstance(value, dict) else {}


# ---------------------------------------------------------------- fields


def _identity(value: str | int | float, field: str) -> str:
    text = value if isinstance(value, str) else _number_as_text(value, field)
    if not text:
        raise DecodeError(f"{field}: an empty id")
    if len(text) > ID_LIMIT:
        raise DecodeError(f"{field}: an id of {len(text)} characters, {ID_LIMIT} are allowed")
    if not is_plain(text):
        raise DecodeError(f"{field}: {_shown(text)} has control characters or spaces at its ends")
    return text


def _number_as_text(number: int | float, field: str) -> str:
    if isinstance(number, float):
        if not (abs(number) <= FLOAT_LIMIT and number == int(number)):
            raise DecodeError(f"{field}: text or a whole number is expected")
        return str(int(number))
    if abs(number) > NUMBER_LIMIT:
        raise DecodeError(f"{field}: a number too large to be an id or a name, send it as text")
    return str(number)


def _check_key(key: bytes | None, identity: str, field: str) -> None:
    if key is not None and _key_text(key) != identity:
        shown = f"{_shown(_key_text(key))}, but {field} is {_shown(identity)}"
        raise DecodeError(f"key: the record's key is {shown}")


def _key_text(key: bytes) -> str:
    try:
        return key.decode()
    except UnicodeDecodeError:
        raise DecodeError("key: not UTF-8 text") from None


def _time(value: WireTime, field: str, absent: float) -> float:
    if value is None:
        return _number_in_time(absent, f"{field} is absent and the record's timestamp")
    if isinstance(value, str):
        return _number_in_time(_iso_seconds(value, field), field)
    return _number_in_time(value, field)


def _iso_seconds(text: str, field: str) -> float:
    try:
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise DecodeError(
            f"{field}: {_shown(text)} is neither seconds since the epoch nor an ISO 8601 time"
        ) from None


def _number_in_time(seconds: float, field: str) -> float:
    if 0.0 <= seconds <= TIME_LIMIT:
        return seconds
    if TIME_LIMIT < seconds <= TIME_LIMIT * 1000:
        raise DecodeError(f"{field}: {seconds:.0f} looks like milliseconds, seconds are expected")
    raise DecodeError(f"{field}: {seconds:g} is no time in seconds since the epoch")


def _names(names: Iterable[WireName], field: str) -> tuple[str, ...]:
    unique = dict.fromkeys([_name(name, field) for name in names])
    unique.pop("", None)
    return tuple(unique)


def _name(name: WireName, field: str) -> str:
    return clean(name, NAME_LIMIT) if isinstance(name, str) else _number_as_text(name, field)


def _players(players: Iterable[WireAnyPlayer]) -> tuple[PlayerRef, ...]:
    found: dict[str, PlayerRef] = {}
    for player in players:
        ref = _player(player)
        if ref is not None:
            found.setdefault(ref.id, ref)
    return tuple(found.values())


def _player(player: WireAnyPlayer) -> PlayerRef | None:
    identity, named = _id_and_name(player)
    name = "" if named is None else _name(named, "nearby_players")
    if identity is not None:
        checked = _identity(identity, "nearby_players")
        return PlayerRef(id=checked, name=name or clean(checked, NAME_LIMIT))
    if named is None:
        raise DecodeError("nearby_players: a player with neither id nor name")
    # A name of nothing but invisible characters: there is nobody to write down.
    return PlayerRef(id=name, name=name) if name else None


def _id_and_name(player: WireAnyPlayer) -> tuple[WireId | None, WireName | None]:
    if isinstance(player, WirePlayer):
        return player.id, player.name
    return player if isinstance(player, tuple) else (player, None)


def _optional(text: str | None, limit: int) -> str | None:
    return (clean(text, limit) or None) if text else None


def _required(text: str, field: str) -> str:
    if not text:
        raise DecodeError(f"{field}: empty")
    return text


def _position(value: WirePosition, field: str) -> Coordinates | None:
    return None if value is None else _point(value, field)


def _point(value: Coordinates | WirePoint, field: str) -> Coordinates:
    x, y, z = point = (value.x, value.y, value.z) if isinstance(value, WirePoint) else value
    if max(x, y, z) <= COORDINATE_LIMIT and min(x, y, z) >= -COORDINATE_LIMIT:
        return point
    raise DecodeError(f"{field}: a coordinate beyond {COORDINATE_LIMIT:.0f} studs")


def _check_count(number: int, field: str) -> None:
    if not 0 <= number <= NUMBER_LIMIT:
        raise DecodeError(f"{field}: a number from 0 to 2**63 - 1 is expected")


def _desired(desired: Desired) -> Desired:
    members: dict[str, Member] = {}
    for member in desired.members:
        identity = _identity(member.id, "desired.members")
        members.setdefault(identity, _member(member))
    return Desired(
        members=tuple(members.values()),
        location=clean(desired.location, DESCRIPTION_LIMIT),
        action=clean(desired.action, ACTION_LIMIT) or DEFAULT_ACTION,
    )


def _member(member: Member) -> Member:
    return Member(
        id=member.id,
        name=clean(member.name, NAME_LIMIT) or clean(member.id, NAME_LIMIT),
        appearance=clean(member.appearance, DESCRIPTION_LIMIT),
    )


# ---------------------------------------------------------------- JSON

Wire = TypeVar("Wire")


def _parsed(decoder: msgspec.json.Decoder[Wire], value: bytes) -> Wire:
    if len(value) > RECORD_LIMIT:
        raise DecodeError(f"the record has {len(value)} bytes, {RECORD_LIMIT} are allowed")
    try:
        if not value.isascii():
            value.decode()  # msgspec does not look into fields that it skips
        return decoder.decode(value)
    except UnicodeDecodeError as error:
        raise DecodeError(f"the record is not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise DecodeError("the record is nested too deeply") from None
    except msgspec.ValidationError as error:
        _refuse(error)
    except msgspec.DecodeError as error:
        raise DecodeError(f"the record is not JSON: {clip(str(error), _SHOWN_ERROR)}") from None


def _refuse(error: msgspec.ValidationError) -> NoReturn:
    reason, _, path = str(error).partition(" - at ")
    field = path.strip("`").removeprefix("$").removeprefix(".") or "the record"
    text = clip(reason.replace("`", ""), _SHOWN_ERROR)
    raise DecodeError(f"{field}: {text[:1].lower()}{text[1:]}") from None


def _shown(text: str) -> str:
    # repr() escapes whatever cannot be seen, and makes up to ten characters of one.
    shown = repr(text if len(text) <= _SHOWN_TEXT else text[: _SHOWN_TEXT - 1] + "…")
    return shown if len(shown) <= _SHOWN_ESCAPED else f"{shown[: _SHOWN_ESCAPED - 1]}…"
