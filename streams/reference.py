"""What a worker knows of the world from the compacted topics: roster and locations.

Every worker hears every record (`streams.broadcast`), so each of them takes the good ones in and
steps over the bad ones. The bad ones are reported once, by whoever owns their partition:
`streams.filter.judge`.
"""

from collections.abc import Callable

import structlog

from streams.broadcast import Entry
from topics.decode import DecodeError, decode_location, decode_roster_entry
from topics.places import Places
from topics.roster import Roster

log = structlog.get_logger()

OnChange = Callable[[str], None]


def ignore(_: str) -> None:
    """Nobody wants to know."""


class RosterTable:
    """The roster, kept up to date; `on_change` hears the id of each NPC that changed."""

    def __init__(self, on_change: OnChange = ignore) -> None:
        self.roster = Roster()
        self._on_change = on_change

    def apply(self, entry: Entry) -> None:
        """Take in one record of `npc-roster`."""
        told = None if entry.value is None else decode_roster_entry(entry.key, entry.value)
        npc_id = told.npc_id if told else _key(entry)
        before = self.roster.by_id(npc_id)
        if told:
            self.roster.put(told)
        else:
            self.roster.remove(npc_id)
        if before != told:
            self._on_change(npc_id)


class LocationTable:
    """The known places by slug, kept up to date."""

    def __init__(self) -> None:
        self.places = Places()

    def apply(self, entry: Entry) -> None:
        """Take in one record of `locations`."""
        if entry.value is None:
            self.places.remove(_key(entry))
        else:
            self.places.put(decode_location(entry.key, entry.value))


def skip_unreadable(apply: Callable[[Entry], None]) -> Callable[[Entry], None]:
    """`apply`, stepping over records that cannot be decoded."""

    def apply_readable(entry: Entry) -> None:
        try:
            apply(entry)
        except DecodeError as error:
            log.warning("record_skipped", topic=entry.topic, error=str(error))

    return apply_readable


def _key(entry: Entry) -> str:
    return (entry.key or b"").decode("utf-8", "replace")
