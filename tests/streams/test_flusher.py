"""Batches in order, one at a time; a failed one is the end of the process."""

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress

from streams.flusher import Flusher


class Flushed:
    """Keeps what was flushed; each flush lasts until the test lets it go."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.go = asyncio.Event()
        self.at_work = self.most_at_work = 0

    async def flush(self, items: Sequence[int]) -> None:
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        await self.go.wait()
        self.batches.append(list(items))
        self.at_work -= 1


async def settle(turns: int = 50) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


async def running(flusher: "Flusher[int]") -> "asyncio.Task[None]":
    task = asyncio.create_task(flusher.run())
    await settle()
    return task


async def stopped(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_what_waits_is_flushed_together_and_in_order() -> None:
    flushed = Flushed()
    flusher: Flusher[int] = Flusher(flushed.flush, batch=3)
    task = await running(flusher)
    for number in range(8):
        await flusher.put(number)
        await settle()

    flushed.go.set()
    await settle()

    assert flushed.batches == [[0], [1, 2, 3], [4, 5, 6], [7]]
    assert flushed.most_at_work == 1
    await stopped(task)


async def test_whoever_puts_waits_while_the_queue_is_full() -> None:
    flushed = Flushed()
    flusher: Flusher[int] = Flusher(flushed.flush, batch=1, waiting=2)
    task = await running(flusher)
    for number in range(3):
        await flusher.put(number)
        await settle()

    late = asyncio.create_task(flusher.put(3))
    await settle()
    assert not late.done()

    flushed.go.set()
    await late
    await settle()
    assert flushed.batches == [[0], [1], [2], [3]]
    await stopped(task)


async def test_a_batch_takes_what_waits_by_weight() -> None:
    flushed = Flushed()
    flushed.go.set()
    flusher: Flusher[int] = Flusher(flushed.flush, batch=10, weigh=lambda item: item)
    for weight in (4, 5, 2, 30, 1):
        await flusher.put(weight)
    assert flusher.is_behind

    task = await running(flusher)

    assert flushed.batches == [[4, 5, 2], [30], [1]]
    assert not flusher.is_behind
    await stopped(task)


async def test_whoever_puts_waits_by_weight_too() -> None:
    flushed = Flushed()
    flusher: Flusher[int] = Flusher(flushed.flush, batch=1, waiting=10, weigh=lambda item: item)
    await flusher.put(9)
    await flusher.put(50)  # whatever one weighs, it goes in where there is room

    late = [asyncio.create_task(flusher.put(1)) for _ in range(3)]
    await settle()
    assert [False, False, False] == [one.done() for one in late]

    flushed.go.set()
    task = await running(flusher)
    await asyncio.gather(*late)
    await settle()
    assert flushed.batches == [[9], [50], [1], [1], [1]]
    await stopped(task)


async def test_a_failed_flush_leaves() -> None:
    left = []

    async def fail(_: Sequence[int]) -> None:
        raise ConnectionError("the broker is away")

    flusher: Flusher[int] = Flusher(fail, on_failure=lambda: left.append(True))
    task = await running(flusher)

    await flusher.put(1)
    await settle()

    assert left == [True]
    await stopped(task)


async def test_being_stopped_is_no_failure() -> None:
    left: list[bool] = []
    flushed = Flushed()
    flusher: Flusher[int] = Flusher(flushed.flush, on_failure=lambda: left.append(True))
    task = await running(flusher)
    await flusher.put(1)
    await settle()

    await stopped(task)

    assert left == []


def test_leaving_ends_the_process_at_once_and_tells_why() -> None:
    program = """
import asyncio
from streams.flusher import Flusher

async def fail(items):
    raise ConnectionError("the broker is away")

async def main():
    flusher = Flusher(fail)
    await flusher.put(1)
    try:
        await flusher.run()
    finally:
        print("cleaned up")

asyncio.run(main())
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )

    assert ended.returncode == 70
    assert "flush_failed" in ended.stdout + ended.stderr
    assert "cleaned up" not in ended.stdout
