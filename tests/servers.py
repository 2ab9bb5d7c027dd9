"""The real Kafka and the real Letta for tests that need them, once per session.

`ROLLCALL_BROKER` and `ROLLCALL_LETTA_URL` name running servers to use instead; these are left
running. Otherwise embedded ones start on free ports with their data in a temporary folder, from
the same cached installation that `rollcall broker` and `rollcall letta` use.
"""

import os
import sys
from collections.abc import Iterator

import pytest

from ops.embedded import ensure_kafka, ensure_letta, free_port
from ops.embedded.progress import PlainLines


@pytest.fixture(scope="session")
def kafka_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`host:port` of a real broker (the first, if the environment names several)."""
    if named := os.environ.get("ROLLCALL_BROKER"):
        yield first_broker(named)
        return
    with ensure_kafka(tmp_path_factory.mktemp("kafka"), free_port(), progress()) as server:
        yield server.address


@pytest.fixture(scope="session")
def letta_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`http://host:port` of a real Letta."""
    if named := os.environ.get("ROLLCALL_LETTA_URL"):
        yield named.rstrip("/")
        return
    with ensure_letta(tmp_path_factory.mktemp("letta"), free_port(), progress()) as server:
        yield server.url


def first_broker(address: str) -> str:
    """`kafka://a:1;b:2` and `a:1,b:2` alike are `a:1`."""
    bare = address.replace("kafka://", "")
    return bare.replace(";", ",").split(",")[0].strip()


def progress() -> PlainLines:
    """Past pytest's capture, for a first installation takes half a minute and more."""
    return PlainLines(sys.__stderr__)
