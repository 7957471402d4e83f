"""An artefact's manifest: what it was made from, what its files hold, and the address that follows from the first."""

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"


def address(recipe: object, seed: int) -> str:
    """16 hex digits of the hash of the recipe tree and the seed."""
    return _address_of(canonical(recipe), seed)


def canonical(value: object) -> object:
    """A JSON-able form of a recipe tree in which every dataclass carries its name and VERSION."""
    if (fingerprint := getattr(value, "fingerprint", None)) is not None:
        return [type(value).__name__, fingerprint()]
    if dataclasses.is_dataclass(value):
        fields = {f.name: canonical(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return [type(value).__name__, getattr(value, "VERSION", 0), fields]
    if isinstance(value, dict):
        return {str(k): canonical(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(v) for v in value]
    assert value is None or isinstance(value, str | int | float | bool), f"{type(value)} cannot be part of a recipe"
    return value


def _address_of(recipe: object, seed: int) -> str:
    return hashlib.sha256(json.dumps([recipe, seed], sort_keys=True).encode()).hexdigest()[:16]


def read_manifest(path: Path) -> dict[str, Any] | None:
    """Return the manifest of the artefact at `path`; None if there is none that can be read."""
    try:
        told = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return told if isinstance(told, dict) else None


def parts_of(path: Path) -> set[str]:
    """Return the folders' names of the artefacts that went into the one at `path`, and of those that went into them."""
    told = read_manifest(path) or {}
    return {f"{recipe[0]}-{_address_of(recipe, told.get('seed', 0))}" for recipe in _recipes_in(told.get("recipe"))}


def _recipes_in(value: Any) -> Iterator[list[Any]]:
    """Every dataclass below the outermost one, in its canonical form; most are recipes, some are settings."""
    fields = value[2] if _is_recipe(value) else value
    for part in fields.values() if isinstance(fields, dict) else fields if isinstance(fields, list) else ():
        if _is_recipe(part):
            yield part
        yield from _recipes_in(part)


def _is_recipe(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and isinstance(value[0], str) and isinstance(value[2], dict)


def hashes(directory: Path) -> dict[str, str]:
    """Relative path -> sha256 of every file below `directory`, the manifest apart."""
    files = sorted(p for p in directory.rglob("*") if p.is_file() and p.name != MANIFEST)
    return {p.relative_to(directory).as_posix(): _sha256(p) for p in files}


def damaged(path: Path) -> str | None:
    """Why the artefact at `path` cannot be used, or None if every file is as its manifest says."""
    try:
        wanted = json.loads((path / MANIFEST).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError) as ex:
        return f"no readable manifest: {ex}"
    found = hashes(path)
    wrong = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    return f"{', '.join(wrong)} changed" if wrong else None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
