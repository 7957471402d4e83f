"""One preference out of one record: TRL's plain and conversational forms, with the prompt given or implicit."""

from collections.abc import Sequence
from dataclasses import dataclass

from rlx.core.world import Messages
from rlx.world.bad_record import RecordError, kind_of

ROLES = ("system", "developer", "user", "assistant", "tool")


@dataclass(frozen=True)
class RawPreference:
    """A prompt with two different completions, the better one first. `prompt` is a text or ((role, content), ...)."""

    prompt: str | Messages
    chosen: str
    rejected: str


def preference(
    prompt: object, chosen: object, rejected: object, turn_marker: str | None, has_prompt: bool
) -> RawPreference:
    """Read one record's three fields. `has_prompt` is False where the data have no prompt column (implicit prompt).

    Raises: RecordError naming the field.
    """
    for name, value in (("prompt", prompt), ("chosen", chosen), ("rejected", rejected)):
        if value is None and (has_prompt or name != "prompt"):
            raise RecordError(f"no {name}", f"{name!r} is missing or null")
    if isinstance(chosen, list) != isinstance(rejected, list):
        raise RecordError(
            "plain mixed with messages", "of 'chosen' and 'rejected' one is a text, one a list of messages"
        )
    if isinstance(chosen, list):
        found = _conversational(prompt, messages(chosen, "chosen"), messages(rejected, "rejected"))
    elif isinstance(prompt, list):
        raise RecordError(
            "plain mixed with messages", "'prompt' is a list of messages, 'chosen' and 'rejected' are texts"
        )
    elif has_prompt:
        found = RawPreference(text(prompt, "prompt"), text(chosen, "chosen"), text(rejected, "rejected"))
    else:
        found = RawPreference(*split_implicit(text(chosen, "chosen"), text(rejected, "rejected"), turn_marker))
    if found.chosen == found.rejected:
        raise RecordError("chosen is rejected", "'chosen' and 'rejected' are the same text")
    return found


def split_implicit(chosen: str, rejected: str, turn_marker: str | None) -> tuple[str, str, str]:
    """(prompt, chosen, rejected) of two texts with one beginning: the prompt ends with the last shared `turn_marker`.

    `turn_marker` None is the rule of TRL's `extract_prompt`: the longest common beginning, without its last space. That
    moves what two completions begin with alike (the "I ha" of "I have", "I hate") into the prompt; a marker does not.
    Raises: RecordError if nothing is shared, or if the two conversations part before their last turn.
    """
    shared = chosen[: num_shared(chosen, rejected)]
    if turn_marker is None:
        end = len(shared)
        if shared.endswith(" ") and end < min(len(chosen), len(rejected)):
            end -= 1
    else:
        found = shared.rfind(turn_marker)
        end = found + len(turn_marker) if found >= 0 else 0
    if not shared[:end].strip():
        marker = "" if turn_marker is None else f" that ends with world.turn_marker {turn_marker!r}"
        raise RecordError("no shared prompt", f"'chosen' and 'rejected' do not begin with one prompt{marker}")
    rest = {"chosen": chosen[end:], "rejected": rejected[end:]}
    for name, completion in rest.items():
        if not completion.strip():
            raise RecordError(f"empty {name}", f"{name!r} is empty after the shared prompt")
        if turn_marker is not None and turn_marker in completion:
            raise RecordError(
                "part before the last turn", f"{name!r} goes on for more than one turn after the shared prompt"
            )
    return shared[:end], rest["chosen"], rest["rejected"]


def num_shared(a: Sequence[object], b: Sequence[object]) -> int:
    """How many items (characters, messages) two sequences begin with alike."""
    low, high = 0, min(len(a), len(b))
    while low < high:  # bisection: one comparison of slices is much faster than one of every item
        middle = (low + high + 1) // 2
        low, high = (middle, high) if a[:middle] == b[:middle] else (low, middle - 1)
    return low


def _conversational(prompt: object, chosen: Messages, rejected: Messages) -> RawPreference:
    given = messages(prompt, "prompt") if isinstance(prompt, list) else None
    if given is None:
        # Also where a plain 'prompt' stands beside whole conversations (ultrafeedback_binarized): TRL's rule.
        shared = chosen[: num_shared(chosen[:-1], rejected[:-1])]
        if prompt is not None and not any(m == ("user", text(prompt, "prompt")) for m in shared):
            raise RecordError(
                "prompt not in chosen", "'prompt' is not a user message that 'chosen' and 'rejected' share"
            )
        given = shared
        starts = (given, given)
    else:
        # Some data give the prompt and repeat it in the completions: taken at face value it would be asked twice.
        starts = tuple(given if c[: len(given)] == given else () for c in (chosen, rejected))
    if not given:
        raise RecordError("no shared prompt", "'chosen' and 'rejected' do not begin with one message")
    if given[-1][0] == "assistant":
        raise RecordError(
            "prompt ends with assistant", "the last message of the prompt is the assistant's; nobody asks"
        )
    return RawPreference(
        given, _reply(chosen[len(starts[0]) :], "chosen"), _reply(rejected[len(starts[1]) :], "rejected")
    )


def _reply(turns: Messages, name: str) -> str:
    if len(turns) == 0:
        raise RecordError(f"empty {name}", f"{name!r} has no message after the prompt")
    if turns[-1][0] != "assistant":
        raise RecordError(
            "last role not assistant", f"{name!r} ends with a message of role {turns[-1][0]!r}, not 'assistant'"
        )
    if len(turns) > 1:
        raise RecordError("part before the last turn", f"{name!r} has {len(turns)} messages after the prompt, not one")
    return turns[0][1]


def messages(value: object, name: str) -> Messages:
    """((role, content), ...) of a list of {"role", "content"}. A further key with a value is refused: it would be lost.

    Raises: RecordError naming the field and the message.
    """
    if not isinstance(value, list):
        raise RecordError("wrong type", f"{name!r} is {kind_of(value)} where a list of messages is needed")
    if not value:
        raise RecordError(f"empty {name}", f"{name!r} is an empty list")
    turns = []
    for number, message in enumerate(value, start=1):
        where = f"{name!r}, message {number}"
        if not isinstance(message, dict) or not {"role", "content"} <= message.keys():
            found = ", ".join(map(repr, message)) if isinstance(message, dict) and message else kind_of(message)
            raise RecordError("wrong type", f"{where}: needs 'role' and 'content', found {found}")
        role, content = message["role"], message["content"]
        if role not in ROLES:
            raise RecordError("unknown role", f"{where}: role {role!r}, not one of {', '.join(ROLES)}")
        lost = sorted(k for k, v in message.items() if k not in ("role", "content") and v is not None)
        if lost:
            raise RecordError("more than text", f"{where}: has {', '.join(map(repr, lost))}, which would be lost")
        turns.append((role, text(content, where, empty=f"empty {name}")))
    return tuple(turns)


def text(value: object, name: str, empty: str | None = None) -> str:
    """A text that is not blank and can be written as UTF-8.

    Raises: RecordError naming the field.
    """
    where = name if "," in name else repr(name)
    if not isinstance(value, str):
        raise RecordError("wrong type", f"{where} is {kind_of(value)} where a text is needed")
    if not value.strip():
        raise RecordError(empty or f"empty {name}", f"{where} is empty")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise RecordError("half a character", f"{where} has a lone surrogate at character {error.start + 1}") from error
    return value
