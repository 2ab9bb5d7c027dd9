"""Runs in Letta's own environment, by its Python: database schema, then the server.

    python -I letta_bootstrap.py PORT LOG...

Letta's migrations are not in its package, so the tables are made from its models, with the one
sequence that the migrations would have added. All of it may be done again at each start.
LETTA_PG_URI names the database. The LOG files (our own output, PostgreSQL's) are kept bounded
while we run.
"""

# mypy: ignore-errors
# Its imports exist in Letta's environment only.

import asyncio
import gc
import os
import shutil
import sys
import threading
import time
from pathlib import Path

LOG_LIMIT = 10_000_000
"""Bytes of a log before its content moves to LOG.old."""
LOOK_EVERY = 10.0

# Two first starts at once would otherwise both create the same type.
LOCK = "select pg_advisory_xact_lock(8283)"
SEQUENCE = (
    "create sequence if not exists messages_sequence_id_seq",
    "alter table messages alter column sequence_id set default nextval('messages_sequence_id_seq')",
)


async def make_schema() -> None:
    import letta.orm  # noqa: F401  # registers every table
    from letta.orm.base import Base
    from letta.server.db import engine
    from sqlalchemy import text

    async with engine.begin() as connection:
        await connection.execute(text(LOCK))
        await connection.execute(text("create extension if not exists vector"))
        await connection.run_sync(Base.metadata.create_all)
        for statement in SEQUENCE:
            await connection.execute(text(statement))
    await engine.dispose()


def keep_bounded(logs: list[str]) -> None:
    while True:
        time.sleep(LOOK_EVERY)
        for log in logs:
            bound(log)


def bound(log: str) -> None:
    """Copy and cut: the writers append, so they go on at the new end."""
    try:
        if Path(log).stat().st_size > LOG_LIMIT:
            shutil.copyfile(log, f"{log}.old")
            os.truncate(log, 0)
    except OSError as error:
        print(f"The log {log} cannot be cut: {error}", flush=True)


def leave_imports_to_themselves() -> None:
    """Every full garbage collection would look through all that Letta has imported, and answer
    nobody for half a second.
    """
    gc.collect()
    gc.freeze()


def main() -> None:
    port, logs = int(sys.argv[1]), sys.argv[2:]
    threading.Thread(target=keep_bounded, args=(logs,), daemon=True).start()
    asyncio.run(make_schema())

    from letta.server.rest_api.app import start_server

    leave_imports_to_themselves()
    start_server(port=port, host="127.0.0.1")


if __name__ == "__main__":
    main()
