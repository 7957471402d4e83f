"""requirements.lock: what `make setup LOCKED=1` installs."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")


def test_every_dependency_is_locked_within_its_bounds():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = project["project"]["dependencies"] + project["project"]["optional-dependencies"]["dev"]
    locked = dict(re.findall(r"(?m)^(?:# )?([a-z0-9.-]+)==([^ \n]+)", LOCK))
    for requirement in map(Requirement, [*wanted, *project["build-system"]["requires"]]):
        version = locked.get(canonicalize_name(requirement.name))
        assert version and requirement.specifier.contains(version), f"make lock: {requirement}"


def test_every_file_has_a_hash_and_no_registry_is_named():
    packages = re.split(r"(?m)^(?=[a-z0-9])", LOCK)[1:]
    assert len(packages) > 50
    for package in packages:
        assert re.search(r"\n    --hash=sha256:[0-9a-f]{64}", package), package.split("\n")[0]
    assert "://" not in LOCK and "--index" not in LOCK
