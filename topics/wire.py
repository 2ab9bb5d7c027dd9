"""What a producer may write: the shapes that `topics.decode` reads, before they become models.

More spellings are taken than a model has, because games are written in Lua, JavaScript and C#:
ids as numbers, players as objects, pairs or bare ids, times as seconds or as text, an empty table
as []. The descriptions here are what `topics.schema` writes for game developers; bounds that the
decoder checks with a sentence of its own stand in `extra_json_schema`, where they cost nothing.
"""

from typing import Annotated, Any, Final

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from topics.models import COORDINATE_LIMIT, TIME_LIMIT, Desired, Member, UpdateCommand
from topics.text import ID_LIMIT

RECORD_LIMIT: Final = 1024 * 1024
"""Bytes of the largest record value: Kafka's own default, and enough for 10,000 NPCs at once."""

NUMBER_LIMIT: Final = 2**63 - 1
"""The largest whole number of a record: an offset, or an id that a game sends as a number."""

FLOAT_LIMIT: Final = 2**53
"""Beyond it a float cannot tell whole numbers apart, so it can be no id."""

_NUMBER = {"minimum": -NUMBER_LIMIT, "maximum": NUMBER_LIMIT}
_FLOAT = {"minimum": -FLOAT_LIMIT, "maximum": FLOAT_LIMIT}
_STUDS = {"minimum": -COORDINATE_LIMIT, "maximum": COORDINATE_LIMIT}

WireText = Annotated[str, Meta(extra_json_schema={"minLength": 1, "maxLength": ID_LIMIT})]
WireWhole = Annotated[int, Meta(extra_json_schema=_NUMBER)]
# Some encoders write 1001.0 for 1001; what has a fraction is refused.
WireWholeFloat = Annotated[float, Meta(extra_json_schema={**_FLOAT, "multipleOf": 1})]
WireId = WireText | WireWhole | WireWholeFloat
WireName = str | WireWhole
WireSeconds = Annotated[float, Meta(extra_json_schema={"minimum": 0, "maximum": TIME_LIMIT})]
WireTime = WireSeconds | str | None
WireStuds = Annotated[float, Meta(extra_json_schema=_STUDS)]
WireCoordinates = tuple[WireStuds, WireStuds, WireStuds]
# Lua cannot tell an empty table from an empty list, and Roblox writes both as [].
EmptyList = Annotated[list[Any], Meta(max_length=0)]


class WirePlayer(Struct):
    """A player as an object; one of the two fields is enough."""

    id: Annotated[
        WireId | None, Meta(description="The game's id; absent: the name stands for it.")
    ] = None
    name: Annotated[WireName | None, Meta(description="Absent: the id stands for it.")] = None


class WirePoint(Struct):
    """A position as an object."""

    x: WireStuds
    y: WireStuds
    z: WireStuds


WireAnyPlayer = WirePlayer | tuple[WireId, WireName | None] | WireId
WirePlayers = list[WireAnyPlayer] | None
WirePosition = WireCoordinates | WirePoint | None
WireNames = list[WireName] | None

_OBSERVED_AT = Meta(
    description="When the game saw this: seconds since the epoch, or ISO 8601 (without a zone it "
    "is UTC). Absent: the record's timestamp. Milliseconds are refused.",
    examples=[1795426413.2, "2026-11-23T09:33:33Z"],
)
_POSITION = Meta(description="Where it is, in studs: [x, y, z] or {x, y, z}.")


class WireSnapshot(Struct):
    """What the game saw around one NPC. The record key is the npc_id."""

    npc_id: Annotated[
        WireId, Meta(description="The NPC; equal to the record key, if there is one.")
    ]
    observed_at: Annotated[WireTime, _OBSERVED_AT] = None
    cluster: Annotated[
        WireNames,
        Meta(description="Names of all who stand together, players and NPCs; its own is ignored."),
    ] = None
    nearby_players: Annotated[
        WirePlayers, Meta(description="Players near the NPC: {id, name}, [id, name], or a bare id.")
    ] = None
    location: Annotated[
        str | None,
        Meta(description="Slug of a known location. Absent: the one nearest to the position."),
    ] = None
    action: Annotated[
        str | None, Meta(description="What the NPC is doing, in words. Absent: idle.")
    ] = None
    position: Annotated[WirePosition, _POSITION] = None


class WireProfile(Struct):
    """Who a player is. The record key is the player_id; a null value deletes."""

    player_id: Annotated[WireId, Meta(description="The game's id of the player.")]
    name: Annotated[WireName, Meta(description="The name that others see.")]
    description: Annotated[
        str | None, Meta(description="What the player looks like. Empty or absent: not known.")
    ] = None
    last_seen: Annotated[
        WireTime, Meta(description="When the player was last in the game: seconds or ISO 8601.")
    ] = None


class WireVerifyRequest(Struct):
    """A wish to have an NPC's memory compared with its state. The record key is the npc_id."""

    npc_id: Annotated[
        WireId, Meta(description="The NPC; equal to the record key, if there is one.")
    ]
    requested_at: Annotated[
        WireTime,
        Meta(description="When: seconds or ISO 8601. Absent: the record's timestamp."),
    ] = None


