"""`rollcall bench lag`: `rollcall lag` against the broker's own tool, and against the clock."""

import asyncio
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import click
from rich.console import Console
from rich.table import Table

from ops.bench.lag.agreement import Age, Judged, widest
from ops.bench.lag.measuring import Sample, Stop, course
from ops.bench.options import json_option, seed_option
from ops.demo.servers import ensure_kafka_alone, new_run
from ops.demo.view import open_console
from ops.embedded.kafka_tools import ensure_tools
from ops.embedded.progress import Progress, shown_progress
from topics.connection import KafkaConnection

WITHIN = 1.0
"""Seconds by which a lag in seconds may be wrong."""


class Plan(NamedTuple):
    """What to measure."""

    samples: int
    rate: float
    stops: tuple[float, ...]
    seed: int


class Report(NamedTuple):
    """What was measured."""

    samples: list[Sample]
    stops: list[Stop]

    @property
    def moving(self) -> list[list[Judged]]:
        return [one.moving for one in self.samples]

    @property
    def at_rest(self) -> list[list[Judged]]:
        return [one.at_rest for one in self.samples]

    @property
    def is_right(self) -> bool:
        """All agree, and no age is further from the truth than it may be."""
        faults = [one for sample in self.moving + self.at_rest for one in sample if one.fault]
        return not faults and all(worst(one.ages) <= WITHIN for one in self.stops)


@click.command()
@click.option("--samples", type=click.IntRange(0), default=20, show_default=True)
@click.option(
    "--rate",
    type=click.FloatRange(1),
    default=200.0,
    show_default=True,
    help="Records a second; the consumer finishes fewer.",
)
@click.option(
    "--stop",
    "stops",
    type=click.FloatRange(0, min_open=True),
    multiple=True,
    default=(3.0, 10.0, 20.0),
    show_default=True,
    help="Stop the consumer for so many seconds; may be repeated.",
)
@seed_option
@json_option
def lag(
    samples: int, rate: float, stops: tuple[float, ...], seed: int, json_file: Path | None
) -> None:
    """Whether `rollcall lag` tells what `kafka-consumer-groups --describe` tells, and the seconds.

    Each sample compares both on every partition of a topic under load: read before and after the
    tool, its figures have to lie between; then with publisher and consumer held, they have to be
    equal. After that the consumer is stopped for known times, and the seconds are compared with
    the time since the next record was sent, which the publisher knows. Exits with 1 on any
    disagreement, and where the seconds are wrong by more than one.
    """
    plan = Plan(samples, rate, stops, seed)
    with ExitStack() as stack:
        progress = stack.enter_context(shown_progress())
        class_path = ensure_tools(progress)
        connection = ensure_kafka_alone(stack, progress).connection(f"{new_run('lag')}-")
        report = asyncio.run(_measure(connection, class_path, plan, progress))
    _tell(report, open_console())
    if json_file:
        json_file.write_text(json.dumps(as_json(plan, report), indent=2) + "\n")
    raise SystemExit(0 if report.is_right else 1)


async def _measure(
    connection: KafkaConnection, class_path: str, plan: Plan, progress: Progress
) -> Report:
    report = Report([], [])
    async with course(connection, class_path, plan.rate, plan.seed) as running:
        for number in range(plan.samples):
            progress.step("Comparing with the broker's own tool", number / plan.samples)
            report.samples.append(await running.sample())
        for seconds in plan.stops:
            progress.step(f"Stopping the consumer for {seconds:g} s")
            report.stops.append(await running.stop(seconds))
    return report


def worst(ages: list[Age]) -> float:
    """The largest error, in seconds."""
    return max((one.error for one in ages), default=0.0)


def compared(report: Report) -> Table:
    """How often both said the same."""
    table = _table("Compared", "Samples", "Partitions", "Agree", "Most lag", "Widest bracket")
    for name, samples in (("under load", report.moving), ("at rest", report.at_rest)):
        judged = [one for sample in samples for one in sample]
        most = max((told.lag or 0 for one in judged for told in one.answers), default=0)
        agree = sum(not one.fault for one in judged)
        cells = (len(samples), len(judged), agree, most, widest(judged))
        table.add_row(name, *(f"{cell:,}" for cell in cells))
    return table


def stopped(report: Report) -> Table:
    """Seconds told against the truth."""
    table = _table("Stopped for", "Ages read", "Shortest", "Longest", "Largest error")
    for one in report.stops:
        true = [age.true for age in one.ages]
        cells = (min(true, default=0.0), max(true, default=0.0), worst(one.ages))
        table.add_row(
            f"{one.seconds:g} s", f"{len(one.ages):,}", *(f"{cell:.3f} s" for cell in cells)
        )
    return table


def faults(report: Report) -> list[str]:
    """A line for each disagreement."""
    return [
        f"sample {number} {name}, partition {one.partition}: {one.fault}: {_answers(one)}"
        for name, samples in (("under load", report.moving), ("at rest", report.at_rest))
        for number, sample in enumerate(samples, 1)
        for one in sample
        if one.fault
    ]


def as_json(plan: Plan, report: Report) -> dict[str, Any]:
    """Every answer and every age."""
    return {
        "options": plan._asdict(),
        "samples": [
            {"moving": _judged(one.moving), "at_rest": _judged(one.at_rest)}
            for one in report.samples
        ],
        "stops": [
            {
                "seconds": one.seconds,
                "largest_error": round(worst(one.ages), 4),
                "ages": [age._asdict() for age in one.ages],
            }
            for one in report.stops
        ],
        "agree": not faults(report),
        "right": report.is_right,
    }


def _tell(report: Report, console: Console) -> None:
    if report.samples:
        console.print(compared(report))
    if report.stops:
        console.print(stopped(report))
    for line in faults(report):
        console.print(line, style="red", markup=False)


def _judged(judged: list[Judged]) -> list[dict[str, Any]]:
    return [
        {
            "partition": one.partition,
            "answers": [told._asdict() for told in one.answers],
            "fault": one.fault,
        }
        for one in judged
    ]


def _answers(judged: Judged) -> str:
    """Committed, end and lag, as they were told one after the other."""
    return " | ".join(
        " ".join("-" if cell is None else f"{cell}" for cell in told) for told in judged.answers
    )


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    return table
