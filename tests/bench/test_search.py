from hypothesis import given
from hypothesis import strategies as st

from ops.bench.carry.search import NEAR, largest


async def searched(limit: int, start: int = 16, most: int = 4000) -> tuple[int, list[int]]:
    asked: list[int] = []

    async def passes(number: int) -> bool:
        asked.append(number)
        return number <= limit

    return await largest(passes, start, most), asked


@given(st.integers(1, 4000), st.integers(1, 4000))
async def test_it_ends_just_below_the_first_that_fails(limit: int, start: int) -> None:
    found, asked = await searched(limit, start)

    assert found <= limit
    assert limit < found * NEAR + 1
    assert len(asked) == len(set(asked))
    assert max(asked) <= 4000


async def test_where_nothing_passes_it_is_0() -> None:
    assert 0 == (await searched(0))[0]


async def test_where_everything_passes_it_is_the_most() -> None:
    assert 640 == (await searched(9999, most=640))[0]
