"""The places of the game, by slug and by where one is."""

import math
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from topics.models import Coordinates, Location
from topics.places import REACH, Places

studs = st.floats(-300, 300) | st.floats(-1e9, 1e9)
points = st.tuples(studs, studs, studs)
slugs = st.sampled_from(["inn", "mill", "pier"])
changes = st.lists(st.tuples(slugs, points | st.none()), max_size=12)


def place(slug: str, at: Coordinates = (0.0, 0.0, 0.0)) -> Location:
    return Location(slug=slug, name=slug.title(), coordinates=at)


def in_reach(point: Coordinates, places: Iterable[Location]) -> set[str]:
    return {one.slug for one in places if math.dist(point, one.coordinates) < REACH}


@given(changes, points)
def test_whatever_is_in_reach_is_found_after_any_changes(
    told: list[tuple[str, Coordinates | None]], point: Coordinates
) -> None:
    places, model = Places(), dict[str, Location]()
    for slug, at in told:
        if at is None:
            places.remove(slug)
            model.pop(slug, None)
        else:
            places.put(place(slug, at))
            model[slug] = place(slug, at)

    assert in_reach(point, model.values()) == in_reach(point, places.around(point))
    assert list(model.values()) == sorted(places, key=list(model.values()).index)
    assert len(model) == len(places)


def test_a_place_that_moved_is_no_longer_where_it_was() -> None:
    places = Places([place("inn")])

    places.put(place("inn", (1000.0, 0.0, 0.0)))

    assert [] == list(places.around((0.0, 0.0, 0.0)))
    assert [place("inn", (1000.0, 0.0, 0.0))] == list(places.around((1001.0, 0.0, 3.0)))


def test_each_change_is_a_new_version_and_nothing_else_is() -> None:
    places = Places()
    versions = [places.version]
    places.put(place("inn"))
    versions.append(places.version)
    places.put(place("inn"))
    versions.append(places.version)
    places.remove("inn")
    versions.append(places.version)

    places.remove("inn")

    assert sorted(set(versions)) == versions
    assert versions[-1] == places.version
