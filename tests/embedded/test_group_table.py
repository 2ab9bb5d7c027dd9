"""The table of `kafka-consumer-groups`, which holds other people's words."""

import contextlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.embedded.group_table import HEADER, Row, TableError, parse_table
from ops.embedded.kafka_tools import read_answer
from ops.failure import Failure

WITH_A_MEMBER = """
GROUP           TOPIC           PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG             CONSUMER-ID                                          HOST            CLIENT-ID
h lag g         h-lag-x1        0          -               15              -               aiokafka-0.14.0-2e4c8cdd-cb65-4856-8eaa-4bc7a546a0ec /127.0.0.1      aiokafka-0.14.0
h lag g         h-lag-x1        1          1               15              14              aiokafka-0.14.0-2e4c8cdd-cb65-4856-8eaa-4bc7a546a0ec /127.0.0.1      aiokafka-0.14.0
"""  # noqa: E501 - as the tool printed it
ABANDONED = """
GROUP           TOPIC           PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG             CONSUMER-ID     HOST            CLIENT-ID
h lag g         h-lag-x1        1          1               15              14              -               -               -
"""  # noqa: E501 - as the tool printed it

numbers = st.none() | st.integers(0, 2**63 - 1)
words = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]))
topics = st.text("abcXYZ019._-", min_size=1, max_size=249)
rows = st.lists(
    st.builds(
        Row, topics, st.integers(0, 2**31 - 1), numbers, numbers, st.none() | st.integers(-9, 2**63)
    ),
    unique_by=lambda row: (row.topic, row.partition),
)


def printed(rows: Sequence[Row], group: str, client: str) -> str:
    """In the format of Kafka 4.3.1."""
    widths = (
        max([15, len(group)]),
        max([15, *(len(row.topic) for row in rows)]),
        *(10, 15, 15, 15, 15, 15),
    )
    lines: list[Sequence[object]] = [
        HEADER,
        *(
            (group, *("-" if cell is None else cell for cell in row), "-", "/127.0.0.1", client)
            for row in rows
        ),
    ]
    return "\n" + "".join(
        " ".join([*(str(cell).ljust(w) for cell, w in zip(line, widths, strict=False)), line[-1]])  # type: ignore[list-item]
        + "\n"
        for line in lines
    )


def test_a_group_with_a_member_is_told_on_every_partition_of_that() -> None:
    rows = parse_table(WITH_A_MEMBER, "h lag g")

    assert [Row("h-lag-x1", 0, None, 15, None), Row("h-lag-x1", 1, 1, 15, 14)] == rows


def test_a_group_without_members_is_told_where_it_committed() -> None:
    rows = parse_table(ABANDONED, "h lag g")

    assert [Row("h-lag-x1", 1, 1, 15, 14)] == rows


def test_a_member_without_a_partition_says_nothing() -> None:
    row = "h lag g         -               -          -               -               -               idle-1     /::1      idle\n"  # noqa: E501 - as the tool prints it

    rows = parse_table(ABANDONED + row, "h lag g")

    assert [Row("h-lag-x1", 1, 1, 15, 14)] == rows


def test_no_table_has_no_rows() -> None:
    assert [] == parse_table("\n", "g")


@given(rows, words.filter(bool), words)
def test_whatever_group_and_client_are_called_the_numbers_are_read(
    rows: list[Row], group: str, client: str
) -> None:
    found = parse_table(printed(rows, group, client), group)

    assert rows == found


@given(st.text(), st.text())
def test_any_other_text_is_a_table_or_an_error(text: str, group: str) -> None:
    with contextlib.suppress(TableError):
        rows = parse_table(text, group)

        assert [] == rows


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (ABANDONED.replace("LAG    ", "BEHIND "), "an unexpected column 'BEHIND'"),
        (ABANDONED.replace("HOST     ", "HOST RACK"), "an unexpected column 'RACK'"),
        (ABANDONED.replace("HOST", "    "), "its columns are not GROUP, TOPIC"),
        (ABANDONED.replace("  14  ", "  soon"), "an unexpected line 'h lag g "),
        (ABANDONED.replace("h lag g", "another"), "an unexpected line 'another "),
        (ABANDONED + ABANDONED.splitlines()[-1], "tells a partition twice"),
        ("Connection to node -1 could not be established", "it says 'Connection to node"),
    ],
)
def test_what_is_not_the_table_is_told(text: str, reason: str) -> None:
    with pytest.raises(Failure, match=f"kafka-consumer-groups cannot be read: .*{reason}"):
        read_answer(text, "h lag g")


def test_an_error_of_the_tool_is_told_in_a_sentence_though_it_ends_with_exit_code_0() -> None:
    answer = "\nError: Executing failed due to GroupIdNotFoundException: Group g not found.\njava\n"

    with pytest.raises(
        Failure, match=r"says: Executing failed due to GroupId.*: Group g not found\.$"
    ):
        read_answer(answer, "g")
