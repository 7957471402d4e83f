"""What a file held: its length and hash, to see later whether it still does."""

import hashlib
from pathlib import Path
from typing import NamedTuple

PART = 2**20  # bytes read at a time


class Seal(NamedTuple):
    """`bytes`: the length. `sha256`: of the content, in hexadecimal digits."""

    bytes: int
    sha256: str

    def fits(self, path: Path, grown: bool = False) -> bool:
        """Whether `path` holds this content, or with `grown` begins with it."""
        size = path.stat().st_size
        if size < self.bytes or (size > self.bytes and not grown):
            return False
        return _hash(path, self.bytes) == self.sha256


def seal_of(path: Path) -> Seal:
    """Return length and hash of what `path` holds now."""
    size = path.stat().st_size
    return Seal(size, _hash(path, size))


def _hash(path: Path, size: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while size > 0 and (part := file.read(min(PART, size))):
            digest.update(part)
            size -= len(part)
    return digest.hexdigest()
