"""Consumer lag: how far behind every group is, in records and in seconds, and what that means.

verdict   what a window of samples says of a partition (pure)
reading   samples from the broker, without joining a group
view      tables and sparklines
command   `rollcall lag`
exporter  the same for Prometheus, under kafka_exporter's names
"""
