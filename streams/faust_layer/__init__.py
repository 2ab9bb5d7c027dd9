"""The only place that knows Faust's internals: records in batches, and what we mend.

Stock Faust handles one record at a time: an event, a queue entry, an ack and, for what it leads to,
a send and a changelog write each. Here each fetched batch of a partition is one event, what a
batch leads to is sent in producer batches, and Tables take their changelogs in whole batches.
Groups, assignment, Tables, recovery and commits stay Faust's own.

    module    extension point                      what it changes
    --------  -----------------------------------  ----------------------------------------------
    batch     the value of a message               the records of one partition, in a row
    consumer  `Transport.Consumer`, its thread     one message for each fetched batch; a finished
                                                   prefix is committed; seeks where to begin
    parsed    aiokafka's fetcher                   records as they were parsed, not dressed up
    producer  `Transport.Producer`                 idempotent; `send_many`
    channels  `Settings.Topic`, `Settings.Table`   topics that pass batches and send many; Tables
                                                   that recover and write their changelog by them
    app       signals of the app                   installs all of it; what the roles ask of Faust

Faust 0.15.3 loses events at start-up and rebalance below an agent's code (docs/decisions/0002):

    fault                                            mend
    recovery resumes the fetcher before it seeks:    `app` stops the flow when the rebalance
    events are cleared, the jump counts as acked     completes; Faust resumes it after the seek
    no seek where nothing is committed yet: what     `consumer` seeks those partitions to their
    was fetched and dropped is gone                  beginning
    a commit skips what was not acked                `consumer` commits what was acked, which is
                                                     always a finished prefix (`streams.barrier`)
    plain producers repeat and reorder on retry      `producer` turns idempotence on
    the client loses topics                          `topics.producer` keeps track of them

`tests/integration/test_faust_layer.py` fails when an upgrade moves what we lean on.
"""
