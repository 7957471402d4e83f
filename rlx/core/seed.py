"""Independent random streams by name: the same words give the same stream on every machine and in every process."""

import hashlib


def seed_of(*words: str | int) -> int:
    """A 63-bit seed for `words`, e.g. seed_of("rollout", seed, step, prompt_id)."""
    digest = hashlib.sha256("\x1f".join(map(str, words)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
