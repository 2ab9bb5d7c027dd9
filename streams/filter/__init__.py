"""The filter: snapshots in, an update command out only when there is a reason for one."""
