"""Fixtures for every test: real servers, once per session, and Hypothesis without a stopwatch."""

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.servers"]

# Speed is the benchmarks' business; a test on a busy machine is no slower in kind.
settings.register_profile("rollcall", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("rollcall")
