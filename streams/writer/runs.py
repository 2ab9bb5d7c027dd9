"""Which Letta agents have a run in progress, as of the last look. Pure: time is an argument.

A run lasts from a message to an agent until its answer. All that while the agent holds the memory
it had in the beginning, and each of its memory tools writes the whole of it back: what we write
during a run is reverted, and nothing we write is seen before the next run. One request lists the
newest runs of all agents:

    a run in the list                        its agent
    ---------------------------------------  ---------------------------------------------------
    in progress                              is running
    completed, and not known before, or in   has run since the look before
    progress then
    in progress at a look, not listed since  is running: a hundred newer runs do not end it, and
                                             it does not last for ever
    (none of them known, the list is full)   more have run than we can tell: anybody may have
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from streams.writer.store import RUNS_LISTED, AgentRun

LIVELY_PERIOD = 0.5
"""Seconds a look counts while agents run now and then."""

QUIET_PERIOD = 5.0
"""Seconds a look counts while no agent runs: a game without conversations pays next to nothing."""

LONGEST = 600.0
"""Seconds after which a run that nobody lists any more counts as ended."""

_LIVELY_FOR = 60.0
_FAR_PAST = float("-inf")


@dataclass(slots=True)
class Runs:
    """What the looks have told so far."""

    looks: int = 0
    """Looks taken; a moment is told by how many there had been."""
    _looked_at: float = _FAR_PAST
    _lively_at: float = _FAR_PAST
    _active: dict[str, tuple[str, float]] = field(default_factory=dict)
    """Agent id by the id of a run in progress, and when we first saw it."""
    _known: frozenset[str] = frozenset()
    """Run ids of the last look."""
    _seen: dict[str, int] = field(default_factory=dict)
    """By agent id the last look that saw a run of its own, or one that had ended since."""
    _overflow: int = -1
    """The last look that could not tell of everybody."""

    def told(self, runs: Collection[AgentRun], now: float) -> None:
        """Take in a look: the newest runs of all agents, at most RUNS_LISTED."""
        self.looks += 1
        self._looked_at = now
        known = self._known - self._active.keys()
        self._take_active(runs, now)
        news = [run for run in runs if run.is_active or run.id not in known]
        if len(news) >= RUNS_LISTED:
            self._overflow = self.looks
        self._seen |= dict.fromkeys([run.agent_id for run in news], self.looks)
        self._seen |= dict.fromkeys(self._running(), self.looks)
        if news or self._active:
            self._lively_at = now
        self._known = frozenset(run.id for run in runs)

    def is_fresh(self, now: float) -> bool:
        """Whether the last look still counts."""
        is_lively = now - self._lively_at < _LIVELY_FOR
        return now - self._looked_at < (LIVELY_PERIOD if is_lively else QUIET_PERIOD)

    def is_running(self, agent_id: str) -> bool:
        """Whether the agent had a run in progress at the last look."""
        return agent_id in self._running()

    def has_run_since(self, agent_id: str, look: int) -> bool:
        """Whether a run of the agent may have gone on after so many looks had been taken."""
        return max(self._seen.get(agent_id, -1), self._overflow) > look

    def _running(self) -> set[str]:
        return {agent_id for agent_id, _ in self._active.values()}

    def _take_active(self, runs: Collection[AgentRun], now: float) -> None:
        for run in runs:
            if run.is_active:
                self._active.setdefault(run.id, (run.agent_id, now))
            else:
                self._active.pop(run.id, None)
        self._active = {
            run_id: (agent_id, since)
            for run_id, (agent_id, since) in self._active.items()
            if now - since < LONGEST
        }
