"""Content-addressed artefacts: what a recipe and a seed make is made once, checked by hash, and shared by every run."""

import json
import logging
import math
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from filelock import AcquireReturnProxy, FileLock, Timeout

from rlx.artefact.manifest import MANIFEST, address, canonical, damaged, hashes
from rlx.artefact.sharing import share, shared_modes
from rlx.artefact.training_state import MARK
from rlx.artefact.use import Use
from rlx.core.error import UserError
from rlx.process import processes

log = logging.getLogger(__name__)


class Recipe(Protocol):
    """A frozen dataclass whose fields, class name and VERSION say all that decides its files' content.

    A field may be a number, string, bool, None, list, tuple, dict, another recipe, or any object with `fingerprint()`.
    """

    VERSION: ClassVar[int]

    def build(self, directory: Path, store: "Store", seed: int) -> None:
        """Write the artefact's files into the empty `directory`; fetch what it needs from `store`."""
        ...


@dataclass(frozen=True)
class TrainingContext:
    """Where a recipe trains. `distribution`: what transformers.TrainingArguments must be told where that is on several
    processes. Checkpoints of it, laid out as `layout` says, are kept in `folder` every `minutes` and outlive a kill."""

    folder: Path
    distribution: Mapping[str, Any] = field(default_factory=dict)
    layout: str = "whole"
    minutes: float = math.inf


class Store:
    """The artefacts under `root`, one folder each: `<recipe name>-<address>/` with a manifest of its files' hashes.

    `training_context` returns how and where an artefact trains in a folder. Several processes fetch in the same order
    and build together; what the first one writes is kept.
    """

    def __init__(self, root: Path, training_context: Callable[[Path], TrainingContext] = TrainingContext) -> None:
        self.root, self._context_of = Path(root), training_context
        self._verified: set[str] = set()
        self._use: Use | None = None
        self._nested = 0.0  # s that went into artefacts built on the way to another

    def path(self, recipe: Recipe, seed: int) -> Path:
        """Where the artefact lies or would lie."""
        return self.root / f"{type(recipe).__name__}-{address(recipe, seed)}"

    def training_context(self, recipe: Recipe, seed: int) -> TrainingContext:
        """Where the artefact trains. Its folder is kept until the artefact is there, and is common to all processes."""
        return self._context_of(self._unfinished(self.path(recipe, seed)))

    def has(self, recipe: Recipe, seed: int) -> bool:
        """Whether the artefact is there (its manifest is written last, so its presence means whole). Does not hash."""
        return (self.path(recipe, seed) / MANIFEST).is_file()

    def seconds(self, recipe: Recipe, seed: int) -> float | None:
        """What building the artefact took, its parts apart; None if it is not there, was built before this was kept, or
        was interrupted in its training."""
        try:
            return json.loads((self.path(recipe, seed) / MANIFEST).read_text(encoding="utf-8")).get("seconds")
        except (OSError, ValueError):
            return None

    def seconds_of_kin(self, recipe: Recipe) -> float | None:
        """The longest that building an artefact took whose recipe differs from this one in its `index` at most, whatever
        the seed; None if none was timed here."""
        wanted, found = _of_any_index(canonical(recipe)), []
        for path in self.root.glob(f"{type(recipe).__name__}-*/{MANIFEST}"):
            try:
                manifest = json.loads(path.read_text(encoding="utf-8"))
                if _of_any_index(manifest["recipe"]) == wanted and manifest.get("seconds") is not None:
                    found.append(float(manifest["seconds"]))
            except (OSError, ValueError, KeyError):
                continue
        return max(found, default=None)

    def fetch(self, recipe: Recipe, seed: int) -> Path:
        """The artefact's folder, built first if it is missing or damaged. Of several processes, one builds."""
        path = self.path(recipe, seed)
        if path.name in self._verified:
            return path
        self._make_root()
        with self._held(path):
            damage = damaged(path) if processes.first() else None
            if damage is not None:
                if path.exists():
                    log.warning("artefact %s is damaged (%s); building it again", path, damage)
                self._clear_staging(path)
            if processes.agreed(damage, patiently=True) is not None:  # the first one may have waited for the lock
                self._build(recipe, seed, path)
            if processes.first():
                self._use = self._use or Use(self.root)
                self._use.note(path.name)
        processes.wait(patiently=True)  # or builds alone
        self._verified.add(path.name)
        return path

    @contextmanager
    def _held(self, path: Path) -> Iterator[None]:
        """The artefact's lock, which the first process takes for all of its run."""
        if not processes.first():
            yield
            return
        try:
            held = self._acquired(path)
        except OSError as error:
            if (damage := damaged(path)) is not None:
                raise UserError(
                    f"{self.root} cannot be written to ({error.strerror}), and {path.name} is not whole in it ({damage}): ask its "
                    "owner for the group's rights (chmod -R g+rwX), or set cache_dir to a folder of your own"
                ) from error
            yield  # of another user, or on a disk that is only read: what is whole needs no lock
            return
        with held:
            yield

    def _acquired(self, path: Path) -> AcquireReturnProxy:
        lock = FileLock(self.root / f"{path.name}.lock", mode=shared_modes(self.root)[1])
        try:
            return lock.acquire(timeout=0)
        except Timeout:
            log.info("waiting for another process that is building %s", path.name)
            return lock.acquire()

    def _make_root(self) -> None:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cache_dir={self.root}: cannot be made ({error.strerror}); give another folder") from error

    def _clear_staging(self, path: Path) -> None:
        """Remove what killed builds of the artefact left. Call it under the artefact's lock: no live build has any then."""
        for leftover in self.root.glob(f"{path.name}.*.tmp"):
            log.info("removing %s, which a killed build left", leftover)
            shutil.rmtree(leftover, ignore_errors=True)

    def _build(self, recipe: Recipe, seed: int, path: Path) -> None:
        staging = Path(tempfile.mkdtemp(prefix=f"{path.name}.", suffix=".tmp", dir=self.root))
        unfinished = self._unfinished(path)
        start, nested, resumed = time.monotonic(), self._nested, _has_checkpoint(unfinished)
        try:
            recipe.build(staging, self, seed)
            elapsed = time.monotonic() - start
            own = round(elapsed - (self._nested - nested), 3)
            self._nested = nested + elapsed
            if not processes.first():
                return
            seconds = None if resumed else own  # of its end alone, they would say nothing of the next one
            manifest = {"recipe": canonical(recipe), "seed": seed, "files": hashes(staging), "seconds": seconds}
            (staging / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True), encoding="utf-8")
            share(staging, self.root)
            shutil.rmtree(path, ignore_errors=True)
            staging.rename(path)
            shutil.rmtree(unfinished, ignore_errors=True)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
            if processes.first() and not _has_checkpoint(unfinished):
                shutil.rmtree(unfinished, ignore_errors=True)

    @staticmethod
    def _unfinished(path: Path) -> Path:
        return path.with_name(f"{path.name}.unfinished")


def _of_any_index(recipe: Any) -> Any:
    if isinstance(recipe, list) and recipe and isinstance(recipe[-1], dict):
        recipe = [*recipe[:-1], {key: value for key, value in recipe[-1].items() if key != "index"}]
    return json.loads(json.dumps(recipe, sort_keys=True))


def _has_checkpoint(folder: Path) -> bool:
    return any(folder.glob(f"*/{MARK}"))
