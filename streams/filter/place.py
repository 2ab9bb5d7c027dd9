"""Where an NPC is, in words.

A slug names a known place; a position is told from the nearest one. Distances are in studs:

    under 5    "at the entrance to Market Square"
    under 15   "right outside Market Square"
    under 30   "near Market Square"
    under 50   "in the vicinity of Market Square"
    beyond     "in the open"
"""

import math

from topics.models import Coordinates
from topics.places import REACH, Places

IN_THE_OPEN = "in the open"
_WORDS = (
    (5.0, "at the entrance to"),
    (15.0, "right outside"),
    (30.0, "near"),
    (REACH, "in the vicinity of"),
)


def place(slug: str | None, position: Coordinates | None, home: str | None, places: Places) -> str:
    """The text for `current_location`: the slug's, else the position's, else that of home.

    Empty where none of the three is given: nobody knows.
    """
    if slug:
        return name_of(slug, places)
    if position is not None:
        return near(position, places)
    return name_of(home, places) if home else ""


def name_of(slug: str, places: Places) -> str:
    """The name of a place; the slug itself while nobody has told us of the place."""
    known = places.get(slug)
    return known.name if known else slug


def near(position: Coordinates, places: Places) -> str:
    """The nearest known place, and how near. Equally near: the first by slug."""
    nearest = min(
        (
            (math.dist(position, one.coordinates), one.slug, one.name)
            for one in places.around(position)
        ),
        default=None,
    )
    if nearest is None:
        return IN_THE_OPEN
    distance, _, name = nearest
    return next((f"{words} {name}" for bound, words in _WORDS if distance < bound), IN_THE_OPEN)
