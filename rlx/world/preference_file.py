"""Records as they lie in a file, a folder or on the Hub: each with its place, so that an error can point at it."""

import gzip
import hashlib
import json
import logging
import os
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
# The kinds of data that `datasets` tells apart in a folder.
OF_DATASETS = {
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".arrow": "arrow",
}
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
        for name in ("subset", "revision"):
            if (value := getattr(self, name)) is not None:
                raise UserError(f"world.{name}={value}: {file} is a file, which has none; leave it out")
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
        if os.path.lexists(path):
            what = "a link to nothing" if path.is_symlink() else "a device or a pipe"
            raise UserError(f"{self.path}: {what}; give {KINDS}")
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
        if folder.is_dir():
            _check_one_kind(folder)
        log = logging.getLogger("datasets")
        level = log.level
        log.setLevel(logging.CRITICAL)  # what it logs, it also raises
        try:
            rows = datasets.load_dataset(name, self.subset, split=self.split, revision=self.revision)
        except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
            made = isinstance(error, datasets.exceptions.DatasetGenerationError)
            reason = first_line((error.__cause__ if made else None) or error)
            asked = f"world.subset={self.subset}, world.split={self.split}, world.revision={self.revision}"
            raise UserError(f"{self.path}: cannot load this dataset ({asked}): {reason}") from error
        finally:
            log.setLevel(level)
        for number, row in enumerate(rows, start=1):
            yield Record(f"{self.path}[{self.split}], record {number}", dict(row))


def _check_one_kind(folder: Path) -> None:
    """Raise UserError where data lie beside data of another kind, of which `datasets` would read one in silence."""
    found = {path.suffix for path in folder.rglob("*") if path.suffix in OF_DATASETS}
    if len({OF_DATASETS[suffix] for suffix in found}) > 1:
        raise UserError(
            f"{folder}: holds {' and '.join(sorted(found))} files, and one kind alone would be read; give each a folder"
        )


def _json(path: Path) -> Iterator[Record]:
    """JSON Lines, or one JSON list; gzipped or not. The first character that is not white space decides."""
    try:
        with _open(path) as file:
            start = file.read(64).lstrip(b"\xef\xbb\xbf").lstrip()
            while not start and (more := file.read(4096)):
                start = more.lstrip()
        if start.startswith(b"[") and ".json" in path.suffixes:
            yield from _json_list(path)
            return
        if re.match(rb"\[\s*(\{|$)", start):
            raise UserError(f"{path}: is one JSON list; call it .json, or write one object a line")
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
        raise UserError(f"{path}: {error}; keep one of them") from error
    except ValueError as error:  # the interpreter reads no number of more than 4300 digits
        raise UserError(f"{path}: a number of thousands of digits; take it out") from error
    except RecursionError as error:
        raise UserError(f"{path}: not JSON: nested too deeply") from error
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
    except ValueError:  # the interpreter reads no number of more than 4300 digits
        return RecordError("a number too long", "a number of thousands of digits")
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
