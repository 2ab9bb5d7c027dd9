import errno
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from ops.embedded.errors import ServerError
from ops.embedded.install import MARKER, Installation, ensure_installed
from ops.embedded.progress import Progress, Quiet

Usage = namedtuple("Usage", "total used free")


def installation(folder: Path, build: object = None, space: int = 0) -> Installation:
    def fill(folder: Path, progress: Progress) -> None:
        (folder / "program").write_text("whole")

    return Installation("Thing 1.0", folder, space, build or fill)  # type: ignore[arg-type]


def test_what_is_missing_is_built(tmp_path: Path) -> None:
    folder = ensure_installed(installation(tmp_path / "thing"), Quiet())

    assert (folder / "program").read_text() == "whole"


def test_what_is_whole_is_not_built_again(tmp_path: Path) -> None:
    def refuse(folder: Path, progress: Progress) -> None:
        pytest.fail("built again")

    ensure_installed(installation(tmp_path / "thing"), Quiet())

    ensure_installed(installation(tmp_path / "thing", refuse), Quiet())


def test_half_an_installation_is_thrown_away_and_built_anew(tmp_path: Path) -> None:
    half = tmp_path / "thing"
    half.mkdir()
    (half / "leftover").touch()

    ensure_installed(installation(half), Quiet())

    assert sorted(path.name for path in half.iterdir()) == [MARKER, "program"]


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), ServerError("no network")])
def test_an_interrupted_installation_leaves_nothing(
    tmp_path: Path, interruption: BaseException
) -> None:
    def stop_halfway(folder: Path, progress: Progress) -> None:
        (folder / "program").write_text("ha")
        raise interruption

    with pytest.raises(type(interruption)):
        ensure_installed(installation(tmp_path / "thing", stop_halfway), Quiet())

    assert not (tmp_path / "thing").exists()


def test_too_little_space_is_told_before_anything_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path, progress: Progress) -> None:
        pytest.fail("began without space")

    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**10, 9 * 10**9, 10**9))

    with pytest.raises(ServerError, match=r"Not enough disk space .* 2\.5 GB needed, 1\.0 GB free"):
        ensure_installed(installation(tmp_path / "thing", refuse, 2_500_000_000), Quiet())


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_becomes_full_is_one_sentence(tmp_path: Path, number: int) -> None:
    def fill_the_disk(folder: Path, progress: Progress) -> None:
        raise OSError(number, "full")

    with pytest.raises(ServerError, match=r"The disk became full while Thing 1\.0"):
        ensure_installed(installation(tmp_path / "thing", fill_the_disk), Quiet())

    assert not (tmp_path / "thing").exists()


BUILD_ONCE = """
import pathlib, sys
from ops.embedded.install import Installation, ensure_installed

class Told:
    def step(self, text, fraction=None):
        print(text, flush=True)

def build(folder, progress):
    with open(sys.argv[2], "a") as builds:
        builds.write("built\\n")
    (folder / "program").write_text("whole")
    print("building", flush=True)
    sys.stdin.readline()

folder = ensure_installed(Installation("Thing", pathlib.Path(sys.argv[1]), 0, build), Told())
assert (folder / "program").read_text() == "whole"
"""


def test_two_processes_at_once_build_once(tmp_path: Path) -> None:
    builder = installing(tmp_path)
    assert says(builder) == "building"
    waiter = installing(tmp_path)
    assert says(waiter) == "Waiting for another process that installs Thing"

    for process in (builder, waiter):
        process.communicate("go on\n", timeout=60)

    assert [builder.returncode, waiter.returncode] == [0, 0]
    assert (tmp_path / "builds").read_text() == "built\n"


def test_the_lock_of_a_killed_installer_is_free_and_its_half_is_rebuilt(tmp_path: Path) -> None:
    killed = installing(tmp_path)
    assert says(killed) == "building"
    killed.kill()
    killed.communicate()

    survivor = installing(tmp_path)
    assert says(survivor) == "building"
    survivor.communicate("go on\n", timeout=60)

    assert survivor.returncode == 0
    assert (tmp_path / "builds").read_text() == "built\nbuilt\n"


def installing(folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", BUILD_ONCE, str(folder / "thing"), str(folder / "builds")],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def says(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    return process.stdout.readline().strip()
