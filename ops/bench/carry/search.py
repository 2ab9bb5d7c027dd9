"""The largest number that passes, where more is harder: doubling, then halving the gap. Pure."""

import math
from collections.abc import Awaitable, Callable

NEAR = 1.08
"""The gap is closed when the first that fails is less than so many times the last that passes."""


async def largest(
    passes: Callable[[int], Awaitable[bool]], start: int, most: int, near: float = NEAR
) -> int:
    """The largest number tried that passes; 0 where not even 1 does. Asks for each number once."""
    good, bad = 0, most + 1
    number = min(start, most)
    while bad - good > 1 and (good == 0 or bad / good > near):
        if await passes(number):
            good = number
        else:
            bad = number
        number = _next(good, bad, most)
    return good


def _next(good: int, bad: int, most: int) -> int:
    """Twice as many until one fails, half as many until one passes, then the middle."""
    if bad > most:
        return min(good * 2, most)
    if good == 0:
        return max(bad // 2, 1)
    return min(max(round(math.sqrt(good * bad)), good + 1), bad - 1)
