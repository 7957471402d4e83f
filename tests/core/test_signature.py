"""A class's keywords are read from its source as Python would find them at run time."""

import typing
from pathlib import Path

import pytest

from rlx.core.error import UserError
from rlx.core.numbers import Positive
from rlx.core.signature import signature


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / f"pkg_{tmp_path.name}"  # a new name each time: sources are read once
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


def write(package: Path, text: str, name: str = "mod") -> str:
    (package / f"{name}.py").write_text(text)
    return f"{package.name}.{name}"


def test_fields_of_a_dataclass_with_those_of_its_bases_first(package):
    module = write(
        package,
        "from dataclasses import dataclass, field\nfrom typing import ClassVar\nfrom rlx.core.numbers import Positive\n"
        "@dataclass\nclass A:\n    a: Positive\n    kind: ClassVar[int] = 3\n"
        "@dataclass\nclass B(A):\n    b: 'Positive | None'\n    c: list[int] = field(default_factory=list)\n"
        "    d: int = field(init=False)\n    e: int = field(repr=False)\n    plain = 7\n",
    )
    found = signature(f"{module}.B")
    assert [(name, keyword.required) for name, keyword in found.keywords.items()] == [
        ("a", True),
        ("b", True),
        ("c", False),
        ("e", True),
    ]
    assert found.keywords["a"].kind == Positive and found.keywords["b"].kind == Positive | None


def test_arguments_of_an_init(package):
    module = write(package, "class A:\n    def __init__(self, a: int, b=2, *, c: float, d: bool = True, **rest): ...\n")
    found = signature(f"{module}.A")
    assert {name: keyword.required for name, keyword in found.keywords.items()} == {
        "a": True,
        "b": False,
        "c": True,
        "d": False,
    }
    assert found.open and found.keywords["b"].kind is typing.Any


def test_a_class_and_an_alias_that_come_from_another_module(package):
    write(package, "from typing import Literal\nKind = Literal['x', 'y']\n", "names")
    write(package, "from .names import Kind as K\nclass A:\n    def __init__(self, kind: K): ...\n", "origin")
    module = write(package, "from .origin import A as B\n")
    assert signature(f"{module}.B").keywords["kind"].kind == typing.Literal["x", "y"]


def test_an_annotation_that_only_importing_could_tell_allows_any_value(package):
    module = write(package, "import torch\nclass A:\n    def __init__(self, dtype: torch.dtype): ...\n")
    assert signature(f"{module}.A").keywords["dtype"].kind is typing.Any


def test_a_class_that_is_not_there_is_named_with_the_nearest(package):
    module = write(package, "class Warm: ...\n")
    with pytest.raises(UserError, match=r"called 'Warn' \(did you mean 'Warm'\?\)"):
        signature(f"{module}.Warn")
