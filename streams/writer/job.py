"""A command in the writer's hands."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from streams.writer.outcome import Effort
from streams.writer.priority import level_of
from streams.writer.stamp import Mark
from topics.models import UpdateCommand

Done = Callable[[], None]
"""Called once the fate of a command has been published."""

Adopt = Callable[["Job"], None]
"""Takes over a command that was in another loop's hands."""


@dataclass(slots=True)
class Job:
    """What is known of a command, and what became of it so far."""

    command: UpdateCommand
    mark: Mark
    done: Done | None
    """None: the command was parked, its result is out and its offset settled."""
    submitted_at: float
    """On the steady clock."""
    is_watched: bool = False
    """A player stands with the NPC."""
    origin: Any = None
    begun_at: float = 0.0
    """The latest attempt, on the same clock."""
    effort: Effort = field(default_factory=Effort)
    is_parking: bool = False
    heir: "Adopt | None" = None
    """The NPC's agent is on another server now: who takes the command once this has ended."""
    is_withdrawn: bool = False
    """The NPC has become another worker's: what was begun is finished, and not begun again."""
    is_recheck: bool = False
    """Looks after a write of ours: nobody waits for it, and it says something only if it must."""

    @property
    def level(self) -> int:
        """How urgent it is; see `priority`."""
        return level_of(self.command.reason, is_watched=self.is_watched)
