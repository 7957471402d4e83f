"""Compose cells with Hydra's own parts, and each combination of choices once, however many cells share it.

`hydra.main` composes a run twice and every cell of a sweep two times more, each from the files. What the choices of a line
make is the same for all cells with these choices; the settings of a cell are then put on a copy of it, by the function that
Hydra itself calls. 200 cells of 40 combinations take a sixth of the time.
"""

import copy
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import setup_globals
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from rlx.core.error import UserError

ROOT = "train"  # the file that names the groups and has the settings outside of them


class Composition:
    """The configs in `folder`, and in `extra` beside it."""

    def __init__(self, folder: Path, extra: Path | None) -> None:
        if extra is not None and not extra.is_dir():
            raise UserError(f"no config directory {str(extra.absolute())!r} (--config-dir)")
        setup_globals()
        version.setbase("1.3")
        search_path = create_config_search_path(str(folder))
        if extra is not None:
            search_path.prepend("command-line", f"file://{extra.absolute()}", SearchPathQuery(provider="schema"))
        self.loader = ConfigLoaderImpl(search_path)
        self.choices: DictConfig | None = None  # what the last cell's choices made, with Hydra's node
        self._made: dict[tuple[str, ...], tuple[DictConfig, DictConfig]] = {}  # the same without Hydra's node

    def cells(self, words: Sequence[str], sweeps: bool) -> Iterator[tuple[DictConfig, Any]]:
        """Yield the config of each cell with Hydra's own node for it. Use that node before you take the next cell, which
        changes it. Raises what Hydra and OmegaConf raise."""
        parser = OverridesParser.create(config_loader=self.loader)
        parsed = parser.parse_overrides(list(words))
        if not sweeps:
            self.loader.validate_sweep_overrides_legal(parsed, RunMode.RUN, from_shell=True)
            lines = [list(words)]
        else:
            (lines,) = BasicSweeper.split_arguments(parsed, None)
        before = HydraConfig.instance().cfg
        try:
            for number, line in enumerate(lines):
                yield self._cell(parser.parse_overrides(line), number if sweeps else None)
        finally:
            HydraConfig.instance().cfg = before

    def _cell(self, line: Sequence[Override], number: int | None) -> tuple[DictConfig, Any]:
        choices = [word for word in line if self._is_choice(word)]
        self.choices, made = self._choices_of(tuple(str(word.input_line) for word in choices))
        config = copy.deepcopy(made)
        self.loader._apply_overrides_to_config([word for word in line if word not in choices], config)
        return config, self._described(self.choices, config, line, number)

    def _is_choice(self, word: Override) -> bool:
        """As Hydra tells a choice of a group from a setting."""
        return self.loader.repository.group_exists(word.key_or_group) and not isinstance(word.value(), dict)

    def _choices_of(self, words: tuple[str, ...]) -> tuple[DictConfig, DictConfig]:
        if words not in self._made:
            whole = self.loader.load_configuration(ROOT, list(words), RunMode.RUN)
            own = copy.copy(whole)
            with read_write(own), open_dict(own):
                del own["hydra"]
            self._made[words] = (whole, own)
        return self._made[words]

    def _described(self, made: DictConfig, config: DictConfig, line: Sequence[Override], number: int | None) -> Any:
        """Hydra's node of the cell, to which ${hydra:...} refers, and which refers to the cell's `config`."""
        HydraConfig.instance().set_config(made)
        hydra: Any = HydraConfig.get()
        hydra._set_parent(config)
        names = hydra.job.config.override_dirname
        with read_write(hydra), open_dict(hydra):
            hydra.overrides.task = [word.input_line for word in line]
            hydra.job.override_dirname = get_overrides_dirname(
                list(line), list(names.exclude_keys), names.item_sep, names.kv_sep
            )
            if number is not None:
                hydra.job.id = hydra.job.num = number
        return hydra

    def keys(self) -> list[str]:
        """Every dotted key of what the last cell's choices made, Hydra's own among them; none before there is a cell."""

        def walk(node: Any, prefix: str = "") -> Iterator[str]:
            for key in node:
                yield f"{prefix}{key}"
                child = node._get_node(key)
                if isinstance(child, DictConfig) and not child._is_missing() and not child._is_none():
                    yield from walk(child, f"{prefix}{key}.")

        return [] if self.choices is None else list(walk(self.choices))


def resolved(config: DictConfig) -> dict[str, Any]:
    """The config as plain numbers, texts and mappings, with its references filled in."""
    found = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    assert isinstance(found, dict)
    return {str(key): value for key, value in found.items()}
