"""Metrics pages as workers tell them, made by the workers' own collectors."""

from prometheus_client import generate_latest

from ops.top.rates import Look, Page
from ops.top.scrape import page_of
from streams.metrics import Metrics


def page(metrics: Metrics) -> Page:
    return page_of(generate_latest(metrics.registry).decode())


def look(at: float, *workers: Metrics) -> Look:
    return Look(at, {str(number): page(one) for number, one in enumerate(workers)})


def count_requests(metrics: Metrics, operation: str, status: str, *seconds: float) -> None:
    """As the writer does for each request."""
    for each in seconds:
        labels = {"server": "1", "operation": operation}
        metrics.letta_requests.labels(status=status, **labels).inc()
        metrics.letta_seconds.labels(**labels).observe(each)


def show_queue(metrics: Metrics, server: str, waiting: int, age: float, breaker: int) -> None:
    """As the writer does for each of its Letta servers."""
    metrics.queue.labels(server=server).set(waiting)
    metrics.queue_depth.labels(server=server, level="watched_members").set(waiting)
    metrics.queue_depth.labels(server=server, level="refresh").set(0)
    metrics.queue_age.labels(server=server).set(age)
    metrics.limit.labels(server=server).set(4)
    metrics.parked.labels(server=server).set(1)
    metrics.breaker.labels(server=server).set(breaker)
