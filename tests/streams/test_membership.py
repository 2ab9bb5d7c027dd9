"""A worker that is gone leaves its group by the next one that starts in its folder."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, NotCoordinatorForGroupError, UnknownMemberIdError

from streams.membership import Membership, leave_for_the_dead

GROUP = "rollcall-filter"

WORKER = """
import sys, time
from pathlib import Path
from streams.membership import Membership
membership = Membership(Path(sys.argv[1]))
membership.note("an older and longer id")
membership.note(sys.argv[2])
print("ready", flush=True)
time.sleep(120)
"""


class Admin:
    """A broker that is asked to let members go."""

    def __init__(self, error: int = 0) -> None:
        self.error = error
        self.left: list[tuple[str, str]] = []

    async def find_coordinator(self, group: str) -> int:
        return 1

    async def _send_request(self, request: Any, _node: int) -> Any:
        self.left.append((request._group, request._member_id))
        return type("Answer", (), {"error_code": self.error})


def worker_in(folder: Path, member_id: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", WORKER, str(folder), member_id]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def killed(folder: Path, member_id: str) -> None:
    process = worker_in(folder, member_id)
    process.send_signal(signal.SIGKILL)
    process.wait()


async def test_a_killed_worker_leaves_once(tmp_path: Path) -> None:
    killed(tmp_path, "member-1")
    admin = Admin()

    counts = [await leave_for_the_dead(admin, GROUP, tmp_path) for _ in range(2)]

    assert counts == [1, 0]
    assert admin.left == [(GROUP, "member-1")]
    assert files_in(tmp_path) == []


async def test_a_living_worker_stays_a_member(tmp_path: Path) -> None:
    killed(tmp_path, "dead")
    living = worker_in(tmp_path, "living")
    admin = Admin()
    try:
        await leave_for_the_dead(admin, GROUP, tmp_path)
    finally:
        living.kill()
        living.wait()

    assert admin.left == [(GROUP, "dead")]


async def test_a_worker_that_never_joined_has_nobody_leave_for_it(tmp_path: Path) -> None:
    killed(tmp_path, "")
    admin = Admin()

    count = await leave_for_the_dead(admin, GROUP, tmp_path)

    assert (count, admin.left, files_in(tmp_path)) == (0, [], [])


@pytest.mark.parametrize("error", [UnknownMemberIdError.errno, NotCoordinatorForGroupError.errno])
async def test_a_broker_that_refuses_stops_nobody(tmp_path: Path, error: int) -> None:
    killed(tmp_path, "member-1")

    assert await leave_for_the_dead(Admin(error), GROUP, tmp_path) == 0


async def test_a_broker_that_is_away_stops_nobody(tmp_path: Path) -> None:
    killed(tmp_path, "member-1")

    class Away(Admin):
        async def find_coordinator(self, group: str) -> int:
            raise KafkaConnectionError

    assert await leave_for_the_dead(Away(), GROUP, tmp_path) == 0


async def test_a_folder_that_is_not_there_yet_is_no_fault(tmp_path: Path) -> None:
    assert await leave_for_the_dead(Admin(), GROUP, tmp_path / "members") == 0


def test_the_newest_id_is_the_one_that_stands(tmp_path: Path) -> None:
    membership = Membership(tmp_path)

    membership.note("a rather long id")
    membership.note("short")

    assert [file.read_text() for file in tmp_path.iterdir()] == ["short"]
