"""`python -m ops.embedded broker|letta ...`: the commands alone, without the rest of rollcall."""

import click

from ops.embedded.commands import broker, letta

click.Group("embedded", commands=[broker, letta])()
