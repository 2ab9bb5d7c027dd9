"""What `rollcall bench edits` refuses, and how it shows its figures."""

from click.testing import CliRunner
from rich.console import Console

from ops.bench.edits import as_table, edits


def test_more_notes_than_fit_the_memories_are_refused_before_anything_starts() -> None:
    asked = CliRunner().invoke(edits, ["--agents", "2", "--edits", "401"])

    assert 2 == asked.exit_code
    assert "the notes of 2 NPCs, 401, would not fit their memory" in asked.output


def test_figures_within_figures_have_a_line_each() -> None:
    console = Console(width=80)
    with console.capture() as shown:
        console.print(as_table({"edits": 3, "fates": {"kept": 2, "lost": 1}}))

    lines = [line.split() for line in shown.get().splitlines()]

    assert [["edits", "3"], ["fates:", "kept", "2"], ["fates:", "lost", "1"]] == lines
