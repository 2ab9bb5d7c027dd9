"""Where an NPC is, in words."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.filter.place import IN_THE_OPEN, near, place
from tests.filter.town import MARKET, PLACES
from topics.models import Location
from topics.places import Places

studs = st.floats(-1e9, 1e9)
points = st.tuples(studs, studs, studs)


@pytest.mark.parametrize(
    ("distance", "words"),
    [
        (0.0, "at the entrance to Market Square"),
        (4.999, "at the entrance to Market Square"),
        (5.0, "right outside Market Square"),
        (14.999, "right outside Market Square"),
        (15.0, "near Market Square"),
        (29.999, "near Market Square"),
        (30.0, "in the vicinity of Market Square"),
        (49.999, "in the vicinity of Market Square"),
        (50.0, "in the open"),
        (1e9, "in the open"),
    ],
)
def test_a_distance_becomes_words(distance: float, words: str) -> None:
    assert near((0.0, distance, 0.0), Places([MARKET])) == words
    assert near((-distance, 0.0, 0.0), Places([MARKET])) == words


def test_distances_count_in_all_three_directions() -> None:
    assert near((3.0, 4.0, 12.0), Places([MARKET])) == "right outside Market Square"


def test_the_nearest_place_is_named() -> None:
    assert near((60.0, 0.0, 0.0), PLACES) == "in the vicinity of The Forge"


def test_of_two_equally_near_places_the_first_by_slug_is_named() -> None:
    twins = Places(
        Location(slug=slug, name=slug, coordinates=(0.0, 0.0, 0.0)) for slug in ("b", "a")
    )

    assert near((1.0, 0.0, 0.0), twins) == "at the entrance to a"


def test_without_any_known_place_everything_is_in_the_open() -> None:
    assert near((0.0, 0.0, 0.0), Places()) == IN_THE_OPEN


@pytest.mark.parametrize(
    ("slug", "position", "home", "words"),
    [
        ("market", (100.0, 0.0, 0.0), "forge", "Market Square"),
        ("the moon", (0.0, 0.0, 0.0), "forge", "the moon"),
        (None, (100.0, 0.0, 0.0), "market", "at the entrance to The Forge"),
        (None, (50.0, 40.0, 0.0), "market", "in the open"),
        (None, None, "forge", "The Forge"),
        (None, None, "nowhere yet", "nowhere yet"),
        (None, None, None, ""),
    ],
)
def test_a_slug_counts_before_a_position_and_that_before_the_home(
    slug: str | None, position: tuple[float, float, float] | None, home: str | None, words: str
) -> None:
    assert place(slug, position, home, PLACES) == words


@given(points, st.lists(points, min_size=1, max_size=5))
def test_whoever_is_within_fifty_studs_of_a_place_is_not_in_the_open(
    point: tuple[float, float, float], spots: list[tuple[float, float, float]]
) -> None:
    places = [
        Location(slug=str(at), name=f"Place {at}", coordinates=spot)
        for at, spot in enumerate(spots)
    ]

    words = near(point, Places(places))

    distance = min(math.dist(point, p.coordinates) for p in places)
    assert (words == IN_THE_OPEN) == (distance >= 50.0)
    assert words == IN_THE_OPEN or math.isclose(
        distance, min(math.dist(point, p.coordinates) for p in places if p.name in words)
    )
