"""Which prompt goes where: decided by a hash of the prompt alone, so that no split ever shares one.

All pairs of a prompt follow it. A prompt stays where it is when other prompts are added or taken away, and the held-out
prompts stay held out when the other shares change: the hash is a point in [0, 1), and the shares are laid end to end.
"""

import hashlib
import unicodedata
from collections.abc import Sequence

from rlx.core.world import Messages


def prompt_key(text: str | Messages) -> str:
    """What two prompts have in common if they are the same but for white space, case and Unicode composition."""
    if isinstance(text, str):
        return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return "\x1e".join(f"{role}\x1f{prompt_key(content)}" for role, content in text)


def prompt_id(text: str | Messages) -> str:
    """16 hex digits of the hash of the exact prompt."""
    words = [text] if isinstance(text, str) else [word for turn in text for word in turn]
    return hashlib.sha256("\x1f".join(words).encode()).hexdigest()[:16]


def point(*words: str | int) -> float:
    """A number in [0, 1), uniform over different words and always the same for the same ones."""
    digest = hashlib.sha256("\x1f".join(map(str, words)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def share_of(at: float, shares: Sequence[tuple[str, float]], rest: str) -> str:
    """The name of the share that the point `at` falls into, the shares laid end to end from 0; `rest` beyond them."""
    end = 0.0
    for name, size in shares:
        end += size
        if at < end:
            return name
    return rest
