"""What the reliability tests measured; told at the end of the run, and asserted nowhere.

`ROLLCALL_FIGURES` names a file to which each figure is appended as a line of JSON.
"""

import json
import os
from pathlib import Path

TOLD: list[dict[str, object]] = []


def tell(test: str, **figures: float | str) -> None:
    """A line of docs/reliability.md in the making."""
    line: dict[str, object] = {"test": test, **figures}
    TOLD.append(line)
    if path := os.environ.get("ROLLCALL_FIGURES"):
        with Path(path).open("a") as file:
            file.write(json.dumps(line) + "\n")
