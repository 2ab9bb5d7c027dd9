"""How freshness grows old with NPCs and servers, in virtual time: `rollcall bench scale`.

happenings    the changes of a recorded town, and of as many like it as there are NPCs (pure)
letta_model   how long Letta takes, drawn from what `rollcall bench letta` measured (pure)
server        the writer's own queue and gate in front of one modelled server (pure)
command       the command
letta.json    such a measurement, for whoever has none

Not in it: the way from the snapshot to the writer (a few milliseconds while nobody lags), looks at
runs, refreshes and verifications, which wait behind all news.
"""
