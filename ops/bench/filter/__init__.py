"""Stateful Kafka filters compared: `rollcall bench filter`.

    contender   what it is
    ---------   ----------------------------------------------------------------------------------
    rollcall    the filter worker, as users run it
    faust       a plain Faust agent with a Table, as Faust's own guide writes one (`plain_faust`)
    quix        Quix Streams with state in RocksDB (`quix`); an extra of the package
    raw         an aiokafka consumer that parses each record and does nothing else (`raw`)

backlog    the town's snapshots on a topic, written once for all
step       the decision that `faust` and `quix` share with rollcall; only the plumbing is theirs
order      what a contender's process is told
outputs    whether two filters sent the same commands (pure)
figures    medians, spreads, ratios, and who runs when (pure)
groups     consumer groups: put somewhere, and asked how far they are
process    a contender's process; reading: everything on a topic
race       one contender on the backlog: started, watched, stopped, its commands read
paced      rollcall alone on a live feed (`feed`): seconds from snapshot to command
command    the command, its tables and its JSON
"""
