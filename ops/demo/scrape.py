"""What the workers counted, read from their metrics ports."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import httpx
from prometheus_client.parser import text_string_to_metric_families

Labels = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Counts:
    """Samples of one or several workers, added up, by name and labels."""

    samples: dict[tuple[str, Labels], float] = field(default_factory=lambda: defaultdict(float))

    def total(self, name: str, **labels: str) -> int:
        """The sum of all samples of a name that have these labels."""
        return int(sum(value for found, value in self._of(name) if labels.items() <= found.items()))

    def by(self, name: str, *labels: str) -> dict[str, int]:
        """Sums of a name by the values of some labels, joined by a blank; no zeros."""
        sums: Counter[str] = Counter()
        for found, value in self._of(name):
            sums[" ".join(found.get(label, "") for label in labels)] += int(value)
        return {key: number for key, number in sorted(sums.items()) if number}

    def _of(self, name: str) -> list[tuple[dict[str, str], float]]:
        return [(dict(labels), value) for (n, labels), value in self.samples.items() if n == name]


async def scrape(urls: Iterable[str]) -> Counts:
    """The samples of all workers; one that does not answer counts nothing."""
    counts = Counts()
    # No proxy of the environment may come between us and the loopback interface.
    async with httpx.AsyncClient(trust_env=False, timeout=5.0) as client:
        for url in urls:
            try:
                text = (await client.get(url)).text
            except httpx.HTTPError:
                continue
            add(counts, text)
    return counts


def add(counts: Counts, text: str) -> None:
    """Add the samples of one metrics page."""
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = tuple(sorted(sample.labels.items()))
            counts.samples[sample.name, labels] += sample.value
