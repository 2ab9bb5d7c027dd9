"""What two looks at the workers' metrics say of the time between them. Pure.

    a worker's page                             it grew by
    ------------------------------------------  ------------------------------------------------
    was there both times                        what each of its counters shows more
    has a counter that shows less, or is gone   nothing: the worker was started again in between
    was there at only one of the two            nothing: what it did before is not known

Pages are compared one by one and added up afterwards, so that a worker that was started again does
not hide what the others did. A counter that is new on a page begins at 0.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

Labels = frozenset[tuple[str, str]]
Series = tuple[str, Labels]
"""The name of a sample and its labels."""

Samples = Mapping[Series, float]


class Page(NamedTuple):
    """What one worker tells."""

    counters: Samples
    """With the parts of histograms; they only grow, but for a new start."""
    gauges: Samples


class Look(NamedTuple):
    """The pages of those who answered, by where they are."""

    at: float
    """Seconds on a steady clock."""
    pages: Mapping[str, Page]


class Growth(NamedTuple):
    """By how much the counters of all workers grew, and in how many seconds."""

    seconds: float
    counters: Samples

    def rates(self, name: str, label: str) -> dict[str, float]:
        """Growth a second by the values of a label, the largest first; no zeros."""
        return by(self.counters, name, label, self.seconds)

    def rate(self, name: str, **labels: str) -> float:
        """Growth a second of all series of a name with these labels."""
        return total(self.counters, name, **labels) / self.seconds if self.seconds > 0 else 0.0


NOTHING = Growth(0.0, {})


def growth(before: Look, after: Look) -> Growth:
    """What happened from one look to the next, as the table above has it."""
    grown: defaultdict[Series, float] = defaultdict(float)
    for where in before.pages.keys() & after.pages.keys():
        for series, more in _more(before.pages[where].counters, after.pages[where].counters):
            grown[series] += more
    return Growth(max(after.at - before.at, 0.0), dict(grown))


def together(parts: Iterable[Growth]) -> Growth:
    """Several growths, one after the other, as one."""
    seconds, sums = 0.0, defaultdict[Series, float](float)
    for part in parts:
        seconds += part.seconds
        for series, more in part.counters.items():
            sums[series] += more
    return Growth(seconds, dict(sums))


def added_up(pages: Iterable[Samples]) -> dict[Series, float]:
    """Samples of several workers, added up."""
    return dict(together(Growth(0.0, samples) for samples in pages).counters)


def _more(before: Samples, after: Samples) -> list[tuple[Series, float]]:
    if any(after.get(series, -1.0) < value for series, value in before.items()):
        return []
    return [(series, value - before.get(series, 0.0)) for series, value in after.items()]


def total(samples: Samples, name: str, **labels: str) -> float:
    """The sum of all series of a name that have these labels."""
    wanted = labels.items()
    return sum(value for (n, found), value in samples.items() if n == name and wanted <= found)


def by(samples: Samples, name: str, label: str, over: float = 1.0) -> dict[str, float]:
    """Sums by the values of a label, divided by `over`, the largest first; no zeros."""
    sums: defaultdict[str, float] = defaultdict(float)
    for (found, labels), value in samples.items():
        if found == name:
            sums[dict(labels).get(label, "")] += value
    order = sorted(sums.items(), key=lambda item: (-item[1], item[0]))
    return {key: value / over for key, value in order if value and over > 0}


def quantile(q: float, samples: Samples, name: str, **labels: str) -> float | None:
    """Of a histogram, as Prometheus' histogram_quantile has it; None where nothing was observed.

    Between two bounds it is a straight line; beyond the last bound it is the last bound.
    """
    buckets = _buckets(samples, f"{name}_bucket", labels)
    observed = buckets[-1][1] if buckets else 0.0
    if observed <= 0:
        return None
    rank, lower, below = q * observed, 0.0, 0.0
    for bound, count in buckets:
        if bound == float("inf"):
            break
        if count >= rank and count > below:
            return lower + (bound - lower) * max(rank - below, 0.0) / (count - below)
        lower, below = bound, count
    return lower


def _buckets(samples: Samples, name: str, labels: Mapping[str, str]) -> list[tuple[float, float]]:
    """Upper bounds and how many observations lie below each, both only growing."""
    sums: defaultdict[float, float] = defaultdict(float)
    for (found, of), value in samples.items():
        if found == name and labels.items() <= of:
            sums[_bound(dict(of).get("le", ""))] += value
    buckets, most = [], 0.0
    for bound, count in sorted(sums.items()):
        most = max(most, count)  # a page may be read in the middle of an observation
        buckets.append((bound, most))
    return [one for one in buckets if one[0] >= 0]


def _bound(text: str) -> float:
    """An upper bound; -1 for what is none."""
    try:
        bound = float(text)
    except ValueError:
        return -1.0
    return bound if bound >= 0 else -1.0


def mean(samples: Samples, name: str, **labels: str) -> float | None:
    """Of a histogram; None where nothing was observed."""
    count = total(samples, f"{name}_count", **labels)
    return total(samples, f"{name}_sum", **labels) / count if count > 0 else None
