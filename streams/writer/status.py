"""The `status` document: where the NPC is, where it was, what it does.

What stood there before comes from our stamp where there is one: what an NPC or an agent's
write-back made of the block does not count as a place the NPC has been to. Without our stamp, from
the block: a JSON object, a line as "Location: X | Action: Y", or such pieces on lines of their own.

    field              value
    -----------------  ---------------------------------------------------------------------------
    current_location   the command's
    previous_location  the location before, if the command changes it; else what it was
    current_action     the command's
    movement_state     "moving" if the command changes the location, or its action begins with a
                       verb of motion; else, in a command seen at the same moment as what stands
                       there and with the same action, what it was; else "stationary"

So a command applied twice renders the same bytes, and the first look that finds an NPC still in the
same place makes it stationary.
"""

import re
from collections.abc import Mapping

from streams.settings import ConflictPolicy
from streams.writer.aside import Owned, Shelf
from streams.writer.blame import facts_found, facts_of
from streams.writer.budget import LIMIT, checked_aside, shortened
from streams.writer.document import UNSORTED, Document, read, render
from streams.writer.merge import Claim, Judge, Rendered, conflict_over, is_base_news, npc_part
from streams.writer.recall import own_part, recalled
from streams.writer.rules import DEFAULT_RULES, Rules
from streams.writer.stamp import UNSTAMPED, Stamp, is_edited, is_replaced, with_replaced
from topics.models import Conflict, Desired
from topics.text import ACTION_LIMIT, DESCRIPTION_LIMIT, NAME_LIMIT, fold

LABEL = "status"
LOCATION, PREVIOUS = "current_location", "previous_location"
ACTION, MOVEMENT = "current_action", "movement_state"
FIELDS = (LOCATION, PREVIOUS, ACTION, MOVEMENT)
MOVING, STATIONARY = "moving", "stationary"

_LIMITS = {
    LOCATION: DESCRIPTION_LIMIT,
    PREVIOUS: DESCRIPTION_LIMIT,
    ACTION: ACTION_LIMIT,
    MOVEMENT: NAME_LIMIT,
}
"""Characters of what an NPC may put in place of the game's."""

_MOVING_VERBS = """
    approach approaching chase chasing climb climbing crawl crawling dash dashing flee fleeing
    fly flying follow following gallop galloping head heading hike hiking hurry hurrying jog
    jogging journey journeying leave leaving march marching move moving patrol patrolling ride
    riding roam roaming run running rush rushing sail sailing sneak sneaking sprint sprinting
    stroll strolling swim swimming travel traveling travelling walk walking wander wandering
"""
MOVING_VERBS = frozenset(_MOVING_VERBS.split())
"""Words that begin an action of somebody on the way. Adverbs before them do not count."""

_LABELS = {
    "location": LOCATION,
    "current location": LOCATION,
    "previous location": PREVIOUS,
    "action": ACTION,
    "current action": ACTION,
    "movement": MOVEMENT,
    "movement state": MOVEMENT,
}
_PIECES = re.compile(r"[|\n]")
_LABELLED = re.compile(r"\s*(?:[-*]\s+)?([^\W\d_][\w ]{0,40}?)\s*:\s*(.*?)\s*", re.DOTALL)


def status_document(
    theirs: str,
    desired: Desired,
    observed_at: float,
    stamp: Stamp = UNSTAMPED,
    limit: int = LIMIT,
    rules: Rules = DEFAULT_RULES,
) -> Rendered:
    """What the block shall hold, from what it holds. `observed_at`: seconds since the epoch.

    Raises DoesNotFitError.
    """
    reading = read(theirs, FIELDS)
    found = with_labelled_line(reading.document)
    before = _texts(found if stamp.base is None else stamp.base)
    is_repeat = stamp.base is not None and stamp.observed_at == observed_at
    ours = _fields(desired, before, is_repeat)
    judge = _judge(theirs, rules.policy, found, stamp)
    if judge.stale or is_replaced(theirs, stamp):
        found = recalled(found, stamp.own)
    claims = {name: Claim(before.get(name), ours[name], found.get(name)) for name in FIELDS}
    kept = _kept(claims, judge) if stamp.base is not None else {}
    shown = {**ours, **kept}
    whole, shelf = {**shown, **npc_part(found, FIELDS)}, Shelf(stamp.aside, observed_at)
    document, aside = checked_aside(whole, limit, Owned(FIELDS), shelf)
    is_same = reading.exact and document == reading.document
    facts = facts_of(shown)
    return Rendered(
        value=theirs if is_same else render(document),
        base={**ours},
        aside=(*stamp.aside, *aside),
        conflicts=_conflicts(claims, shown, judge) if stamp.base is not None else (),
        kept={name: facts[name] for name in kept},
        before=judge.remembers(facts),
        has_settled=_has_settled(theirs, stamp, ours),
        is_base_news=is_same and is_base_news(rules.policy, stamp.base, ours),
        own=own_part(document, FIELDS),
        replaced=with_replaced(theirs, stamp),
    )


