"""One look for programs: all that is known, nothing cut but what was bounded when it was read."""

from typing import Any

from ops.top.behind import Behind
from ops.top.figures import Figures, Freshness, Operation
from ops.top.reading import Sight


def document(sight: Sight) -> dict[str, Any]:
    """Seconds, and rates a second; null where a figure is not known."""
    return {
        "at": round(sight.at, 3),
        "workers": [one._asdict() for one in sight.workers],
        "metrics": _figures(sight.figures) if sight.figures else None,
        "lag": [_behind(one) for one in sight.behind],
        "lag_why_not": sight.lag_why_not,
        "told_late": [_rounded(one._asdict()) for one in sight.late],
        "waiting": [_rounded(one._asdict()) for one in sight.waiting],
        "waiting_npcs": sight.waiting_npcs,
    }


def _figures(found: Figures) -> dict[str, Any]:
    return {
        "seconds": round(found.seconds, 3),
        "world_snapshots": _rounded(found.worlds),
        "snapshots": _rounded(found.snapshots),
        "commands": _rounded(found.commands),
        "results": _rounded(found.results),
        "letta": [_operation(one) for one in found.letta],
        "saved": _round(found.saved),
        "freshness": _freshness(found.freshness),
        "writer": [_rounded(one._asdict()) for one in found.writer],
        "stages": [one._asdict() for one in found.troubles],
    }


def _operation(one: Operation) -> dict[str, Any]:
    return _rounded({"operation": one.name, **one._asdict()}, without="name")


def _freshness(one: Freshness) -> dict[str, Any]:
    return _rounded(one._asdict())


def _behind(one: Behind) -> dict[str, Any]:
    return _rounded({**one._asdict(), "verdict": one.verdict.value})


def _rounded(values: dict[str, Any], without: str = "") -> dict[str, Any]:
    return {name: _round(value) for name, value in values.items() if name != without}


def _round(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value
