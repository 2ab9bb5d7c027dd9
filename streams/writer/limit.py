"""How many updates may be under way at one Letta server."""


class FixedLimit:
    """Always so many."""

    def __init__(self, number: int) -> None:
        self._number = number

    def value(self) -> int:
        """The number given."""
        return self._number

    def answered(self, operation: str, seconds: float, in_flight: int, now: float) -> None:
        """Changes nothing."""

    def failed(self, now: float) -> None:
        """Changes nothing."""

    def wanted(self, *, is_full: bool, now: float) -> None:
        """Changes nothing."""


class AdaptiveLimit(FixedLimit):
    """Four, until it learns."""

    def __init__(self) -> None:
        super().__init__(4)
