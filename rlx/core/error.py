"""The one exception that is the user's to mend: its message is a single line naming the key, file:line or field, and what to do."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """A mistake in the command, the config or the data. The command line prints it as one line and exits with code 2."""


class WorkerError(Exception):
    """One of several processes ended in an error that is not the user's; the message says which, of what, and where its
    output lies."""


def first_line(error: BaseException) -> str:
    """What an error of another library says, up to its first line break, or to its second where the first line announces
    it; its class's name where it says nothing."""
    first, *more = [line.strip() for line in str(error).strip().splitlines()] or [type(error).__name__]
    return f"{first} {more[0]}" if first.endswith(":") and more else first


def nearest(word: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)`, or nothing if no known name is near."""
    names = [name for name in known if not name.startswith("hydra.") or word.startswith("hydra")]
    last = word.rpartition(".")[2]
    near = [name for name in names if "." in name and name.rpartition(".")[2] == last]  # optimizer.beta: which beta?
    near = near or difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if not near:  # people remember the last word of a key
        near = difflib.get_close_matches(last, [n.rpartition(".")[2] for n in names], n=1, cutoff=0.75)
        near = [n for n in names if near and n.rpartition(".")[2] == near[0]][:1]
    return f" (did you mean {' or '.join(map(repr, near[:3]))}?)" if near else ""


def unknown(kind: str, word: str, known: Iterable[str]) -> str:
    """`no KIND called 'word' (did you mean 'x'?); there are: x, y`."""
    names = sorted(known)
    return f"no {kind} called {word!r}{nearest(word, names)}; there are: {', '.join(names) or 'none'}"
