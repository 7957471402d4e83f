"""A function of the user in a Python file of theirs, as a setting names it: FILE.py:NAME. Nothing here imports the file."""

import ast
import hashlib
from pathlib import Path

from rlx.core.error import UserError, unknown


def parts(path: str) -> tuple[Path, str]:
    """Return the absolute file and the name of the function. Raises UserError where `path` is no FILE.py:NAME."""
    file, _, name = path.rpartition(":")
    if not file.endswith(".py") or not name.isidentifier() or "\0" in file:
        raise UserError("is no FILE.py:NAME; name a Python file and a function in it, e.g. score.py:score")
    return Path(file).expanduser().absolute(), name


def absolute(path: str) -> str:
    """`path` with an absolute file. Raises UserError as `parts`."""
    file, name = parts(path)
    return f"{file}:{name}"


def sha256_of(path: str) -> str:
    """Of the file's bytes. Raises UserError where it cannot be read."""
    file, _ = parts(path)
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror})") from error


def check(path: str) -> None:
    """Raise UserError where the file is not there, is no Python or does not name the function. The file is not run."""
    file, name = parts(path)
    if not file.is_file():
        raise UserError(f"there is no file {file}")
    sha256_of(path)
    try:
        tree = ast.parse(file.read_bytes(), filename=str(file))
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise UserError(f"{file}{f':{line}' if line else ''} is not Python: {getattr(error, 'msg', error)}") from error
    functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    if name not in functions | _other_names(tree):
        raise UserError(unknown(f"function in {file.name}", name, functions))


def _other_names(tree: ast.Module) -> set[str]:
    """What is imported, assigned or a class may be called as well."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in node.names}
    return found
