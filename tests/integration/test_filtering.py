"""What the filter sends, holds back and never loses."""

import pytest

from tests.integration.conftest import ALICE, ALICE_LOOKS, BAKER, SQUARE
from tests.integration.harness import Town, names_in, names_of, new_id, until

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]


async def test_update_frequency_is_reduced(town: Town, now: float) -> None:
    npc_id = new_id()

    for at in range(50):
        await town.see(npc_id, now + at / 2, ALICE, position=[at / 100, 0.0, 0.0])
    await town.see(npc_id, now + 25, ALICE, action="waving")

    assert await town.reasons(npc_id, 2) == ["first_seen", "action"]


async def test_no_important_change_is_lost(town: Town, now: float) -> None:
    npc_id = new_id()
    agent_id = await town.letta.agent(f"npc:{npc_id}")
    crowd = [(str(number), f"Visitor {number}") for number in range(6)]

    for at in range(60):
        near = [one for number, one in enumerate(crowd) if (at >> (number % 3)) % 2]
        await town.see(npc_id, now + at / 10, *near, location=SQUARE)
    await town.see(npc_id, now + 6, crowd[2], crowd[4], location="the harbour", action="waving")

    async def is_up_to_date() -> bool:
        blocks = await town.letta.blocks(agent_id)
        status = blocks.get("status", {})
        return (
            names_in(blocks.get("group_members", {})) == {"Visitor 2", "Visitor 4"}
            and status.get("current_location") == "the harbour"
            and status.get("current_action") == "waving"
        )

    await until(is_up_to_date, "the last of many joins and leaves in memory")
    results = await town.finished(npc_id, len(town.commands(npc_id)))
    assert {result.outcome for result in results} <= {"applied", "superseded", "unchanged"}


async def test_caches_are_initialised_at_boot(town: Town, now: float) -> None:
    """Roster, location and profile were published before the workers started (conftest)."""
    npc_id = new_id()

    await town.see(npc_id, now, cluster=["Alice", "Greta"], location=SQUARE)

    await town.reasons(npc_id, 1)
    desired = town.commands(npc_id)[0].desired
    assert [(one.id, one.appearance) for one in desired.members] == [
        ("1001", ALICE_LOOKS),
        (BAKER, "flour on her sleeves"),
    ]
    assert desired.location == "Market Square"


async def test_a_profile_update_is_exactly_one_update_of_each_npc_beside_the_player(
    town: Town, now: float
) -> None:
    (player_id, name), away = (new_id("player"), f"Dora {new_id()}"), new_id()
    beside = {new_id(): (player_id, name), new_id(): (player_id, name)}
    by_name = new_id()
    for npc_id, player in beside.items():
        await town.see(npc_id, now, player)
    await town.see(by_name, now, cluster=[name])
    await town.see(away, now, ALICE)
    npcs = [*beside, by_name]
    for npc_id in (*npcs, away):
        await town.reasons(npc_id, 1)

    await town.publish.profile({"player_id": player_id, "name": name, "description": "in green"})

    for npc_id in npcs:
        await town.reasons(npc_id, 2)
        [member] = town.commands(npc_id)[1].desired.members
        assert (member.id, member.name, member.appearance) == (player_id, name, "in green")
    for npc_id in beside:
        await town.see(npc_id, now + 3, (player_id, name), action="waving")
    await town.see(by_name, now + 3, cluster=[name], action="waving")
    await town.see(away, now + 3, ALICE, action="waving")
    for npc_id in npcs:
        assert await town.reasons(npc_id, 3) == ["first_seen", "profile", "action"]
    assert await town.reasons(away, 2) == ["first_seen", "action"]


async def test_a_description_that_says_nothing_is_no_update(town: Town, now: float) -> None:
    npc_id, player = new_id(), (new_id("player"), "Emil")
    profile = {"player_id": player[0], "name": player[1], "description": "one wooden leg"}
    await town.see(npc_id, now, player)
    await town.reasons(npc_id, 1)
    await town.publish.profile(profile)
    await town.reasons(npc_id, 2)

    await town.publish.profile({**profile, "description": "Unknown"})
    await town.publish.profile({**profile, "description": ""})
    await town.publish.profile({**profile, "description": "two wooden legs"})

    await town.reasons(npc_id, 3)
    await town.see(npc_id, now + 3, player, action="waving")
    assert await town.reasons(npc_id, 4) == ["first_seen", "profile", "profile", "action"]
    assert town.commands(npc_id)[2].desired.members[0].appearance == "two wooden legs"


async def test_a_disabled_npc_is_left_alone(town: Town, now: float) -> None:
    npc_id, other = new_id(), new_id()
    await town.publish.roster({"npc_id": npc_id, "name": npc_id, "enabled": False})
    await town.publish.flush()
    before = await town.workers["filter"].metric("rollcall_snapshots_total", outcome="disabled")

    async def is_disabled() -> bool:
        # The first may come before the roster does.
        await town.see(npc_id, now, ALICE)
        metric = town.workers["filter"].metric
        return await metric("rollcall_snapshots_total", outcome="disabled") > before

    await until(is_disabled, "the roster to reach the filter")
    sent = len(town.commands(npc_id))
    await town.see(npc_id, now + 3, action="waving")
    await town.see(other, now, ALICE)
    await town.reasons(other, 1)
    assert len(town.commands(npc_id)) == sent <= 1


async def test_a_stale_picture_is_pushed_again(town: Town, now: float) -> None:
    npc_id = new_id()

    for at in (-100, -70, -69, -30, 0):
        await town.see(npc_id, now + at, ALICE)
    await town.see(npc_id, now + 3, ALICE, action="waving")

    assert await town.reasons(npc_id, 3) == ["first_seen", "stale", "action"]


async def test_a_group_larger_than_the_limit_is_bounded(town: Town, now: float) -> None:
    npc_id = new_id()

    await town.see(npc_id, now, ALICE, cluster=[f"Visitor {number}" for number in range(10_000)])

    await town.reasons(npc_id, 1)
    names = names_of(town.commands(npc_id)[0])
    assert "Alice" in names
    assert 1 < len(names) <= 180
