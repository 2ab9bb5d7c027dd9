"""Options that several measurements have."""

from pathlib import Path

import click

from ops.bench.scale.letta_model import DEFAULT

_FILE = click.Path(dir_okay=False, path_type=Path)

json_option = click.option(
    "--json", "json_file", type=_FILE, metavar="FILE", help="Save all figures as JSON."
)
plot_option = click.option("--plot", type=_FILE, metavar="FILE", help="Draw FILE.png and FILE.svg.")
letta_option = click.option(
    "--letta",
    "measured",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=DEFAULT,
    help="What `rollcall bench letta --json` saved. Default: a Letta on two cores.",
)
seed_option = click.option(
    "--seed", type=int, default=1, show_default=True, help="Same seed, same game."
)
