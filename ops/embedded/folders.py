"""Where installations and data live: two folders, each of which can be deleted as a whole.

| folder | variable | default | holds |
|---|---|---|---|
| cache | `ROLLCALL_CACHE_DIR` | `~/.cache/rollcall` | installations, keyed by their lock |
| data | `ROLLCALL_DATA_DIR` | `~/.local/share/rollcall` | data, logs, pid files |

The XDG variables are honoured when they are absolute, as their specification demands.
"""

import hashlib
import os
from pathlib import Path

from ops.embedded.errors import ServerError


def cache_folder() -> Path:
    return _folder("ROLLCALL_CACHE_DIR", "XDG_CACHE_HOME", ".cache")


def data_folder() -> Path:
    return _folder("ROLLCALL_DATA_DIR", "XDG_DATA_HOME", ".local/share")


def installation_folder(name: str, *content: str) -> Path:
    """The folder of one installation; other content (a lock, a Python version): another folder."""
    digest = hashlib.sha256("\0".join(content).encode()).hexdigest()
    return cache_folder() / f"{name}-{digest[:12]}"


def make_folder(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ServerError(f"The folder {path} cannot be made: {error.strerror}.") from error
    return path


def _folder(variable: str, xdg_variable: str, under_home: str) -> Path:
    if chosen := os.environ.get(variable):
        return Path(chosen).expanduser().absolute()
    xdg = Path(os.environ.get(xdg_variable, ""))
    base = xdg if xdg.is_absolute() else _home(variable) / under_home
    return base / "rollcall"


def _home(variable: str) -> Path:
    missing = f"There is no home folder to use: set {variable} to a folder of yours."
    try:
        home = Path.home()
    except RuntimeError as error:
        raise ServerError(missing) from error
    if not home.is_absolute() or home == Path("/"):
        raise ServerError(missing)
    return home
