"""A point in time on the command line: ISO 8601, seconds since the epoch, or how long ago."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime

import click

_AGO = re.compile(r"-?(\d{1,9})([smhd])", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Moment(click.ParamType):
    """Seconds since the epoch, from `2026-11-23T09:33Z`, `1795426413`, `90m` or `-90m`."""

    name = "time"

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Without a zone it is UTC, as in our records. A usage error for anything else."""
        text = str(value).strip()
        ago = _AGO.fullmatch(text)
        if ago:
            return self._clock() - int(ago[1]) * _SECONDS[ago[2]]
        try:
            return float(text) if text[:1].isdecimal() and "-" not in text else _iso(text)
        except (ValueError, OverflowError):
            self.fail(
                f"{text[:40]!r} is no time: 2026-11-23T09:33Z, seconds since the epoch, or how "
                "long ago (90s, 15m, 2h, 3d).",
                param,
                ctx,
            )


def _iso(text: str) -> float:
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def iso(seconds: float) -> str:
    """A time as it is shown, to the second."""
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return f"{seconds:g}"
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
