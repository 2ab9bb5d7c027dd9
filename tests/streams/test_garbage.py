"""What is there when the work begins is not looked through; what comes later is."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from streams.garbage import THRESHOLDS, spare_what_is_here


class Thing:
    """Something that can refer to itself."""

    me: object


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


def test_what_is_here_is_spared_and_the_rest_looked_through_more_seldom() -> None:
    kept = [Thing() for _ in range(1000)]

    spare_what_is_here()

    assert gc.get_freeze_count() >= len(kept)
    assert gc.get_threshold() == THRESHOLDS
    assert not [one for one in gc.get_objects() if one is kept]


def test_a_cycle_that_comes_later_is_still_found() -> None:
    spare_what_is_here()
    thing = Thing()
    thing.me = thing
    gone = weakref.ref(thing)

    del thing
    gc.collect()

    assert gone() is None
