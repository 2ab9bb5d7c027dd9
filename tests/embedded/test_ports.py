import os
import socket
from collections.abc import Iterator

import psutil
import pytest

from ops.embedded import ports
from ops.embedded.errors import ServerError
from ops.embedded.ports import claim_check, free_port, is_open, owner_of


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_free_port_may_be_claimed() -> None:
    claim_check("Kafka", free_port())


def test_a_port_in_use_is_named_with_who_has_it(taken: int) -> None:
    with pytest.raises(
        ServerError, match=rf"port {taken} is already in use by .*pid {os.getpid()}"
    ):
        claim_check("Kafka", taken)


def test_a_port_taken_on_all_addresses_is_in_use() -> None:
    with socket.create_server(("", 0)) as server, pytest.raises(ServerError):
        claim_check("Kafka", server.getsockname()[1])


def test_an_open_port_is_told_from_a_closed_one(taken: int) -> None:
    assert is_open(taken)
    assert not is_open(free_port())


def test_without_the_right_to_look_the_owner_is_another_program(
    monkeypatch: pytest.MonkeyPatch, taken: int
) -> None:
    def deny(kind: str) -> None:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil, "net_connections", deny)
    monkeypatch.setattr(ports, "LET_GO", 0.0)

    assert owner_of(taken) is None
    with pytest.raises(ServerError, match="in use by another program"):
        claim_check("Kafka", taken)


def test_a_port_that_a_killed_program_lets_go_of_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, taken: int
) -> None:
    refusals = iter([OSError("dying"), OSError("dying"), None])
    monkeypatch.setattr(ports, "_refusal", lambda _: next(refusals))
    monkeypatch.setattr(ports, "owner_of", lambda _: None)

    claim_check("Kafka", taken)

    assert next(refusals, "asked three times") == "asked three times"
