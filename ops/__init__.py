"""The tools around the processor: command line, embedded servers, demo, benches."""
