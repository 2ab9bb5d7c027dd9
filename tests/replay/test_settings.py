import pytest

from ops.replay.settings import WrongSettingError, assignments, changed
from streams.settings import Settings


@pytest.mark.parametrize(
    "text",
    [
        "stale_data_threshold=60,mode=direct",
        "ROLLCALL_STALE_DATA_THRESHOLD=60\n# ours\nexport ROLLCALL_MODE='direct'\n",
    ],
)
def test_settings_are_given_in_one_line_or_as_in_a_file(text: str) -> None:
    assert {"stale_data_threshold": "60", "mode": "direct"} == assignments(text)


@pytest.mark.parametrize("text", ["mode", "letta_token=secret", "nonsense=1"])
def test_what_no_decision_depends_on_is_refused(text: str) -> None:
    with pytest.raises(WrongSettingError):
        assignments(text)


def test_a_wrong_value_names_its_setting() -> None:
    with pytest.raises(WrongSettingError, match="stale_data_threshold"):
        changed(Settings(), {"stale_data_threshold": "soon"})


def test_the_others_stay() -> None:
    before = Settings(settle_seconds=4.0)

    after = changed(before, {"stale_data_threshold": "60"})

    assert (4.0, 60.0) == (after.settle_seconds, after.stale_data_threshold)
