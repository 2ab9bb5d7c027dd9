"""What a game may choose about the memory blocks of its NPCs."""

from dataclasses import dataclass

from streams.settings import ConflictPolicy, Layout, Settings


@dataclass(frozen=True, slots=True)
class Rules:
    """The part of the settings that a block's text depends on."""

    policy: ConflictPolicy = ConflictPolicy.GAME
    layout: Layout = Layout.SHARED

    @classmethod
    def of(cls, settings: Settings) -> "Rules":
        """The rules that a worker's settings ask for."""
        return cls(settings.conflict_policy, settings.layout)


DEFAULT_RULES = Rules()
