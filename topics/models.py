"""The records of the contract, as types.

Every topic has one model. A model is what the rest of the program works with: canonical, immutable,
with times in seconds since the epoch and ids as text. What a producer may write instead (numbers
for ids, ISO 8601 for times, pairs for players) is the business of `topics.decode`.
"""

from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from topics.text import ACTION_LIMIT, ID_LIMIT, LOCATION_LIMIT, NAME_LIMIT

TIME_LIMIT: Final = 1e11
"""Seconds; the year 5138. A larger number is a clock in milliseconds."""

COORDINATE_LIMIT: Final = 1e9
"""Studs; no world is larger, and products of two coordinates stay finite."""

Id = Annotated[str, Meta(min_length=1, max_length=ID_LIMIT)]
Name = Annotated[str, Meta(min_length=1, max_length=NAME_LIMIT)]
Slug = Annotated[str, Meta(min_length=1, max_length=LOCATION_LIMIT)]
Action = Annotated[str, Meta(min_length=1, max_length=ACTION_LIMIT)]
Seconds = Annotated[float, Meta(ge=0, le=TIME_LIMIT)]
Studs = Annotated[float, Meta(ge=-COORDINATE_LIMIT, le=COORDINATE_LIMIT)]
Coordinates = tuple[Studs, Studs, Studs]

DEFAULT_ACTION = "idle"
"""What an NPC does of which the game says nothing."""


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """An immutable record value; unknown fields of the wire are ignored."""


class PlayerRef(Model, frozen=True, kw_only=True):
    """A player near an NPC: `name` equals `id` where the game gave only one of the two."""

    id: Id
    name: Name


class Snapshot(Model, frozen=True, kw_only=True):
    """What the game saw around one NPC at one moment; topic `npc-snapshots`."""

    npc_id: Id
    observed_at: Seconds
    cluster: tuple[Name, ...] = ()
    nearby_players: tuple[PlayerRef, ...] = ()
    location: Slug | None = None
    action: Action = DEFAULT_ACTION
    position: Coordinates | None = None


class WorldSnapshot(Model, frozen=True, kw_only=True):
    """What the game saw around many NPCs at one moment; topic `world-snapshots`.

    Two shapes of the wire, two subclasses: `SeedWorld` by NPC id, `RobloxWorld` by name.
    """

    observed_at: float


class SeedWorld(WorldSnapshot, frozen=True, kw_only=True):
    """The seed's shape: every mapping is keyed by npc_id; locations are slugs."""

    clusters: dict[str, tuple[str, ...]]
    nearby_players: tuple[PlayerRef, ...] = ()
    locations: dict[str, str] = {}
    actions: dict[str, str] = {}


class RobloxGroup(Model, frozen=True, kw_only=True):
    """Names of those who stand together, NPCs and players alike."""

    members: tuple[str, ...] = ()


class RobloxHealth(Model, frozen=True, kw_only=True, rename="camel"):
    """The part of a humanoid's health that matters here; None means the game did not say."""

    is_moving: bool | None = None


class RobloxHuman(Model, frozen=True, kw_only=True, rename="camel"):
    """What the game knows of one NPC or player; `position` in studs."""

    current_groups: RobloxGroup | None = None
    position: Coordinates | None = None
    location: str | None = None
    health: RobloxHealth | None = None


class RobloxWorld(WorldSnapshot, frozen=True, kw_only=True, rename="camel"):
    """The Roblox game's shape: groups of names, and what is known of each name."""

    observed_at: float = msgspec.field(name="timestamp")
    clusters: tuple[RobloxGroup, ...] = ()
    human_context: dict[str, RobloxHuman] = {}


class PlayerProfile(Model, frozen=True, kw_only=True):
    """Who a player is; topic `player-profiles`. An empty description means "not known"."""

    player_id: str
    name: str
    description: str = ""
    last_seen: float | None = None


class RosterEntry(Model, frozen=True, kw_only=True, gc=False):
    """An NPC of the game; topic `npc-roster`.

    Without `agent_id` it is the Letta agent tagged `npc:<npc_id>`. `letta`: the URL of its Letta
    server, where there are several; without, it goes by the hash of the id.
    """

    npc_id: str
    name: str
    display_name: str = ""
    description: str = ""
    agent_id: str | None = None
    letta: str | None = None
    home_location: str | None = None
    enabled: bool = True


class Location(Model, frozen=True, kw_only=True):
    """A place of the world, in studs; topic `locations`."""

    slug: str
    name: str
    description: str = ""
    coordinates: Coordinates


class Reason(StrEnum):
    """Why the filter sent a command."""

    FIRST_SEEN = "first_seen"
    MEMBERS = "members"
    LOCATION = "location"
    ACTION = "action"
    PROFILE = "profile"
    STALE = "stale"
    FORCE_REFRESH = "force_refresh"
    VERIFY = "verify"


class Member(Model, frozen=True, kw_only=True):
    """One of the group, as the NPC's memory shall know them."""

    id: str
    name: str
    appearance: str = ""


class Desired(Model, frozen=True, kw_only=True):
    """The whole state an NPC's memory shall have: never a delta."""

    members: tuple[Member, ...] = ()
    location: str = ""
    action: str = DEFAULT_ACTION


class Source(Model, frozen=True, kw_only=True):
    """The record a command was decided from: newest wins by `offset` within one partition."""

    topic: str
    partition: int
    offset: int


class UpdateCommand(Model, frozen=True, kw_only=True):
    """What the filter asks of the writer; topic `npc-update-commands`."""

    command_id: str
    npc_id: str
    reason: Reason
    observed_at: float
    issued_at: float
    source: Source
    desired: Desired


class Outcome(StrEnum):
    """How a command ended."""

    APPLIED = "applied"
    UNCHANGED = "unchanged"
    SUPERSEDED = "superseded"
    OUTDATED = "outdated"
    REPAIRED = "repaired"
    FAILED = "failed"


class Editor(StrEnum):
    """Who changed a field of the game's."""

    AGENT = "agent"
    """The agent, by writing back an old copy of the block that it held while a tool ran."""
    OTHER = "other"
    """Somebody who changed the text: a tool of the NPC's, a person, another program."""


class Conflict(Model, frozen=True, kw_only=True):
    """A field of the game's that somebody else had changed; `kept` is the value that stays.

    A null value means that the field, or the member, is not there. `by` is absent from records of
    earlier versions.
    """

    path: str
    base: object
    ours: object
    theirs: object
    kept: object
    by: Editor | None = None


class UpdateResult(Model, frozen=True, kw_only=True):
    """What became of a command; topic `npc-update-results`. `calls`: requests sent to Letta."""

    command_id: str
    npc_id: str
    reason: Reason
    outcome: Outcome
    blocks: tuple[str, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    calls: int = 0
    attempts: int = 1
    observed_at: float
    finished_at: float
    error: str | None = None


class VerifyRequest(Model, frozen=True, kw_only=True):
    """A wish to have an NPC's memory compared with its state; topic `npc-verify-requests`."""

    npc_id: str
    requested_at: float
