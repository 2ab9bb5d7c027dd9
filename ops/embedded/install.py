"""Installing once, whole or not at all, whoever else tries at the same time.

1. An installation is whole when its folder holds the marker file; the marker is written last.
2. A folder without the marker is what a crash left behind: it is removed and built again.
3. One file lock per installation: a second process waits, then finds it whole.
4. The space is checked before the first byte is fetched.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ops.embedded.errors import ServerError, is_disk_full
from ops.embedded.folders import make_folder
from ops.embedded.locking import exclusive
from ops.embedded.progress import Progress

MARKER = "installed"


@dataclass(frozen=True)
class Installation:
    name: str
    """For messages, with its version."""
    folder: Path
    space: int
    """Bytes that must be free before it begins."""
    build: Callable[[Path, Progress], None]
    """Fills the folder it is given; raises ServerError."""

    @property
    def whole(self) -> bool:
        return (self.folder / MARKER).is_file()


def ensure_installed(what: Installation, progress: Progress) -> Path:
    """The folder of the installation, which is built now if it is not there yet."""
    if what.whole:
        return what.folder
    lock = what.folder.with_name(f"{what.folder.name}.lock")
    wait = f"Waiting for another process that installs {what.name}"
    with exclusive(lock, on_wait=lambda: progress.step(wait)):
        if not what.whole:
            _install(what, progress)
    return what.folder


def _install(what: Installation, progress: Progress) -> None:
    _clear(what.folder)
    make_folder(what.folder)
    check_space(what.name, what.folder, what.space)
    try:
        what.build(what.folder, progress)
        (what.folder / MARKER).write_text(f"{what.name}\n")
    except OSError as error:
        _clear(what.folder)
        raise _explained(what, error) from error
    except BaseException:
        _clear(what.folder)
        raise


def check_space(name: str, folder: Path, needed: int) -> None:
    """Raises ServerError when the file system of `folder` has fewer than `needed` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ServerError(
            f"Not enough disk space for {name} in {folder.parent}: {_gigabytes(needed)} needed, "
            f"{_gigabytes(free)} free; make room or set ROLLCALL_CACHE_DIR to another disk."
        )


def disk_full(name: str, folder: Path) -> ServerError:
    return ServerError(
        f"The disk became full while {name} was installed in {folder.parent}; "
        "make room or set ROLLCALL_CACHE_DIR to another disk."
    )


def _explained(what: Installation, error: OSError) -> ServerError:
    if is_disk_full(error):
        return disk_full(what.name, what.folder)
    return ServerError(f"{what.name} could not be installed in {what.folder}: {error}.")


def _clear(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
