"""A stretch that is read in a process beside this one: reading takes no time from deciding.

The process reads as `reading` does, one batch ahead, and hands them over a pipe. It ends with its
last batch, with `Beside`, or when the pipe breaks because this process is gone. What fails there
is raised here. A Ctrl-C is this process's business alone.
"""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from traceback import format_exception
from types import TracebackType
from typing import Any, NamedTuple, Self

from ops.failure import Failure, sentence_of
from ops.replay.batch import Batch, Echoes
from ops.replay.reading import OnProgress, Wanted, stretch
from ops.replay.undisturbed import undisturbed
from ops.tables import silence_client
from topics.connection import KafkaConnection

_AT_ONCE = 4_000
"""Records in a batch, of which each process holds a few."""


class _Told(NamedTuple):
    """What goes over the pipe; None behind the last."""

    done: int
    total: int
    batch: Batch


class Beside:
    """The process, from entering to leaving. `batches` is for once."""

    def __init__(self, connection: KafkaConnection, wanted: Wanted) -> None:
        # Not forked: a thread of this process, as the one that draws progress, may hold a lock.
        context = get_context("spawn")
        self._told, self._tell = context.Pipe(duplex=False)
        self._topic = wanted.topic
        self._process = context.Process(
            target=_read, args=(connection, wanted, self._tell), daemon=True
        )

    def __enter__(self) -> Self:
        self._process.start()
        self._tell.close()  # so that the pipe ends where the process does
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._end()
        self._told.close()

    async def batches(self, on_progress: OnProgress) -> AsyncIterator[Batch]:
        """The records, in order. A Failure where the topic cannot be read to its end."""
        try:
            while told := await asyncio.to_thread(self._next):
                on_progress(told.done, told.total)
                yield told.batch
        finally:
            self._end()  # else a thread would wait for the next batch, and all wait for it

    def _next(self) -> _Told | None:
        try:
            told: _Told | Exception | None = self._told.recv()
        except EOFError:
            raise Failure(f"the process that reads {self._topic} was ended.") from None
        if isinstance(told, Exception):
            raise told
        return told

    def _end(self) -> None:
        self._process.terminate()
        self._process.join()


def _read(connection: KafkaConnection, wanted: Wanted, pipe: "Connection[Any, Any]") -> None:
    """The process's own work."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    silence_client()
    try:
        with undisturbed():
            asyncio.run(_hand_over(connection, wanted, pipe))
        pipe.send(None)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is raised where it is seen
        with suppress(BrokenPipeError):
            pipe.send(_raised_there(error))


async def _hand_over(
    connection: KafkaConnection, wanted: Wanted, pipe: "Connection[Any, Any]"
) -> None:
    place, echoes = (0, 0), Echoes()

    def note(done: int, total: int) -> None:
        nonlocal place
        place = (done, total)

    async for records in stretch(connection, wanted, note):
        for begin in range(0, len(records), _AT_ONCE):
            batch = Batch.of(records[begin : begin + _AT_ONCE], echoes)
            # In a thread, so that the client goes on fetching while the pipe is full.
            await asyncio.to_thread(pipe.send, _Told(*place, batch))


def _raised_there(error: Exception) -> Exception:
    """What the other process raises: an expected failure, else a bug with its traceback here."""
    sentence = error.message if isinstance(error, Failure) else sentence_of(error)
    return Failure(sentence) if sentence else RuntimeError("".join(format_exception(error)))
