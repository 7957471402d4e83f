"""Settings of the command line that are no part of a run, and the commands that read them."""

from collections.abc import Sequence

from rlx.command.compose import flags_last, parse, sweeps
from rlx.core.error import UserError

# `rlx plan` and `rlx prepare` take the line of the train or the submit that they are for.
READERS = {
    "plan": ("plan",),
    "slurm": ("submit", "plan", "prepare"),
    "sweep": ("train", "plan", "prepare"),
}


def refuse_unread(verb: str, arguments: Sequence[str]) -> None:
    """Raise UserError for a setting in `arguments` that `rlx verb` would not read."""
    ordered = flags_last(arguments)
    for word in parse(ordered).overrides:
        group = word.lstrip("+~").partition(".")[0]
        if (readers := READERS.get(group)) is None:
            continue
        if verb not in readers:
            reader = f"`rlx {readers[0]}{' -m' if group == 'sweep' else ''}`"
            raise UserError(f"{word}: {reader} reads {group}.*, and rlx {verb} does not; leave it out")
        if group == "sweep" and not sweeps(ordered):
            raise UserError(f"{word}: it is for a sweep; say which with -m, or leave it out")
