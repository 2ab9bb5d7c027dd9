"""A file lock between processes: held while its `with` block runs, released even by a crash."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ops.embedded.errors import ServerError
from ops.embedded.folders import make_folder


@contextmanager
def exclusive(path: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Wait for the lock file at `path`; `on_wait` is called once if another process holds it."""
    make_folder(path.parent)
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ServerError(f"The lock file {path} cannot be opened: {error.strerror}.") from error
    try:
        _lock(handle, on_wait)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, on_wait: Callable[[], None]) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        on_wait()
        fcntl.flock(handle, fcntl.LOCK_EX)
