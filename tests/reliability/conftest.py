"""Towns whose servers may go away: a Letta behind a bad road, a Kafka of their own."""

import pytest

from tests.reliability.figures import TOLD


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Figures stand at the end of the output, since no test asserts them."""
    if TOLD:
        terminalreporter.section("figures")
        for line in TOLD:
            terminalreporter.write_line("  ".join(f"{name}={told}" for name, told in line.items()))
