"""A stretch and what is decided on it, kept as a test.

    NAME.ndjson     the stretch, with roster, locations, profiles and settings (`exported`)
    NAME.decisions  what was decided on it when it was kept, a JSON object a line

`decided` of the first is the second, as long as the rules decide the same.
"""

from collections.abc import Iterator
from pathlib import Path

import orjson

from ops.replay.dry_run import Decision, DryRun, Known
from ops.replay.exported import Head
from ops.replay.files import head_of, read
from ops.replay.reading import KNOWN_TOPICS
from ops.replay.settings import changed
from ops.replay.stored import TIMESTAMP, Fields
from ops.replay.view import document
from streams.settings import Settings

STRETCH, DECISIONS = ".ndjson", ".decisions"


def decided(file: Path) -> bytes:
    """What today's rules decide on a kept stretch, under its own settings."""
    head = head_of(file)
    settings = changed(Settings(), head.settings)
    return b"".join(orjson.dumps(document(one)) + b"\n" for one in decisions(file, head, settings))


def decisions(file: Path, head: Head, settings: Settings) -> Iterator[Decision]:
    """The decisions that are shown, of a file."""
    known, run = Known(), None
    for record in read(file):
        if record.topic in KNOWN_TOPICS:
            known.hear(record)
            continue
        run = run or DryRun(settings, known)
        made = list(run.take(record))
        if is_shown(record, head.since):
            yield from made


def is_shown(record: Fields, since: float | None) -> bool:
    """Whether a record is part of the stretch itself, and not of what its state is made from."""
    return since is None or record[TIMESTAMP] >= since * 1000


def keep(file: Path) -> Path:
    """Writes what is decided on a stretch beside it; the file written."""
    kept = file.with_suffix(DECISIONS)
    kept.write_bytes(decided(file))
    return kept
