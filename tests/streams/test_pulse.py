"""A worker that still learns what it must know is seen to live."""

import asyncio

import pytest

from streams import pulse as looking
from streams.health import Pulse, Work
from streams.pulse import watched


def nothing_done() -> Work:
    return Work(False, 0, 0)


class Steady:
    """A clock that is set by hand, and a pulse on it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pulse = Pulse(60.0, lambda: self.now)


async def test_learning_for_longer_than_a_stall_is_no_stall(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steady, learnt = Steady(), asyncio.Event()
    monkeypatch.setattr(looking, "LOOK_SECONDS", 0.001)
    verdicts: list[bool] = []

    def work() -> Work:
        verdicts.append(steady.pulse.verdict().is_live)
        steady.now += 50.0
        if len(verdicts) == 3:
            learnt.set()
        return nothing_done()

    async def learn() -> None:
        await learnt.wait()

    await watched(steady.pulse, work, learn())

    assert verdicts[:3] == [True, True, True]


async def test_what_learning_fails_with_is_raised() -> None:
    async def learn() -> None:
        raise LookupError("no topic")

    with pytest.raises(LookupError, match="no topic"):
        await watched(Steady().pulse, nothing_done, learn())


async def test_learning_ends_with_whoever_waits_for_it() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def learn() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    waiting = asyncio.create_task(watched(Steady().pulse, nothing_done, learn()))
    await begun.wait()
    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.wait_for(ended.wait(), 5)
