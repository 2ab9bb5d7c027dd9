"""Headers of a dead letter: which stage could not handle a record, why, and where it came from.

The value and the key of a dead letter are the record's own bytes, untouched. Reading never fails:
whoever wrote the headers, `parse_headers` takes what it can and leaves the rest None.
"""

from collections.abc import Iterable
from typing import Final

from topics.models import Model
from topics.text import clean

STAGE: Final = "rollcall-stage"
ERROR: Final = "rollcall-error"
TOPIC: Final = "rollcall-topic"
PARTITION: Final = "rollcall-partition"
OFFSET: Final = "rollcall-offset"
FAILED_AT: Final = "rollcall-failed-at"

ERROR_LIMIT: Final = 500
"""Characters of an error: one sentence, not a traceback."""

Headers = list[tuple[str, bytes]]


class DeadLetter(Model, frozen=True, kw_only=True):
    """Why a record is a dead letter; None or empty where a header is missing or makes no sense."""

    stage: str = ""
    error: str = ""
    topic: str = ""
    partition: int | None = None
    offset: int | None = None
    failed_at: float | None = None


def headers_for(
    stage: str, error: object, topic: str, partition: int, offset: int, failed_at: float
) -> Headers:
    """The headers of a record that a stage refuses; `failed_at` in seconds since the epoch."""
    texts = {
        STAGE: stage,
        ERROR: clean(str(error), ERROR_LIMIT) or type(error).__name__,
        TOPIC: topic,
        PARTITION: str(partition),
        OFFSET: str(offset),
        FAILED_AT: repr(failed_at),
    }
    return [(name, text.encode()) for name, text in texts.items()]


def parse_headers(headers: Iterable[tuple[str, bytes | None]]) -> DeadLetter:
    """The headers of a dead letter; where one is repeated, the last counts."""
    texts = {name: (value or b"").decode(errors="replace") for name, value in headers}
    return DeadLetter(
        stage=clean(texts.get(STAGE, ""), ERROR_LIMIT),
        error=clean(texts.get(ERROR, ""), ERROR_LIMIT),
        topic=clean(texts.get(TOPIC, ""), ERROR_LIMIT),
        partition=_count(texts.get(PARTITION)),
        offset=_count(texts.get(OFFSET)),
        failed_at=_seconds(texts.get(FAILED_AT)),
    )


def _count(text: str | None) -> int | None:
    # isdecimal() alone would take digits of other scripts; 19 digits hold any offset.
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 20 else None


def _seconds(text: str | None) -> float | None:
    try:
        seconds = float(text or "")
    except ValueError:
        return None
    return seconds if 0.0 <= seconds < float("inf") else None
