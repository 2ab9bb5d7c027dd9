"""`rollcall bench`: measurements that anyone can repeat."""

import click

from ops.bench.carry.command import carry, idle, load
from ops.bench.edits import edits
from ops.bench.explain import explain
from ops.bench.faults import faults
from ops.bench.filter.command import filters
from ops.bench.filter_scale.command import filter_scale
from ops.bench.lag.command import lag
from ops.bench.letta import letta
from ops.bench.memory import memory
from ops.bench.modes import modes
from ops.bench.predict import predict
from ops.bench.replay import replay
from ops.bench.scale.command import scale
from ops.bench.simulate import simulate


@click.group()
def bench() -> None:
    """Measure on this machine. Uses servers like `rollcall demo` does."""


bench.add_command(carry)
bench.add_command(edits)
bench.add_command(explain)
bench.add_command(faults)
bench.add_command(filters)
bench.add_command(filter_scale)
bench.add_command(idle)
bench.add_command(lag)
bench.add_command(letta)
bench.add_command(load)
bench.add_command(memory)
bench.add_command(modes)
bench.add_command(predict)
bench.add_command(replay)
bench.add_command(scale)
bench.add_command(simulate)
