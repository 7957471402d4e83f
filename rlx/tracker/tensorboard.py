"""TensorBoard: event files in the run directory, which nothing but a disk can fail."""

import html
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlx.core.error import UserError, first_line
from rlx.core.secret import masked

log = logging.getLogger(__name__)
MOST_ROWS = 200  # of a table, the last ones; TensorBoard shows it as one text


@dataclass(frozen=True)
class TensorBoard:
    """tracker=tensorboard."""

    folder: str

    def start(self, run_dir: Path, config: Mapping[str, Any], run_id: str) -> "Writing":
        """Begin or go on. Raises UserError where neither library is installed, or `folder` leaves the run directory."""
        folder = (run_dir / self.folder).resolve()
        if not folder.is_relative_to(run_dir.resolve()):
            raise UserError(f"tracker.folder={self.folder}: leaves the run directory; give the name of a folder in it")
        return Writing(_summary_writer(), folder, config, run_id)


class Writing:
    """The writer is made at the first row, from whose step on the rows of an interrupted run are replaced."""

    def __init__(self, make: Any, folder: Path, config: Mapping[str, Any], run_id: str) -> None:
        self._make: Any = make
        self._folder, self._config, self._run_id = folder, config, run_id
        self._writer: Any = None

    def log(self, step: int, metrics: Mapping[str, float], split: str = "train") -> None:
        """Names of the training split as they are; of any other under its name, e.g. heldout/gold/score."""
        prefix = "" if split == "train" else f"{split}/"

        def tell(writer: Any) -> None:
            for name, value in metrics.items():
                writer.add_scalar(f"{prefix}{name}", value, step)

        self._try(tell, step)

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """A text with a table in Markdown, of the last rows; no cell of it is HTML."""
        self._try(lambda writer: writer.add_text(name, _markdown([columns, *rows[-MOST_ROWS:]])))

    def file(self, path: Path) -> None:
        """A text of what a Markdown file says; of any other, where it lies, for TensorBoard shows no pages."""
        path = Path(path)

        def tell(writer: Any) -> None:
            text = (
                html.escape(path.read_text(encoding="utf-8")) if path.suffix == ".md" else f"{self._run_id}/{path.name}"
            )
            writer.add_text(path.stem, text)

        self._try(tell)

    def finish(self, summary: Mapping[str, Any], exit_code: int = 0) -> None:
        """Write the summary and close."""
        self._try(lambda writer: writer.add_text("summary", _markdown([("name", "value"), *summary.items()])))
        self._try(lambda writer: writer.close())
        self._make = None

    def _try(self, tell: Callable[[Any], object], step: int | None = None) -> None:
        if self._make is None:
            return
        try:
            if self._writer is None:
                self._writer = self._make(str(self._folder), purge_step=step)
                config = json.dumps(masked(dict(self._config)), indent=1, sort_keys=True)
                self._writer.add_text("config", f"```\n{html.escape(config)}\n```")
            tell(self._writer)
            self._writer.flush()
        except Exception as ex:  # whatever a foreign library fails of, the run goes on; said once
            log.warning(
                "TensorBoard logging failed and is off from here (%s); metrics.jsonl has everything", first_line(ex)
            )
            self._make = None


def _summary_writer() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        try:
            from tensorboardX import SummaryWriter  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise UserError(
                "tracker=tensorboard needs a library that rlx does not install: pip install tensorboardX, or take tracker=jsonl"
            ) from None
    return SummaryWriter


def _markdown(rows: Sequence[Sequence[Any]]) -> str:
    head, *body = ([_cell(value) for value in row] for row in rows)
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *body))


def _cell(value: Any) -> str:
    return html.escape(" ".join(str(value).split())).replace("|", "&#124;")
