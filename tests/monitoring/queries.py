"""PromQL as its parser reads it: which samples a query asks for, and which labels it groups by."""

from collections.abc import Iterator

import promql_parser
from promql_parser import AggregateExpr, BinaryExpr, Expr, VectorSelector

from tests.monitoring.exported import PANELS, RULES

QUERIES = [rule["expr"] for rule in RULES] + [
    target["expr"] for panel in PANELS for target in panel["targets"]
]


def parsed(query: str) -> Expr:
    """With an interval where Grafana puts one. ValueError unless it is PromQL."""
    return promql_parser.parse(query.replace("$__rate_interval", "1m"))


def parts(expression: Expr) -> list[Expr]:
    """The expression and all that is in it, selectors of ranges opened."""
    found: list[Expr] = []
    promql_parser.walk(expression, found.append)
    return [getattr(part, "vector_selector", part) for part in found]


def selectors(query: str) -> list[VectorSelector]:
    """Each once, however the parser walks a range."""
    found = [part for part in parts(parsed(query)) if isinstance(part, VectorSelector)]
    return list({str(one): one for one in found}.values())


def grouped(query: str) -> Iterator[tuple[Expr, set[str]]]:
    """What is grouped or matched by labels, and by which."""
    for part in parts(parsed(query)):
        if isinstance(part, AggregateExpr) and part.modifier:
            yield part.expr, set(part.modifier.labels)
        if isinstance(part, BinaryExpr) and part.modifier and part.modifier.matching:
            for side in (part.lhs, part.rhs):
                yield side, set(part.modifier.matching.labels)


def names(expression: Expr) -> set[str]:
    """Of the samples in it."""
    return {p.name for p in parts(expression) if isinstance(p, VectorSelector) and p.name}
