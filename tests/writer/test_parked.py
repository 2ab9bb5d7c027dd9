"""A parked command survives a restart with its place on the command topic."""

import pytest

from streams.writer import parked
from streams.writer.stamp import UNKNOWN, mark_of
from tests.writer.commands import ALICE, command
from topics.decode import DecodeError
from topics.encode import encode


def test_a_parked_command_is_read_back_with_its_place() -> None:
    kept = command(ALICE)

    found = parked.load(parked.dump(kept, mark_of(kept, 7)))

    assert (kept, 7) == found


def test_a_command_that_an_older_worker_parked_has_no_place() -> None:
    kept = command(ALICE)

    found = parked.load(encode(kept))

    assert (kept, UNKNOWN) == found


@pytest.mark.parametrize("value", [b"", b"7", b"\xff", b'{"command": 7}', b'{"offset": "x"}'])
def test_what_is_no_parked_command_is_an_error_that_the_agent_knows(value: bytes) -> None:
    with pytest.raises(DecodeError):
        parked.load(value)
