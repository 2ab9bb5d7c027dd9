"""An NPC's id on a command line."""

import click

from topics.text import ID_LIMIT, clip, is_plain


class NpcId(click.ParamType):
    """An NPC's id, as a record's key may be."""

    name = "npc"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """A usage error for what no NPC can be called."""
        text = str(value)
        if not text or len(text) > ID_LIMIT or not is_plain(text):
            self.fail(f"{clip(text, 60)!r} is no id of an NPC.", param, ctx)
        return text
