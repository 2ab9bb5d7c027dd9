"""The jars of Kafka: read from our locks, fetched by jgo, verified before anything is started.

A lock names every jar with its SHA-256, so nothing is resolved at installation, and it does not
matter which Maven repository (jgo's settings file may name mirrors) delivered a jar. Kafka's own
tools have a lock and an installation of their own, which only those get who use one.
"""

import hashlib
import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import requests
from jgo.config import GlobalSettings
from jgo.constants import MAVEN_CENTRAL_URL
from jgo.maven import MavenContext

from ops.embedded.errors import ServerError
from ops.embedded.folders import installation_folder
from ops.embedded.install import Installation
from ops.embedded.progress import Progress

VERSION = "4.3.1"
SPACE, TOOLS_SPACE = 200_000_000, 5_000_000
LOCK = Path(__file__).parent / "locks" / "kafka.txt"
TOOLS_LOCK = LOCK.with_name("kafka-tools.txt")
PARALLEL_DOWNLOADS = 4
TIMEOUT = 60
"""Seconds without an answer of the repository."""

Fetch = Callable[["Jar", Path], Path]
"""Puts a jar somewhere under the given folder and tells where."""

_LINE = re.compile(r"([\w.-]+):([\w.-]+):([\w.-]+) sha256=([0-9a-f]{64})")


@dataclass(frozen=True)
class Jar:
    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def coordinate(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


def parse_lock(text: str) -> list[Jar]:
    """The jars of a lock (`group:artifact:version sha256=...` a line, `#` for comments)."""
    return [_jar(number, line) for number, line in _content(text)]


def kafka_installation(fetch: Fetch | None = None) -> Installation:
    """The broker."""
    return _installation("Kafka", LOCK, SPACE, fetch)


def tools_installation(fetch: Fetch | None = None) -> Installation:
    """What the broker's own tools need beside the jars of the broker."""
    return _installation("Kafka-tools", TOOLS_LOCK, TOOLS_SPACE, fetch)


def _installation(name: str, lock_file: Path, space: int, fetch: Fetch | None) -> Installation:
    lock = lock_file.read_text()
    jars, named = parse_lock(lock), f"{name} {VERSION}"

    def build(folder: Path, progress: Progress) -> None:
        install_jars(jars, folder, progress, fetch or fetch_from_maven(), named)

    folder = installation_folder(f"{name.lower()}-{VERSION}", lock)
    return Installation(named, folder, space, build)


def jar_folder(installation: Path) -> Path:
    return installation / "jars"


def install_jars(
    jars: list[Jar], folder: Path, progress: Progress, fetch: Fetch, name: str
) -> None:
    """Fills the folder's `jars`; raises ServerError on the first jar that is not the locked one."""
    downloads, kept = folder / "downloads", jar_folder(folder)
    kept.mkdir()
    text = f"Downloading {name} ({len(jars)} jar{'' if len(jars) == 1 else 's'})"
    progress.step(text, 0.0)
    with ThreadPoolExecutor(PARALLEL_DOWNLOADS) as pool:
        try:
            for done, (jar, path) in enumerate(_fetched(pool, jars, downloads, fetch), 1):
                verify(jar, path)
                path.replace(kept / jar.file_name)
                progress.step(text, done / len(jars))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    shutil.rmtree(downloads)


def verify(jar: Jar, path: Path) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != jar.sha256:
        raise ServerError(
            f"The downloaded {jar.coordinate} is not the one in our lock (sha256 {found[:12]}..., "
            f"expected {jar.sha256[:12]}...), so nothing was installed."
        )


def fetch_from_maven() -> Fetch:
    """Fetches from Maven Central and from the repositories of the user's jgo settings."""
    repositories = {"central": MAVEN_CENTRAL_URL} | GlobalSettings.load().repositories

    def fetch(jar: Jar, folder: Path) -> Path:
        maven = MavenContext(repo_cache=folder, remote_repos=repositories, timeout=TIMEOUT)
        component = maven.project(jar.group, jar.artifact).at_version(jar.version)
        try:
            return component.artifact().resolve()
        except requests.RequestException as error:
            raise _unreachable(error) from error
        except RuntimeError as error:
            raise ServerError(f"The Maven repository has no {jar.coordinate}.") from error

    return fetch


def _fetched(
    pool: ThreadPoolExecutor, jars: list[Jar], folder: Path, fetch: Fetch
) -> Iterator[tuple[Jar, Path]]:
    return zip(jars, pool.map(lambda jar: fetch(jar, folder), jars), strict=True)


def _unreachable(error: requests.RequestException) -> ServerError:
    return ServerError(
        f"The Maven repository cannot be reached ({type(error).__name__}); Kafka is downloaded "
        "once, so check the network (HTTPS_PROXY, if you use a proxy) and try again."
    )


def _content(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            yield number, line.strip()


def _jar(number: int, line: str) -> Jar:
    match = _LINE.fullmatch(line)
    if match is None:
        raise ServerError(
            f"Line {number} of the Kafka lock is not `group:artifact:version sha256=...`."
        )
    return Jar(*match.groups())
