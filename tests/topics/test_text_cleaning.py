import unicodedata

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from topics.text import clean, clip, fold, is_plain

settings.register_profile("any speed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any speed")


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("Alice", "Alice"),
        ("  Alice  of\tthe\r\nHill ", "Alice of the Hill"),
        ("Alice\u202e\u2066gnp", "Alicegnp"),
        ("a\x00b\x1bc\x7fd", "abcd"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("hidden\U000e0041\U000e0042", "hidden"),
        ("A\U000e0101B", "AB"),
        ("A\U000e0101", "A"),
        ("two\u2028lines\u2029here", "two lines here"),
        ("non\u00a0breaking", "non breaking"),
        ("a \u202e b", "a b"),
        ("e\u0301", "é"),
        ("Zoë", "Zoë"),
        ("日本語", "日本語"),
        ("👩\u200d🚀 Ada", "👩\u200d🚀 Ada"),
        ("\u200dAda\u200d", "Ada"),
        ("verified\ue000", "verified"),
        ("\u202e\u200b", ""),
        ("", ""),
    ],
)
def test_text_is_one_line_of_visible_characters(text: str, cleaned: str) -> None:
    assert clean(text, 100) == cleaned


def test_text_beyond_the_limit_is_cut_without_a_space_at_its_end() -> None:
    assert clean("four word", 5) == "four"
    assert clean("x" * 1_000_000, 100) == "x" * 100


def test_text_of_a_megabyte_of_control_characters_is_empty() -> None:
    assert clean("\u202e" * 1_000_000, 100) == ""


@given(st.text(), st.integers(min_value=1, max_value=40))
def test_cleaning_is_bounded_idempotent_and_composed(text: str, limit: int) -> None:
    cleaned = clean(text, limit)

    assert len(cleaned) <= limit
    assert clean(cleaned, limit) == cleaned
    assert unicodedata.is_normalized("NFC", cleaned)
    assert {unicodedata.category(char) for char in cleaned} & {"Cc", "Cs", "Co", "Zl"} == set()


@given(st.text(alphabet=" \u200c\u200d\u202eéa\u0301\t", max_size=30))
def test_cleaning_is_idempotent_for_the_characters_it_treats_most(text: str) -> None:
    cleaned = clean(text, 10)

    assert clean(cleaned, 10) == cleaned
    assert cleaned == cleaned.strip()


def test_names_are_compared_without_case_and_form() -> None:
    assert fold("  GRE\u0301TA ") == fold("gréta")
    assert fold("Straße") == fold("STRASSE")
    assert fold("Greta") != fold("Gréta")


def test_foreign_text_of_an_error_is_clipped_visibly() -> None:
    assert clip("short\nand sweet", 20) == "short and sweet"
    assert clip("x" * 50, 10) == "x" * 9 + "…"


@pytest.mark.parametrize("text", ["npc-7", "Alice of the Hill", "日本", "👩\u200d🚀"])
def test_an_id_may_be_any_visible_text(text: str) -> None:
    assert is_plain(text)


@pytest.mark.parametrize(
    "text", [" a", "a ", "a\tb", "a\u00a0b", "a\u202eb", "a\x00", "\u200d", "a\U000e0101"]
)
def test_an_id_has_no_hidden_characters_and_no_space_at_its_ends(text: str) -> None:
    assert not is_plain(text)
