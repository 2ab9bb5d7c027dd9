"""Roles become processes: which, with what, and what an operator is told when it cannot be."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streams import worker
from streams.topology import Role, group_id

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _no_settings_of_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("ROLLCALL_"):
            monkeypatch.delenv(name)


@pytest.fixture
def spawned(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[list[str], dict[str, str]]]]:
    """Command and environment of each child that would have been started."""
    found: list[tuple[list[str], dict[str, str]]] = []

    def note(command: list[str], env: dict[str, str]) -> None:
        found.append((command, env))

    monkeypatch.setattr(subprocess, "Popen", note)
    return iter([found])


def ended(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """A worker that is expected to end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "streams.worker", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("roles", [["baker"], ["filter", "baker"], ["FILTER "], [""]])
def test_an_unknown_role_is_refused(roles: list[str]) -> None:
    with pytest.raises(ValueError, match="is not a valid Role"):
        worker.run(roles)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("9400", ["9400", "9401", "9402"]),
        ("0", ["0", "0", "0"]),
        (None, [None, None, None]),
        ("", ["", "", ""]),
    ],
)
def test_each_child_has_a_metrics_port_of_its_own(
    spawned: Any, monkeypatch: pytest.MonkeyPatch, given: str | None, expected: list[str | None]
) -> None:
    if given is not None:
        monkeypatch.setenv("ROLLCALL_METRICS_PORT", given)
    [found] = spawned

    for number, role in enumerate(Role):
        worker._spawn(role, number)

    assert [env.get("ROLLCALL_METRICS_PORT") for _, env in found] == expected


def test_a_child_is_a_worker_of_one_role(spawned: Any) -> None:
    [found] = spawned

    worker._spawn(Role.WRITER, 0)

    assert [command[1:] for command, _ in found] == [["-m", "streams.worker", "writer"]]


PARENT = """
import subprocess, sys
from streams import worker

def spawn(role, number):
    children = {"filter": %r, "writer": "import time; time.sleep(120)"}
    child = subprocess.Popen([sys.executable, "-c", children[role]])
    print(role, child.pid, flush=True)
    return child

worker._spawn = spawn
sys.exit(worker.run_children([worker.Role.FILTER, worker.Role.WRITER]))
"""


def parent(filter_program: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", PARENT % filter_program],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


def children_of(process: "subprocess.Popen[str]") -> list[int]:
    assert process.stdout
    return [int(process.stdout.readline().split()[1]) for _ in range(2)]


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_when_one_child_ends_all_end() -> None:
    with parent("raise SystemExit(3)") as process:
        pids = children_of(process)
        assert process.wait(60) == 1

    assert all(map(is_gone, pids))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_parent_ends_the_children(number: int) -> None:
    with parent("import time; time.sleep(120)") as process:
        pids = children_of(process)
        _until_it_listens(process.pid)
        process.send_signal(number)
        process.wait(60)

    assert all(map(is_gone, pids))


def _until_it_listens(pid: int) -> None:
    """Until the process has a handler of its own for SIGTERM; that for SIGINT comes with it."""
    while True:
        status = Path(f"/proc/{pid}/status").read_text()
        caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
        if int(caught.split()[1], 16) & 1 << (signal.SIGTERM - 1):
            return


def test_a_group_has_the_prefix_of_the_topics() -> None:
    assert [group_id(role, "town.") for role in Role] == [
        "town.rollcall-splitter",
        "town.rollcall-filter",
        "town.rollcall-writer",
    ]


def test_a_broker_that_is_away_is_told_in_one_line() -> None:
    process = ended("filter", ROLLCALL_BROKER="kafka://127.0.0.1:1")

    assert process.returncode == 1
    assert "Kafka cannot be reached at 127.0.0.1:1" in process.stderr
    assert "Traceback" not in process.stderr


def test_a_wrong_setting_ends_a_worker_and_is_named_without_any_secret() -> None:
    process = ended("filter", ROLLCALL_MODE="turbo", ROLLCALL_LETTA_TOKEN="hush-8f1c")

    assert process.returncode != 0
    assert "mode" in process.stderr.lower()
    assert "hush-8f1c" not in process.stderr
