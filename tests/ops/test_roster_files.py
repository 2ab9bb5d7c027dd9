"""What can be wrong in a roster or locations file, and in which line it is told."""

from pathlib import Path

import pytest

from ops.roster_checks import Standing, check, orphans
from ops.roster_files import read
from topics.models import Location, RosterEntry

GRETA = RosterEntry(
    npc_id="npc-1",
    name="Greta",
    display_name="Greta the Baker",
    description="Flour on both sleeves.",
    home_location="market",
    enabled=False,
)
MARKET = Location(slug="market", name="Market", coordinates=(1.0, 0.0, -3.5))

YAML = """\
npcs:
  - npc_id: npc-1
    name: Greta
    display_name: Greta the Baker
    description: Flour on both sleeves.
    home_location: market
    enabled: false
locations:
  - slug: market
    name: Market
    coordinates: [1, 0, -3.5]
"""
JSON = """\
{"npcs": [{"npc_id": "npc-1", "name": "Greta", "display_name": "Greta the Baker",
           "description": "Flour on both sleeves.", "home_location": "market", "enabled": false}],
 "locations": [{"slug": "market", "name": "Market", "coordinates": {"x": 1, "y": 0, "z": -3.5}}]}
"""
ROSTER_CSV = """\
npc_id;name;display_name;description;home_location;agent_id;enabled
npc-1;Greta;Greta the Baker;Flour on both sleeves.;market;;no
"""
LOCATIONS_CSV = """\
slug,name,x,y,z
market,Market,1,0,-3.5
"""


def complaints(folder: Path, standing: Standing | None = None, **files: str) -> list[str]:
    """What is said about files; `town_yaml="..."` is town.yaml."""
    readings = []
    for name, text in files.items():
        path = folder / name.replace("_", ".")
        path.write_text(text)
        readings.append(read(path))
    entries = [entry for reading in readings for entry in reading.entries]
    found = [complaint for reading in readings for complaint in reading.complaints]
    found += check(entries, standing or Standing()).complaints
    return [f"{Path(one.file).name}:{one.line}: {one.sentence}" for one in sorted(found)]


@pytest.mark.parametrize(
    "files",
    [
        {"a.yaml": YAML},
        {"a.json": JSON},
        {"a.csv": ROSTER_CSV, "b.csv": LOCATIONS_CSV},
    ],
    ids=["yaml", "json", "csv"],
)
def test_every_format_tells_the_same_town(tmp_path: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)

    readings = [read(tmp_path / name) for name in files]
    checked = check([entry for reading in readings for entry in reading.entries], Standing())

    assert checked.complaints == []
    assert checked.npcs == {"npc-1": GRETA}
    assert checked.locations == {"market": MARKET}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("npcs:\n- name: Greta\n", "t.yaml:2: an NPC needs a npc_id."),
        ("npcs:\n- npc_id: a\n", "t.yaml:2: an NPC needs a name."),
        ("npcs:\n- npc_id: a\n  name:\n", "t.yaml:3: an NPC needs a name."),
        ("npcs:\n- npc_id: a\n  name: No\n", "t.yaml:3: name must be text; write it in quotes."),
        (
            "npcs:\n- npc_id: a\n  name: A\n  enabled: perhaps\n",
            "t.yaml:4: enabled must be true or false.",
        ),
        (
            "npcs:\n- npc_id: a\n  name: A\n  nmae: B\n",
            "t.yaml:4: an NPC has no field 'nmae'; did you mean name?",
        ),
        (
            "npcs:\n- npc_id: a\n  name: A\n  name: B\n",
            "t.yaml:4: name stands twice in this entry.",
        ),
        ("npcs:\n- a\n", "t.yaml:2: an entry of npcs must have fields, name: value."),
        ("npcs: 5\n", "t.yaml:1: npcs must be a list, each entry with a dash before it."),
        ("npcs: []\nnpcs: []\n", "t.yaml:2: a second section npcs."),
        (
            "people: []\n",
            "t.yaml:1: unknown section 'people'; npcs and locations are known.",
        ),
        ("", "t.yaml:1: `npcs:` or `locations:` is expected here."),
        ("- name: x\n", "t.yaml:1: a list of neither NPCs (npc_id) nor locations (slug)."),
        (
            "npcs:\n\t- a\n",
            "t.yaml:2: this is not YAML: found character that cannot start any token.",
        ),
        ("[" * 5000, "t.yaml:1: the file is nested too deeply."),
        ("locations:\n- slug: a\n  name: A\n", "t.yaml:2: a location needs a coordinates."),
        (
            "npcs:\n- npc_id: a\n  name: " + "x" * 101,
            "t.yaml:3: name has 101 characters, 100 are allowed.",
        ),
    ],
)
def test_a_wrong_yaml_line_is_told(tmp_path: Path, text: str, expected: str) -> None:
    assert complaints(tmp_path, t_yaml=text) == [expected]


@pytest.mark.parametrize(
    "coordinates", ["[1, 2]", "[1, 2, x]", "3", "[1, 2, .nan]", "[1, 2, .inf]"]
)
def test_coordinates_are_three_finite_numbers(tmp_path: Path, coordinates: str) -> None:
    text = f"locations:\n- slug: a\n  name: A\n  coordinates: {coordinates}\n"

    assert complaints(tmp_path, t_yaml=text) == [
        "t.yaml:4: coordinates must be three finite numbers, x, y and z."
    ]


