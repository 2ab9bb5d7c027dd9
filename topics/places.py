"""The places of the game, found by slug, or by where one is.

`Places` is a plain in-memory index without I/O, kept up to date from `locations`.
"""

import math
from collections.abc import Iterable, Iterator

from topics.models import Coordinates, Location

REACH = 50.0
"""Studs within which one is somewhere near a place."""

_Cell = tuple[int, int]
_AROUND = [(x, z) for x in (-1, 0, 1) for z in (-1, 0, 1)]


class Places:
    """The known places, by slug and by where they are: whatever is in reach stands in one of nine
    cells, which are as wide as the reach.
    """

    def __init__(self, places: Iterable[Location] = ()) -> None:
        self.version = 0
        """Grows with every change."""
        self._by_slug: dict[str, Location] = {}
        self._cells: dict[_Cell, dict[str, Location]] = {}
        for one in places:
            self.put(one)

    def get(self, slug: str) -> Location | None:
        """The place of this slug."""
        return self._by_slug.get(slug)

    def put(self, place: Location) -> None:
        """Adds a place, or takes the newer account of one that is known."""
        self.remove(place.slug)
        self.version += 1
        self._by_slug[place.slug] = place
        self._cells.setdefault(_cell(place.coordinates), {})[place.slug] = place

    def remove(self, slug: str) -> None:
        """Forgets a place; one that is not there is no error."""
        place = self._by_slug.pop(slug, None)
        if place is not None:
            self.version += 1
            cell = _cell(place.coordinates)
            del self._cells[cell][slug]
            if not self._cells[cell]:
                del self._cells[cell]

    def around(self, position: Coordinates) -> Iterator[Location]:
        """The places that may be in reach, and some others."""
        x, z = _cell(position)
        for right, ahead in _AROUND:
            if cell := self._cells.get((x + right, z + ahead)):
                yield from cell.values()

    def __iter__(self) -> Iterator[Location]:
        return iter(list(self._by_slug.values()))

    def __len__(self) -> int:
        return len(self._by_slug)


def _cell(position: Coordinates) -> _Cell:
    return math.floor(position[0] / REACH), math.floor(position[2] / REACH)