class WireRosterEntry(Struct):
    """An NPC of the game. The record key is the npc_id; a null value deletes."""

    npc_id: Annotated[WireId, Meta(description="The game's id of the NPC.")]
    name: Annotated[WireName, Meta(description="The name that the game uses in clusters.")]
    display_name: Annotated[
        str | None, Meta(description="The name that players see, where it is another one.")
    ] = None
    description: Annotated[
        str | None, Meta(description="What the NPC looks like to those who stand with it.")
    ] = None
    agent_id: Annotated[
        str | None, Meta(description="Its Letta agent. Absent: the agent tagged npc:<npc_id>.")
    ] = None
    letta: Annotated[
        str | None,
        Meta(description="URL of its Letta server, one of those configured. Absent: by partition."),
    ] = None
    home_location: Annotated[
        str | None, Meta(description="Slug of the place where it is when nothing else is known.")
    ] = None
    enabled: Annotated[
        bool | None, Meta(description="false: its memory is left alone. Absent: true.")
    ] = None


class WireLocation(Struct):
    """A place of the world. The record key is the slug; a null value deletes."""

    slug: Annotated[WireText, Meta(description="The short name that snapshots use.")]
    name: Annotated[WireName, Meta(description="The name that goes into an NPC's memory.")]
    coordinates: Annotated[WireCoordinates | WirePoint, _POSITION]
    description: Annotated[str | None, Meta(description="What the place is like.")] = None


class WireSeedWorld(Struct):
    """What the game saw around many NPCs, by npc_id. The record key is the world_id."""

    clusters: Annotated[
        dict[str, WireNames] | EmptyList,
        Meta(description="For each NPC the names of all who stand with it."),
    ]
    nearby_players: Annotated[
        WirePlayers,
        Meta(
            description="Players of the whole record. Each belongs to the NPCs whose cluster names "
            "it, by name or id; where no cluster names any, all belong to every NPC."
        ),
    ] = None
    locations: Annotated[
        dict[str, str | None] | EmptyList | None,
        Meta(description="For each NPC a location slug. Absent: its home location."),
    ] = None
    actions: Annotated[
        dict[str, str | None] | EmptyList | None,
        Meta(description="For each NPC what it is doing. Absent: idle."),
    ] = None
    observed_at: Annotated[WireTime, _OBSERVED_AT] = None


class WireGroup(Struct):
    """A group of names; further fields, such as counts, are not read."""

    members: Annotated[
        WireNames, Meta(description="Names of all who stand together, players and NPCs.")
    ] = None


class WireHealth(Struct, rename="camel"):
    """A humanoid's health; only whether it moves is read."""

    is_moving: Annotated[
        bool | None, Meta(description='true makes the action "moving", anything else "idle".')
    ] = None


class WireHuman(Struct, rename="camel"):
    """What the game knows of one NPC or player."""

    current_groups: Annotated[
        WireGroup | EmptyList | None, Meta(description="The group it was last seen in.")
    ] = None
    position: Annotated[WirePosition, _POSITION] = None
    location: Annotated[
        str | None,
        Meta(description='Slug of a known location. Absent or "Unknown": by the position.'),
    ] = None
    health: WireHealth | EmptyList | None = None


class WireRobloxWorld(Struct, rename="camel"):
    """What the Roblox game saw around many NPCs, by name. The record key is the world_id."""

    clusters: Annotated[list[WireGroup], Meta(description="Groups of those who stand together.")]
    timestamp: Annotated[WireTime, _OBSERVED_AT] = None
    human_context: Annotated[
        dict[str, WireHuman] | EmptyList | None,
        Meta(
            description="What is known of each name. An NPC that is named here, or in a "
            "currentGroups, and in no cluster stands alone."
        ),
    ] = None


class WireDesired(Desired, frozen=True, kw_only=True):
    """The whole state an NPC's memory shall have: every field is required, as it is no delta."""

    members: tuple[Member, ...]
    location: str
    action: str


class WireCommand(UpdateCommand, frozen=True, kw_only=True):
    """What the filter asks of the writer. The record key is the npc_id."""

    desired: WireDesired


SEED_FIELDS: Final = ("nearby_players", "locations", "actions", "observed_at")
"""Fields that only the seed's shape of a world snapshot has."""

ROBLOX_FIELDS: Final = ("timestamp", "events", "humanContext")
"""Fields that only the Roblox shape of a world snapshot has."""


class WireWorldFields(Struct):
    """Just enough of a world snapshot to tell its shape; its values are not looked into."""

    clusters: dict[str, Raw] | list[Raw] | None = None
    nearby_players: Raw | UnsetType = UNSET
    locations: Raw | UnsetType = UNSET
    actions: Raw | UnsetType = UNSET
    observed_at: Raw | UnsetType = UNSET
    timestamp: Raw | UnsetType = UNSET
    events: Raw | UnsetType = UNSET
    # The decoder looks these fields up by the names of ROBLOX_FIELDS, so this one is the wire's.
    humanContext: Raw | UnsetType = UNSET  # noqa: N815