def test_a_plain_number_is_an_id_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text("npcs:\n- npc_id: 007\n  name: James\n")

    checked = check(read(tmp_path / "t.yaml").entries, Standing())

    assert list(checked.npcs) == ["007"]


def test_a_repeated_id_is_told_with_its_first_place(tmp_path: Path) -> None:
    first = "npcs:\n- npc_id: a\n  name: A\n"
    second = "npc_id,name\nb,B\na,C\n"

    (complaint,) = complaints(tmp_path, a_yaml=first, b_csv=second)

    assert complaint == f"b.csv:3: npc_id 'a' was used before, in {tmp_path}/a.yaml:2."


def test_an_id_is_repeated_even_where_its_first_entry_is_wrong(tmp_path: Path) -> None:
    text = "npcs:\n- npc_id: a\n- npc_id: a\n  name: A\n"

    assert complaints(tmp_path, t_yaml=text) == [
        "t.yaml:2: an NPC needs a name.",
        f"t.yaml:3: npc_id 'a' was used before, in {tmp_path}/t.yaml:2.",
    ]


def test_a_home_that_does_not_exist_is_told(tmp_path: Path) -> None:
    text = YAML.replace("home_location: market", "home_location: markt")

    assert complaints(tmp_path, t_yaml=text) == [
        "t.yaml:6: there is no location 'markt'; did you mean market?"
    ]


def test_a_home_may_stand_on_the_topic(tmp_path: Path) -> None:
    text = YAML.partition("locations:")[0]

    assert complaints(tmp_path, Standing(locations={"market": MARKET}), t_yaml=text) == []


@pytest.mark.parametrize("name", ["greta", "GRETA the baker"])
def test_two_npcs_with_one_name_are_told(tmp_path: Path, name: str) -> None:
    text = f"npcs:\n- npc_id: b\n  name: Bea\n  display_name: {name}\n"

    assert complaints(tmp_path, Standing(npcs={"npc-1": GRETA}), t_yaml=text) == [
        f"t.yaml:4: npc-1 is also called '{name}'."
    ]


def test_an_npc_may_be_called_the_same_twice_and_keep_its_name(tmp_path: Path) -> None:
    text = "npcs:\n- npc_id: npc-1\n  name: Greta\n  display_name: greta\n"

    assert complaints(tmp_path, Standing(npcs={"npc-1": GRETA}), t_yaml=text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '{"npcs": [\n{"npc_id": "a",\n"name": []}]}',
            "t.json:3: name must be text; write it in quotes.",
        ),
        (
            '{"npcs": [\n{"npc_id": "a", "name": "A",\n"x": 1}]}',
            "t.json:3: an NPC has no field 'x'; ",
        ),
        ('{"npcs": [\n]', "t.json:2: this is not JSON: Expecting ',' delimiter."),
        ('{"npcs": [\n5]}', "t.json:2: an entry of npcs must have fields, name: value."),
        ('{"npcs": [{"npc_id": NaN}]}', "t.json:1: this is not JSON: NaN is no number of JSON."),
        ("[" * 100_000, "t.json:1: the file is nested too deeply."),
    ],
)
def test_a_wrong_json_line_is_told(tmp_path: Path, text: str, expected: str) -> None:
    (complaint,) = complaints(tmp_path, t_json=text)

    assert complaint.startswith(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "name\nGreta\n",
            "t.csv:1: the header has neither npc_id (a roster) nor slug (locations).",
        ),
        ("npc_id,name,name\na,A,B\n", "t.csv:1: column 'name' stands twice in the header."),
        ("npc_id,name\n\na,A,x\n", "t.csv:3: 3 values for 2 columns."),
        ('npc_id,name\n"a\nb",\n', "t.csv:2: an NPC needs a name."),
        ("npc_id,name,enabled\na,A,perhaps\n", "t.csv:2: enabled must be true or false."),
        (
            "slug,name,x,z\na,A,1,2\n",
            "t.csv:2: coordinates must be three finite numbers, x, y and z.",
        ),
        ('npc_id,name\na,"A\n', "t.csv:2: this is not CSV: unexpected end of data."),
    ],
)
def test_a_wrong_csv_line_is_told(tmp_path: Path, text: str, expected: str) -> None:
    assert complaints(tmp_path, t_csv=text) == [expected]


def test_text_that_is_not_utf_8_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_bytes(b"npcs:\n- npc_id: a\n  name: \xff\n")

    reading = read(tmp_path / "t.yaml")

    assert [(one.line, one.sentence) for one in reading.complaints] == [
        (3, "the text is not UTF-8.")
    ]


def test_aliases_that_multiply_stay_small(tmp_path: Path) -> None:
    levels = "".join(f"    l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 12))
    text = f"npcs:\n  - npc_id: a\n    name: A\n    l0: &l0 [x]\n{levels}"

    found = complaints(tmp_path, t_yaml=text)

    assert len(found) == 12
    assert all("has no field" in complaint for complaint in found)


def test_a_home_is_not_taken_away() -> None:
    assert orphans([GRETA], ["market"]) == [
        "location 'market' is the home of npc-1 and cannot be removed."
    ]
