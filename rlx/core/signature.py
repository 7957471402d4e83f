"""The keywords and constants of a class, read from its source: a config is checked, and named, without importing torch."""

import ast
import builtins
import collections.abc
import importlib.machinery
import importlib.util
import typing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import rlx.core.numbers
from rlx.core.error import UserError, unknown
from rlx.core.paper import Paper

NAMES: dict[str, Any] = {
    **vars(builtins),
    "Path": Path,
    **vars(collections.abc),
    **{name: getattr(typing, name) for name in typing.__all__},
    **vars(rlx.core.numbers),
}


@dataclass(frozen=True)
class Keyword:
    """One constructor keyword. `kind` is its annotation, evaluated; Any where the annotation says nothing to us."""

    kind: Any
    required: bool


@dataclass(frozen=True)
class Signature:
    keywords: dict[str, Keyword]
    open: bool  # takes **keywords: any key goes


@cache
def signature(target: str) -> Signature:
    """The constructor's keywords of `target` ("package.module.Class"). UserError where there is no such class."""
    module, _, name = target.rpartition(".")
    return ClassSource.of(module).signature(name, target)


def takes(target: str, key: str) -> bool:
    """Return whether the constructor of `target` has the keyword `key`; False where there is no such class."""
    try:
        return key in signature(target).keywords
    except (UserError, SyntaxError, OSError):
        return False


@cache
def constant(target: str, name: str) -> Any:
    """Return the class attribute `name` of `target`; None where there is no such class, it has none, or only running the
    module could tell its value."""
    found = _class_of(target)
    return found[0].constant(found[1], name) if found else None


@cache
def modules_of(target: str) -> tuple[str, ...]:
    """Return the modules that define `target`'s class and the bases whose constructor it has, its own first; none where
    there is no such class."""
    found = _class_of(target)
    return found[0].modules(found[1]) if found else ()


def _class_of(target: str) -> "tuple[ClassSource, ast.ClassDef] | None":
    module, _, name = target.rpartition(".")
    try:
        return ClassSource.of(module).find(name)
    except (UserError, SyntaxError, OSError):
        return None


