"""The processor: Faust workers that turn snapshots into memory. Start at `streams.worker`."""
