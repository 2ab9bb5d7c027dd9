"""The PostgreSQL of the embedded Letta: reachable through a Unix socket only, small, kept.

PostgreSQL refuses to run as root. When we are root it runs as the account that owns its data
already, else as `postgres` or `nobody`; the folders on the way to its programs and data are made
passable for that account (the execute bit, never read).
"""

import hashlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ops.embedded.errors import ServerError
from ops.embedded.folders import make_folder
from ops.embedded.process import Account, Record, Service, bare_environment, last_trouble
from ops.embedded.progress import Progress

START_PATIENCE = 60.0
"""After a crash it replays its log first."""
START_ATTEMPTS = 3
"""After a kill its last session processes need a moment to notice, and hold the data until then."""
STOP_PATIENCE = 20.0
PORT = 5432
"""Only a part of the socket's name."""
SOCKET_PATH_LIMIT = 100
"""Bytes; the system's limit for a socket's path is 107 on Linux, 103 on macOS."""
SUPERUSER = "postgres"
ACCOUNTS = ("postgres", "nobody")

SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "shared_buffers": "32MB",
    "max_connections": "60",
    "max_wal_size": "256MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    # No shared memory segments (64 MB in a container) and no workers for queries this small.
    "max_parallel_workers_per_gather": "0",
    "io_method": "sync",
    "jit": "off",
}


@dataclass(frozen=True)
class Postgres:
    """The database server of one Letta data folder."""

    binaries: Path
    folder: Path
    """Holds `data`, `run` (socket), `postgres.pid`, `logs`."""

    @property
    def uri(self) -> str:
        """For Letta's drivers; the host name in it is not used, the socket's folder is."""
        sockets = socket_folder(self.folder)
        return f"postgresql://{SUPERUSER}@localhost:{PORT}/postgres?host={sockets}&sslmode=disable"

    @property
    def service(self) -> Service:
        return postgres_service(self.folder)

    def ensure(self, progress: Progress) -> Record:
        """Running and accepting connections; its data is made at the first time."""
        account = chosen_account(self.folder / "data")
        if account:
            _make_passable(self.binaries)
            _make_passable(self.folder)
        self._initialise(account, progress)
        for _ in range(START_ATTEMPTS - 1):
            with suppress(ServerError):
                return self._running(account, progress)
            time.sleep(1)
        return self._running(account, progress)

    def _running(self, account: Account | None, progress: Progress) -> Record:
        record = self.service.running() or self._start(account)
        text = "Starting Letta's PostgreSQL"
        self.service.wait_until(self._accepts, START_PATIENCE, progress, text)
        return record

    def _initialise(self, account: Account | None, progress: Progress) -> None:
        data, fresh = self.folder / "data", self.folder / "data.new"
        if data.exists():
            return
        progress.step("Making Letta's database")
        shutil.rmtree(fresh, ignore_errors=True)
        _own_folder(fresh, account)
        self._initdb(fresh, account)
        fresh.rename(data)

    def _initdb(self, data: Path, account: Account | None) -> None:
        output = make_folder(self.folder / "logs") / "initdb.log"
        locale = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")
        access = ("--auth=trust", f"--username={SUPERUSER}")
        with output.open("wb") as log:
            done = subprocess.run(  # noqa: S603  # our initdb, no shell
                [str(self.binaries / "initdb"), "-D", str(data), "-E", "UTF8", *access, *locale],
                cwd=data,
                env=bare_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
            )
        if done.returncode:
            raise ServerError(f"Letta's database could not be made: {last_trouble(output)}")

    def _start(self, account: Account | None) -> Record:
        sockets = socket_folder(self.folder)
        _own_folder(sockets, account)
        settings = SETTINGS | {"unix_socket_directories": str(sockets)}
        options = [part for item in settings.items() for part in ("-c", "=".join(item))]
        data = self.folder / "data"
        return self.service.start(
            [str(self.binaries / "postgres"), "-D", str(data), "-p", str(PORT), *options],
            port=PORT,
            environment=bare_environment(),
            folder=data,
            account=account,
        )

    def _accepts(self) -> bool:
        options = ("-q", "-t", "2", "-p", str(PORT), "-h", str(socket_folder(self.folder)))
        command = [str(self.binaries / "pg_isready"), *options]
        return subprocess.run(command, check=False).returncode == 0  # noqa: S603  # no shell


def postgres_service(folder: Path) -> Service:
    # SIGINT is PostgreSQL's fast stop: it ends sessions instead of waiting for them.
    return Service(
        "Letta's PostgreSQL",
        folder / "postgres.pid",
        folder / "logs" / "postgres.log",
        stop_signal=signal.SIGINT,
    )


def socket_folder(folder: Path) -> Path:
    """Inside the data folder, unless the socket's path would be too long for the system."""
    inside = folder / "run"
    if len(os.fsencode(inside / f".s.PGSQL.{PORT}")) <= SOCKET_PATH_LIMIT:
        return inside
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"rollcall-{os.geteuid()}-{digest}"


def chosen_account(data: Path) -> Account | None:
    """Whom PostgreSQL must run as; None: as ourselves."""
    if os.geteuid() != 0:
        return None
    if data.exists() and (owner := data.stat().st_uid) != 0:
        return _account(pwd.getpwuid(owner))
    for name in ACCOUNTS:
        if account := _named(name):
            return account
    raise ServerError(
        "PostgreSQL refuses to run as root and this system has neither an account postgres nor "
        "nobody; start the embedded Letta as a normal user."
    )


def _named(name: str) -> Account | None:
    try:
        return _account(pwd.getpwnam(name))
    except KeyError:
        return None


def _account(entry: pwd.struct_passwd) -> Account:
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _own_folder(folder: Path, account: Account | None) -> None:
    """A folder for this account alone; refuses one that somebody else has put in its place."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if account and os.geteuid() == 0 and folder.stat().st_uid == 0:
        os.chown(folder, account.uid, account.gid)
    found = folder.lstat()
    owner = account.uid if account else os.geteuid()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or found.st_mode & 0o077:
        raise ServerError(f"The folder {folder} belongs to somebody else or is open to others.")


def _make_passable(folder: Path) -> None:
    for each in (folder, *folder.parents):
        mode = each.stat().st_mode
        if not mode & stat.S_IXOTH:
            each.chmod(mode | stat.S_IXOTH)
