from pathlib import Path

import pytest

from ops.embedded.errors import ServerError
from ops.embedded.folders import cache_folder, data_folder, installation_folder


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("ROLLCALL_CACHE_DIR", "ROLLCALL_DATA_DIR", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_folders_are_in_the_home_folder_by_default(tmp_path: Path) -> None:
    assert cache_folder() == tmp_path / ".cache/rollcall"
    assert data_folder() == tmp_path / ".local/share/rollcall"


def test_the_xdg_folders_are_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")

    assert cache_folder() == Path("/somewhere/rollcall")


def test_a_relative_xdg_folder_is_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "here")

    assert data_folder() == tmp_path / ".local/share/rollcall"


def test_our_own_variable_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/somewhere")
    monkeypatch.setenv("ROLLCALL_DATA_DIR", "/mine")

    assert data_folder() == Path("/mine")


@pytest.mark.parametrize("home", ["", "/"])
def test_without_a_home_folder_the_variable_to_set_is_named(
    monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    monkeypatch.setenv("HOME", home)

    with pytest.raises(ServerError, match="set ROLLCALL_CACHE_DIR"):
        cache_folder()


def test_another_lock_is_another_installation() -> None:
    one, same, other = (installation_folder("kafka", lock) for lock in ("a", "a", "b"))

    assert one == same
    assert one != other
