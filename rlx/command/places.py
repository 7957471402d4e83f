"""Where a run and its artefacts are to lie: a name and folders that can be made, and nothing secret in what is kept there."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rlx.core.error import UserError
from rlx.core.model_folder import check_model_folder, local_folder
from rlx.core.secret import secrets_in

LONGEST = 100  # characters of a name; file systems allow 255 bytes, and files beside the run add their own


def check_places(config: Mapping[str, Any]) -> None:
    """Raise UserError for a name, a runs_dir or a cache_dir that cannot be made, and for a config that holds a secret."""
    name = config["name"]
    if name is not None and (problem := _problem(str(name))):
        shown = name if len(name) <= 60 else f"{name[:57]}..."
        raise UserError(f"name={shown!r}: {problem}; take one word, it names a directory under runs_dir")
    for key in ("runs_dir", "cache_dir"):
        _check_folder(key, str(config[key]))
    for key, what in secrets_in(config):
        raise UserError(
            f"{key}: holds {what}, and a run's config is kept in files and shown in pages; leave it in the environment, where "
            "the service looks for it"
        )


def check_model_folders(config: Mapping[str, Any]) -> None:
    """Raise UserError for the path of a model, of a reward trunk or of gold that is no model's folder. Ids of the Hub pass."""
    for group, key in (("model", "path"), ("model", "reward_path"), ("world", "gold")):
        name = config[group].get(key)
        if isinstance(name, str) and (folder := local_folder(name, f"{group}.{key}")) is not None:
            check_model_folder(folder, name, f"{group}.{key}")
            if revision := config[group].get(key.replace("path", "revision")) if group == "model" else None:
                raise UserError(
                    f"{group}.{key.replace('path', 'revision')}={revision}: {name} is a folder, which has none; leave it out"
                )


def _problem(name: str) -> str | None:
    if not name or name in (".", ".."):
        return "no name"
    if "/" in name or not name.isprintable():
        return "it has a '/' or characters that cannot be printed"
    if name.startswith("-"):
        return "it begins like an option"
    return f"more than {LONGEST} characters" if len(name.encode()) > LONGEST else None


def _check_folder(key: str, value: str) -> None:
    shown = value if len(value) <= 80 else f"{value[:77]}..."
    if not value or "\0" in value or len(os.fsencode(value)) > 3000:
        raise UserError(f"{key}={shown!r}: no folder; give the path of one")
    path = Path(value).expanduser()
    if long := next((part for part in path.parts if len(os.fsencode(part)) > 255), None):
        raise UserError(f"{key}={shown}: {long[:20]}... is longer than a name may be (255 bytes); give a shorter one")
    try:
        there = next(folder for folder in (path, *path.absolute().parents) if os.path.lexists(folder))
    except OSError as error:
        raise UserError(f"{key}={shown}: cannot be made ({error.strerror})") from error
    if not there.is_dir():
        what = "a link to nothing" if there.is_symlink() and not there.exists() else "no folder"
        raise UserError(f"{key}={shown}: {there} is {what}; give the path of a folder")
    if not path.is_dir():
        try:  # what the system says of rights is wrong of /proc, and for root
            os.rmdir(tempfile.mkdtemp(prefix=".rlx-", dir=there))
        except OSError as error:
            raise UserError(
                f"{key}={shown}: cannot be made, {there} cannot be written to; give another folder"
            ) from error
