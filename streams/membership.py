"""A killed worker's place in its group is given up by the next worker that starts from its folder.

Kafka lets nobody join a group, and gives nobody a dead member's partitions, before that member's
session is over: 10 s after `kill -9` that a supervisor used up waiting. Only who knows the member's
id may leave in its name. So each worker notes its id in a file that it keeps locked:

    locked      its worker lives
    not locked  it ended, however it did; who takes the lock leaves the group for it

The kernel drops the lock with the process. A member that left already, or a group that is another
broker's, does no harm: the broker answers that it knows no such member.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import structlog
from aiokafka.errors import KafkaError, NoError, UnknownMemberIdError, for_code
from aiokafka.protocol.group import LeaveGroupRequest

log = structlog.get_logger()

_NEW = ".new"


class Membership:
    """The file of this worker; it is there and locked until the process ends."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{os.getpid()}-{os.urandom(4).hex()}"
        new = folder / f"{name}{_NEW}"
        self._file = new.open("x")
        fcntl.flock(self._file, fcntl.LOCK_EX)
        new.rename(folder / name)  # others look at it from here on, when it is locked
        self._noted = ""

    def note(self, member_id: str) -> None:
        """The id by which the broker knows this worker now; empty while it knows none."""
        if member_id != self._noted:
            self._noted = member_id
            self._file.seek(0)
            self._file.truncate()
            self._file.write(member_id)
            self._file.flush()


async def leave_for_the_dead(admin: Any, group: str, folder: Path) -> int:
    """Leaves the group for each worker of this folder that is gone; how many were members still.

    `admin`: an aiokafka admin client, connected. A broker that refuses is logged: then the
    member's session ends by itself.
    """
    left = 0
    for file in _files(folder):
        with _taken(file) as member_id:
            if member_id:
                left += await _leave(admin, group, member_id)
    return left


def _files(folder: Path) -> list[Path]:
    return [one for one in folder.glob("*") if one.suffix != _NEW]


@contextmanager
def _taken(file: Path) -> Iterator[str]:
    """The member id in a file whose worker is gone, which is removed; empty if one lives."""
    try:
        opened = file.open()
    except FileNotFoundError:
        yield ""
        return
    with opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield ""
            return
        yield opened.read()
        with suppress(FileNotFoundError):
            file.unlink()


async def _leave(admin: Any, group: str, member_id: str) -> bool:
    try:
        coordinator = await admin.find_coordinator(group)
        answer = await admin._send_request(LeaveGroupRequest(group, member_id), coordinator)  # noqa: SLF001 - the only way to ask
        error: type[KafkaError] = for_code(answer.error_code)
    except KafkaError as failure:
        error = type(failure)
    if error is NoError:
        log.info("dead_member_left", group=group, member_id=member_id)
    elif error is not UnknownMemberIdError:
        log.warning("dead_member_stays", group=group, member_id=member_id, error=error.__name__)
    return error is NoError
