"""Records as they lie in a file, a folder or on the Hub: each with its place, so that an error can point at it."""

import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import IO

from rlx.core.error import UserError, first_line
from rlx.world.bad_record import RecordError, kind_of

SUFFIXES = (".jsonl", ".ndjson", ".json", ".jsonl.gz", ".ndjson.gz", ".json.gz", ".parquet")
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
KINDS = "a file (.jsonl, .json, either with .gz, .parquet), a folder of them, or a dataset on the Hub (owner/name)"


@dataclass(frozen=True)
class Record:
    """One record and where it lies: "pairs.jsonl:12" counts lines, "pairs.parquet, record 12" counts from 1.
    `fields` is the fault instead where no fields could be read."""

    place: str
    fields: dict[str, object] | RecordError


@dataclass(frozen=True)
class PreferenceSource:
    """Where records come from. `subset`, `split` and `revision` are for folders and the Hub; a file has none."""

    path: str
    subset: str | None
    split: str
    revision: str | None

    def records(self) -> Iterator[Record]:
        """Every record in order.

        Raises: UserError where the whole cannot be read: missing, of an unknown kind, cut off, not JSON as a whole.
        """
        file = self.file()
        if file is None:
            return self._dataset()
        if file.suffix == ".parquet":
            return _parquet(file)
        return _json(file)

    def file(self) -> Path | None:
        """The file that `path` names, or None for a folder or a Hub dataset.

        Raises: UserError if it is neither.
        """
        path = Path(self.path).expanduser()
        if path.is_file():
            if not path.name.endswith(SUFFIXES):
                raise UserError(f"{path}: this kind of file is not read; give {KINDS}")
            return path
        if path.is_dir() or (HUB_ID.fullmatch(self.path) and not path.name.endswith(SUFFIXES)):
            return None
        names = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        near = get_close_matches(path.name, names, n=1)
        hint = f"; did you mean {path.parent / near[0]}?" if near else f"; give {KINDS}"
        raise UserError(f"{self.path}: no such file{hint}")

    def content_hash(self) -> str | None:
        """sha256 of a file's bytes; None for a folder or Hub dataset, whose identity is the records themselves."""
        file = self.file()
        if file is None:
            return None
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()

    def _dataset(self) -> Iterator[Record]:
        import datasets.exceptions  # a second to import, needed by nobody who brings a file

        folder = Path(self.path).expanduser()
        name = str(folder) if folder.is_dir() else self.path
        try:
            rows = datasets.load_dataset(name, self.subset, split=self.split, revision=self.revision)
        except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
            asked = f"world.subset={self.subset}, world.split={self.split}, world.revision={self.revision}"
            raise UserError(f"{self.path}: cannot load this dataset ({asked}): {first_line(error)}") from error
        for number, row in enumerate(rows, start=1):
            yield Record(f"{self.path}[{self.split}], record {number}", dict(row))


def _json(path: Path) -> Iterator[Record]:
    """JSON Lines, or one JSON list; gzipped or not. The first character that is not white space decides."""
    try:
        with _open(path) as file:
            start = file.read(64).lstrip(b"\xef\xbb\xbf").lstrip()
        if start.startswith(b"[") and ".json" in path.suffixes:
            yield from _json_list(path)
            return
        with _open(path) as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield Record(f"{path}:{number}", _parse(line, first=number == 1))
    except (EOFError, zlib.error) as error:
        raise UserError(f"{path}: the gzip stream is cut off or damaged ({error}); fetch the file again") from error
    except gzip.BadGzipFile as error:
        raise UserError(f"{path}: not a gzip file ({error}); rename it or fetch it again") from error


def _open(path: Path) -> IO[bytes] | gzip.GzipFile:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")


def _json_list(path: Path) -> Iterator[Record]:
    with _open(path) as file:
        content = file.read()
    try:
        rows = json.loads(content.decode("utf-8-sig"), object_pairs_hook=_object)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UserError(
            f"{path}:{line}: not UTF-8: byte 0x{content[error.start]:02x}; save the file as UTF-8"
        ) from error
    except json.JSONDecodeError as error:
        raise UserError(f"{path}:{error.lineno}: not JSON: {error.msg} at column {error.colno}") from error
    except _TwiceError as error:
        raise UserError(f"{path}: {error}") from error
    for number, row in enumerate(rows, start=1):
        yield Record(f"{path}, record {number}", row if isinstance(row, dict) else _not_an_object(row))


def _parse(line: bytes, first: bool) -> dict[str, object] | RecordError:
    try:
        row = json.loads(line.rstrip(b"\r\n").decode("utf-8-sig" if first else "utf-8"), object_pairs_hook=_object)
    except UnicodeDecodeError as error:
        return RecordError("not UTF-8", f"not UTF-8: byte 0x{line[error.start]:02x} at column {error.start + 1}")
    except json.JSONDecodeError as error:
        return RecordError("not JSON", f"not JSON: {error.msg} at column {error.colno}")
    except _TwiceError as error:
        return RecordError("a field twice", str(error))
    except RecursionError:
        return RecordError("not JSON", "not JSON: nested too deeply")
    return row if isinstance(row, dict) else _not_an_object(row)


class _TwiceError(Exception):
    """A key occurs twice in one object, so that json would keep the last and lose the first."""


def _object(items: list[tuple[str, object]]) -> dict[str, object]:
    row = dict(items)
    if len(row) < len(items):
        keys = [key for key, _ in items]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise _TwiceError(f"field {twice!r} occurs twice in one object")
    return row


def _not_an_object(row: object) -> RecordError:
    return RecordError("not an object", f"{kind_of(row)} where an object with fields is needed")


def _parquet(path: Path) -> Iterator[Record]:
    import pyarrow
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path)
        number = 0
        for batch in file.iter_batches(batch_size=1000):
            for row in batch.to_pylist():
                number += 1
                yield Record(f"{path}, record {number}", row)
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{path}: not a whole Parquet file: {first_line(error)}") from error
