from topics.models import RosterEntry
from topics.roster import Roster


def npc(npc_id: str, name: str, display_name: str = "", *, enabled: bool = True) -> RosterEntry:
    return RosterEntry(npc_id=npc_id, name=name, display_name=display_name, enabled=enabled)


def test_an_npc_is_found_by_id_and_by_both_names_without_case() -> None:
    greta = npc("npc-7", "greta", "Gréta the Baker")
    roster = Roster([greta])

    assert roster.by_id("npc-7") is greta
    assert roster.by_name("GRETA") is greta
    assert roster.by_name(" gre\u0301ta  THE baker") is greta
    assert roster.by_name("npc-7") is None
    assert roster.by_name("") is None
    assert "npc-7" in roster
    assert len(roster) == 1
    assert list(roster) == [greta]


def test_of_two_npcs_with_one_name_the_smallest_id_is_meant() -> None:
    for order in (("npc-2", "npc-10"), ("npc-10", "npc-2")):
        roster = Roster(npc(npc_id, "Guard") for npc_id in order)
        found = roster.by_name("guard")

        assert found is not None
        assert found.npc_id == "npc-10"  # as text


def test_a_name_means_an_enabled_npc_before_a_disabled_one() -> None:
    roster = Roster([npc("npc-1", "Guard", enabled=False), npc("npc-2", "x", "Guard")])

    assert roster.by_name("guard") == npc("npc-2", "x", "Guard")


def test_a_newer_entry_takes_the_place_of_the_old_one_and_its_names() -> None:
    roster = Roster([npc("npc-7", "Greta", "Baker"), npc("npc-8", "Smith")])

    roster.put(npc("npc-7", "Smith"))

    assert roster.by_name("greta") is None
    assert roster.by_name("baker") is None
    assert roster.by_name("smith") == npc("npc-7", "Smith")
    assert len(roster) == 2


def test_a_removed_npc_leaves_its_name_to_the_next() -> None:
    roster = Roster([npc("npc-7", "Guard"), npc("npc-8", "Guard")])

    roster.remove("npc-7")
    roster.remove("npc-7")

    assert roster.by_id("npc-7") is None
    assert roster.by_name("Guard") == npc("npc-8", "Guard")


def test_a_roster_may_change_while_it_is_looked_through() -> None:
    roster = Roster([npc("npc-7", "a"), npc("npc-8", "b")])

    for entry in roster:
        roster.remove(entry.npc_id)

    assert len(roster) == 0