def _has_settled(theirs: str, stamp: Stamp, ours: Mapping[str, str]) -> bool:
    if stamp.base is None or is_edited(theirs, stamp):
        return False
    before = _texts(stamp.base)
    return [name for name in FIELDS if before.get(name) != ours[name]] == [MOVEMENT]


def _judge(theirs: str, policy: ConflictPolicy, found: Document, stamp: Stamp) -> Judge:
    last = {**facts_of(_texts(stamp.base or {})), **stamp.kept}
    told = {name: found[name] for name in FIELDS if name in found}
    return Judge.over(policy, last, facts_found(told, theirs), stamp.before)


def _kept(claims: Mapping[str, Claim], judge: Judge) -> dict[str, str]:
    """The fields that stay as somebody made them."""
    return {
        name: str(claim.theirs)
        for name, claim in claims.items()
        if judge.lets_stand(name, claim, _LIMITS[name])
        and (name != MOVEMENT or claim.theirs in (MOVING, STATIONARY))
    }


def _conflicts(
    claims: Mapping[str, Claim], shown: Mapping[str, str], judge: Judge
) -> tuple[Conflict, ...]:
    return tuple(
        conflict
        for name, claim in claims.items()
        for conflict in conflict_over(f"{LABEL}.{name}", claim, shown[name], judge.author(name))
    )


def is_motion(action: str) -> bool:
    """Whether an action says that somebody is on the way: "slowly walking home"."""
    words = re.findall(r"\w+", fold(action))
    verbs = (word for word in words if word in MOVING_VERBS or not word.endswith("ly"))
    return next(verbs, "") in MOVING_VERBS


def _fields(desired: Desired, before: Mapping[str, str], is_repeat: bool) -> dict[str, str]:
    location = before.get(LOCATION, "")
    has_moved = bool(location) and location != desired.location
    return {
        LOCATION: desired.location,
        PREVIOUS: location if has_moved else before.get(PREVIOUS, ""),
        ACTION: desired.action,
        MOVEMENT: _movement(desired.action, before, has_moved, is_repeat),
    }


def _movement(action: str, before: Mapping[str, str], has_moved: bool, is_repeat: bool) -> str:
    if has_moved or is_motion(action):
        return MOVING
    was_moving = before.get(MOVEMENT) == MOVING
    return MOVING if is_repeat and was_moving and before.get(ACTION) == action else STATIONARY


def _texts(document: Mapping[str, object]) -> dict[str, str]:
    return {
        name: shortened(text, DESCRIPTION_LIMIT)
        for name in FIELDS
        if isinstance(text := document.get(name), str)
    }


def with_labelled_line(document: Document) -> Document:
    """The document, with its only unsorted note read as fields if it is a "Location: X" line."""
    notes = document.get(UNSORTED)
    if list(document) != [UNSORTED] or not isinstance(notes, list) or len(notes) != 1:
        return document
    fields = _labelled(notes[0]) if isinstance(notes[0], str) else {}
    return fields if any(name in fields for name in FIELDS) else document


def _labelled(line: str) -> Document:
    fields: Document = {}
    for piece in _PIECES.split(line):
        match = _LABELLED.fullmatch(piece)
        if match is None:
            return {}
        name = _LABELS.get(fold(match[1]), match[1])
        if name in fields:
            return {}
        fields[name] = match[2]
    return fields
