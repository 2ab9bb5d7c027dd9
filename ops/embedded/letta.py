"""A real Letta server with a PostgreSQL of its own, loopback only, one worker, no model keys.

Data folder: `letta/home` (Letta's HOME), `letta/postgres`, `letta/logs`, `letta/letta.pid`.

Letta gets a bare environment: no key and no setting of ours reaches it unless it is passed on by
name. Its connection pool, off by default, is on: a block update then takes a third of the time (p50
37 ms for 110 ms on two cores).
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from ops.embedded.errors import ServerError
from ops.embedded.folders import make_folder
from ops.embedded.install import check_space, ensure_installed
from ops.embedded.letta_install import environment_python, letta_installation, postgres_binaries
from ops.embedded.locking import exclusive
from ops.embedded.ports import LOOPBACK, claim_check, is_open
from ops.embedded.postgres import STOP_PATIENCE as POSTGRES_STOP_PATIENCE
from ops.embedded.postgres import Postgres, postgres_service
from ops.embedded.process import Record, Service, bare_environment, memory, stopped_on_error
from ops.embedded.progress import Progress, Quiet
from ops.embedded.status import Status

DEFAULT_PORT = 8283
START_PATIENCE = 180.0
"""About 20 s on two idle cores; the first start compiles Letta's Python files."""
STOP_PATIENCE = 15.0
DATA_SPACE = 200_000_000
HEALTH_TIMEOUT = 5.0
BOOTSTRAP = Path(__file__).parent / "letta_bootstrap.py"

SETTINGS = {
    "LETTA_UVICORN_WORKERS": "1",
    "LETTA_DISABLE_SQLALCHEMY_POOLING": "false",
    "LETTA_PG_POOL_SIZE": "30",
    "LETTA_PG_MAX_OVERFLOW": "10",
    "LETTA_ENABLE_DB_POOL_MONITORING": "false",
    "LETTA_DISABLE_TRACING": "true",
    "LETTA_ENABLE_BATCH_JOB_POLLING": "false",
    "OTEL_SDK_DISABLED": "true",
    "DO_NOT_TRACK": "1",
}


@dataclass(frozen=True)
class LettaServer:
    """A running Letta. As a context manager it stops at the end, if this call started it."""

    port: int
    pid: int
    log_file: Path
    folder: Path
    started_here: bool
    """False: it ran already, and `with` leaves it running."""

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def stop(self) -> bool:
        """Stop it and its PostgreSQL; False if it did not run any more."""
        return stop_letta(self.folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.started_here:
            self.stop()


def ensure_letta(
    data_dir: Path,
    port: int = DEFAULT_PORT,
    progress: Progress | None = None,
    environment: Mapping[str, str] | None = None,
) -> LettaServer:
    """A Letta with its data in `data_dir`, installed and started if need be, answering requests.

    `environment` is passed on to it: keys and addresses of models, say. Raises ServerError.
    """
    progress = progress or Quiet()
    with _alone(data_dir, progress):
        service = _service(data_dir)
        if record := service.running():
            _same_port(record, port)
        started_here = record is None
        with _all_stopped_on_error(data_dir) if started_here else nullcontext():
            record = _ensure(data_dir, record, port, progress, environment or {})
    return LettaServer(port, record.pid, service.log_file, data_dir, started_here)


def stop_letta(data_dir: Path, progress: Progress | None = None) -> bool:
    """True if a Letta or its PostgreSQL ran in this data folder; both are stopped then."""
    progress = progress or Quiet()
    if not _folder(data_dir).exists():
        return False
    with _alone(data_dir, progress):
        progress.step("Stopping Letta")
        letta = _service(data_dir).stop(STOP_PATIENCE)
        database = _database_service(data_dir).stop(POSTGRES_STOP_PATIENCE)
    return letta or database


def letta_status(data_dir: Path) -> Status:
    record, database = _service(data_dir).running(), _database_service(data_dir).running()
    pids = {"letta": record.pid} if record else {}
    pids |= {"postgres": database.pid} if database else {}
    return Status(
        name="Letta",
        running=record is not None,
        healthy=record is not None and database is not None and answers(record.port),
        address=f"http://{LOOPBACK}:{record.port}" if record else None,
        port=record.port if record else None,
        pids=pids,
        memory=sum(memory(pid) for pid in pids.values()),
        started_at=record.started_at if record else None,
        data=_folder(data_dir),
        log=_service(data_dir).log_file,
    )


def answers(port: int) -> bool:
    if not is_open(port):
        return False
    # No proxy of the environment may come between us and the loopback interface.
    with httpx.Client(trust_env=False, timeout=HEALTH_TIMEOUT) as client:
        try:
            return client.get(f"http://{LOOPBACK}:{port}/v1/health/").status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False


def _ensure(
    data_dir: Path,
    record: Record | None,
    port: int,
    progress: Progress,
    environment: Mapping[str, str],
) -> Record:
    """PostgreSQL first: it may have died under a Letta that still runs."""
    if record is None:
        claim_check("Letta", port)
    installation = ensure_installed(letta_installation(), progress)
    check_space("Letta's data", _prepared(data_dir), DATA_SPACE)
    database = Postgres(postgres_binaries(installation), _folder(data_dir) / "postgres")
    database.ensure(progress)
    service = _service(data_dir)
    if record is None:
        command = _command(data_dir, installation, port)
        variables = _environment(data_dir, database.uri) | dict(environment)
        home = _folder(data_dir) / "home"
        record = service.start(command, port=port, environment=variables, folder=home)
    service.wait_until(lambda: answers(port), START_PATIENCE, progress, "Starting Letta")
    return record


def _prepared(data_dir: Path) -> Path:
    folder = make_folder(_folder(data_dir))
    for name in ("home", "logs", "postgres"):
        make_folder(folder / name)
    folder.chmod(0o711)  # passable for PostgreSQL's account, when we are root
    (folder / "home").chmod(0o700)
    return folder


def _command(data_dir: Path, installation: Path, port: int) -> list[str]:
    # -I: the folder of the script, which has a letta.py, must not be searched for modules.
    python = str(environment_python(installation))
    logs = (_service(data_dir).log_file, _database_service(data_dir).log_file)
    return [python, "-I", "-u", "-W", "ignore", str(BOOTSTRAP), str(port), *map(str, logs)]


def _environment(data_dir: Path, uri: str) -> dict[str, str]:
    own = {"HOME": str(_folder(data_dir) / "home"), "LETTA_PG_URI": uri}
    return bare_environment() | SETTINGS | own


@contextmanager
def _all_stopped_on_error(data_dir: Path) -> Iterator[None]:
    with (
        stopped_on_error(_database_service(data_dir), POSTGRES_STOP_PATIENCE),
        stopped_on_error(_service(data_dir), STOP_PATIENCE),
    ):
        yield


def _same_port(record: Record, port: int) -> None:
    if record.port != port:
        raise ServerError(
            f"Letta already runs with this data folder on port {record.port} (pid {record.pid}), "
            f"not on {port}; stop it first or choose another --data-dir."
        )


def _service(data_dir: Path) -> Service:
    folder = _folder(data_dir)
    return Service("Letta", folder / "letta.pid", folder / "logs" / "letta.log")


def _database_service(data_dir: Path) -> Service:
    return postgres_service(_folder(data_dir) / "postgres")


def _alone(data_dir: Path, progress: Progress) -> AbstractContextManager[None]:
    text = "Waiting for another process that starts or stops Letta"
    return exclusive(_folder(data_dir) / "lock", on_wait=lambda: progress.step(text))


def _folder(data_dir: Path) -> Path:
    return data_dir.absolute() / "letta"