@dataclass(frozen=True)
class ClassSource:
    """A module that was parsed, never run."""

    module: str
    tree: ast.Module

    @staticmethod
    @cache
    def of(module: str) -> "ClassSource":
        path = source_path(module)
        if path is None:
            raise UserError(f"_target_: no module {module!r} (is its package installed, or on PYTHONPATH?)")
        return ClassSource(module, ast.parse(path.read_text(encoding="utf-8"), filename=str(path)))

    def __hash__(self) -> int:
        return hash(self.module)

    def signature(self, name: str, target: str) -> Signature:
        found = self.find(name)
        if found is None:
            classes = [node.name for node in self.tree.body if isinstance(node, ast.ClassDef)]
            raise UserError(f"_target_: {unknown(f'class in {self.module}', target.rpartition('.')[2], classes)}")
        source, node = found
        return source.constructor(node)

    def find(self, name: str) -> "tuple[ClassSource, ast.ClassDef] | None":
        """The class `name` here, or where this module imports it from."""
        for node in self.tree.body:
            if isinstance(node, ast.ClassDef) and node.name == name:
                return self, node
            if isinstance(node, ast.ImportFrom) and (alias := _imported(node, name)) is not None:
                origin = self._absolute(node)
                return ClassSource.of(origin).find(alias) if source_path(origin) else None
        return None

    def constructor(self, node: ast.ClassDef) -> Signature:
        """Of `__init__` if the class has one, else of its annotated fields and those of its bases (a dataclass)."""
        if (init := _init_of(node)) is not None:
            return self._of_init(init)
        keywords: dict[str, Keyword] = {}
        for source, base in self._bases(node):
            keywords |= source.constructor(base).keywords
        for item in node.body:
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                if "ClassVar" in ast.unparse(item.annotation) or _is_false(item.value, "init"):
                    continue
                keywords[item.target.id] = Keyword(self.evaluate(item.annotation), _has_no_default(item.value))
        return Signature(keywords, open=False)

    def _of_init(self, init: ast.FunctionDef) -> Signature:
        arguments = init.args.args[1:]
        missing = len(arguments) - len(init.args.defaults)
        defaults = [*[None] * missing, *init.args.defaults]
        pairs = [*zip(arguments, defaults, strict=True), *zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True)]
        keywords = {
            argument.arg: Keyword(self.evaluate(argument.annotation) if argument.annotation else Any, default is None)
            for argument, default in pairs
        }
        return Signature(keywords, open=init.args.kwarg is not None)

    def constant(self, node: ast.ClassDef, name: str) -> Any:
        """The value of a class attribute, or of the first base that has it; None if none has."""
        for item in node.body:
            if (value := _assigned(item, name)) is not None:
                return self.value(value)
        found = (source.constant(base, name) for source, base in self._bases(node))
        return next((value for value in found if value is not None), None)

    def modules(self, node: ast.ClassDef) -> tuple[str, ...]:
        """This module, and those of the bases where the class has no `__init__` of its own."""
        bases = [] if _init_of(node) else self._bases(node)
        return (self.module, *(module for source, base in bases for module in source.modules(base)))

    def _bases(self, node: ast.ClassDef) -> "list[tuple[ClassSource, ast.ClassDef]]":
        found = [self.find(base.id) for base in node.bases if isinstance(base, ast.Name)]
        return [base for base in found if base is not None]

    def value(self, node: ast.expr) -> Any:
        """A literal, a tuple of them, a Paper, or the name of such a constant; None for any other expression."""
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Tuple):
            return tuple(self.value(item) for item in node.elts)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Paper" and len(node.args) == len(Paper._fields):
            return Paper(*(self.value(item) for item in node.args))
        if isinstance(node, ast.Name):
            for item in self.tree.body:
                if (assigned := _assigned(item, node.id)) is not None:
                    return self.value(assigned)
                if isinstance(item, ast.ImportFrom) and (original := _imported(item, node.id)) is not None:
                    origin = self._absolute(item)
                    return ClassSource.of(origin).value(ast.Name(original)) if source_path(origin) else None
        return None

    def evaluate(self, annotation: ast.expr) -> Any:
        """The annotation as a type; Any where it names something that only importing the module could tell."""
        if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
            annotation = ast.parse(annotation.value, mode="eval").body
        try:
            return eval(compile(ast.Expression(annotation), self.module, "eval"), {"__builtins__": {}}, _Names(self))
        except (NameError, AttributeError, TypeError, SyntaxError):
            return Any

    def alias(self, name: str) -> Any:
        """A type alias of this module (`Kind = Literal["a", "b"]`), or one that it imports from a module of rlx."""
        for node in self.tree.body:
            if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
                return self.evaluate(node.value)
            if isinstance(node, ast.ImportFrom) and (original := _imported(node, name)) is not None:
                origin = self._absolute(node)
                if origin.partition(".")[0] == self.module.partition(".")[0] and source_path(origin):
                    return ClassSource.of(origin).alias(original)
        raise KeyError(name)

    def _absolute(self, node: ast.ImportFrom) -> str:
        return importlib.util.resolve_name("." * node.level + (node.module or ""), self.module.rpartition(".")[0])


class _Names(dict[str, Any]):
    def __init__(self, source: ClassSource) -> None:
        super().__init__(NAMES)
        self.source = source

    def __missing__(self, name: str) -> Any:
        return self.source.alias(name)


@cache
def source_path(module: str) -> Path | None:
    """The file of `module`, found without running any package's __init__ (which might import torch)."""
    top, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(top) if top else None
    except (ImportError, ValueError):
        return None
    name = top
    for part in rest:
        if spec is None or spec.submodule_search_locations is None:
            return None
        name = f"{name}.{part}"
        spec = importlib.machinery.PathFinder.find_spec(name, list(spec.submodule_search_locations))
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


def _init_of(node: ast.ClassDef) -> ast.FunctionDef | None:
    return next((item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"), None)


def _assigned(node: ast.stmt, name: str) -> ast.expr | None:
    """What the statement assigns to `name`."""
    targets = [node.target] if isinstance(node, ast.AnnAssign) else node.targets if isinstance(node, ast.Assign) else []
    if isinstance(node, ast.AnnAssign | ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in targets):
        return node.value
    return None


def _imported(node: ast.ImportFrom, name: str) -> str | None:
    return next((alias.name for alias in node.names if (alias.asname or alias.name) == name), None)


def _field_arguments(value: ast.expr | None) -> dict[str, ast.expr] | None:
    if isinstance(value, ast.Call) and ast.unparse(value.func) in ("field", "dataclasses.field"):
        return {keyword.arg: keyword.value for keyword in value.keywords if keyword.arg}
    return None


def _is_false(value: ast.expr | None, argument: str) -> bool:
    given = (_field_arguments(value) or {}).get(argument)
    return isinstance(given, ast.Constant) and given.value is False


def _has_no_default(value: ast.expr | None) -> bool:
    arguments = _field_arguments(value)
    return value is None if arguments is None else not {"default", "default_factory"} & set(arguments)
