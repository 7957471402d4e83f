"""JSON lines: a row a line, in UTF-8, and lines that end in "\\n" alone.

Texts of the world hold U+2028, U+0085 and other characters that `str.splitlines` takes for ends of lines.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def read_rows(path: Path) -> list[Any]:
    """Return the rows of `path`; empty lines are passed over."""
    return [json.loads(line) for line in path.read_bytes().decode("utf-8").split("\n") if line.strip()]


def write_rows(path: Path, rows: Iterable[Any]) -> None:
    """Write `rows` to `path`, which may be there already. Lone surrogates are escaped, as JSON can."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
