"""Who stands in a `group_members` document, whichever way it was written down.

Read, never judged: whose entry it is and whom it means is the business of `matching`.

    found                                     read as
    ----------------------------------------  ------------------------------------------------------
    "members": {id: {...}}                    itself
    "players": {id: {...}} without "members"  the same
    {id: text}                                a name if it is one we know or the id; else the notes
    {id: anything else}                       the notes
    [name, ...]                               the name, and the name for an id
    [{"id": ..., ...}, ...]                   by `id`, `player_id`, `npc_id` or `name`
    [[id, name], ...]                         a pair
    anything that fits none of these          `unsorted_notes`
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from streams.writer.document import Document, with_note
from streams.writer.merge import united
from topics.text import fold

MEMBERS, PLAYERS = "members", "players"
_ID_FIELDS = ("id", "player_id", "npc_id", "name")


@dataclass(frozen=True, slots=True)
class Crowd:
    """A document taken apart. `others`: every field but the members."""

    members: dict[str, object]
    """By id, as they were written; `entry_of` reads one."""
    others: Document


def crowd_of(document: Document) -> Crowd:
    """The members found in a document and the rest of it; the shapes stand above. Never fails."""
    place = MEMBERS if MEMBERS in document else PLAYERS
    found = document.get(place)
    others = {name: value for name, value in document.items() if name != place}
    if isinstance(found, dict):
        return Crowd(dict(found), others)
    if isinstance(found, list):
        return _listed(found, others)
    if place == PLAYERS:
        return Crowd({}, document)
    return Crowd({}, others if found in (None, "") else with_note(others, found))


def entry_of(who: str, found: object, names: Collection[str]) -> Document:
    """One member as an object. `names`: folded names of people we know: no notes."""
    if isinstance(found, dict):
        return found
    if not isinstance(found, str):
        return {} if found is None else {"notes": found}
    is_name = fold(found) in names or fold(found) == fold(who)
    return {"name": found} if is_name else {"notes": found}


def _listed(found: list[object], others: Document) -> Crowd:
    members: dict[str, object] = {}
    for item in found:
        pair = next(_identified(item), None)
        if pair is None:
            others = with_note(others, item)
        else:
            members[pair[0]] = united([_known(members, pair[0]), pair[1]])
    return Crowd(members, others)


def _known(members: dict[str, object], who: str) -> Document:
    known = members.get(who)
    return known if isinstance(known, dict) else {}


def _identified(item: object) -> Iterator[tuple[str, Document]]:
    if isinstance(item, str) and item.strip():
        yield item, {"name": item}
    elif isinstance(item, dict):
        yield from _by_id_field(item)
    elif isinstance(item, list) and len(item) == 2 and all(isinstance(part, str) for part in item):
        yield item[0], {"name": item[1]}


def _by_id_field(item: Document) -> Iterator[tuple[str, Document]]:
    for field in _ID_FIELDS:
        who = item.get(field)
        if isinstance(who, str | int) and not isinstance(who, bool) and str(who).strip():
            is_redundant = field != "name"
            yield str(who), {k: v for k, v in item.items() if not (is_redundant and k == field)}
