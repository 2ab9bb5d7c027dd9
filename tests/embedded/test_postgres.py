import os
from pathlib import Path

import pytest

from ops.embedded.errors import ServerError
from ops.embedded.postgres import (
    SOCKET_PATH_LIMIT,
    Postgres,
    _make_passable,
    _own_folder,
    chosen_account,
    socket_folder,
)


def test_the_socket_is_in_the_data_folder() -> None:
    assert socket_folder(Path("/data/letta/postgres")) == Path("/data/letta/postgres/run")


def test_a_data_folder_with_a_long_name_has_its_socket_elsewhere() -> None:
    long, longer = Path("/d" * 60), Path("/d" * 61)

    assert len(str(socket_folder(long) / ".s.PGSQL.5432")) <= SOCKET_PATH_LIMIT
    assert socket_folder(long) != socket_folder(longer)


def test_the_database_is_reached_through_the_socket_only() -> None:
    database = Postgres(Path("/bin"), Path("/data"))

    assert database.uri.endswith("?host=/data/run&sslmode=disable")


def test_a_socket_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(ServerError, match="belongs to somebody else"):
        _own_folder(tmp_path / "run", None)


def test_a_socket_folder_that_is_open_to_others_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run").chmod(0o777)

    with pytest.raises(ServerError, match="open to others"):
        _own_folder(tmp_path / "run", None)


def test_a_normal_user_runs_postgres_as_himself(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    assert chosen_account(tmp_path / "none") is None


def test_root_runs_postgres_as_somebody_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    account = chosen_account(tmp_path / "none")

    assert account is not None
    assert account.uid != 0


def test_folders_are_made_passable_but_not_readable(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o700)

    _make_passable(tmp_path / "data")

    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o701
