"""Weights & Biases: online with a key, offline without one, and never the reason that a run ends."""

import logging
import netrc
import os
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import wandb

from rlx.core.error import UserError, first_line
from rlx.core.numbers import Positive
from rlx.core.secret import masked

log = logging.getLogger(__name__)
RUN_ID_FILE = "wandb_run_id"
Mode = Literal["online", "offline", "disabled", "shared"]


@dataclass(frozen=True)
class Wandb:
    """tracker=wandb. The run directory keeps the W&B run id, so that a resumed run goes on under its old curves."""

    project: str
    entity: str | None
    tags: str | None  # separated by commas, as in WANDB_TAGS
    mode: Literal["auto", "online", "offline", "disabled"]
    init_timeout: Positive  # seconds
    finish_timeout: Positive  # seconds

    def start(self, run_dir: Path, config: Mapping[str, Any], run_id: str) -> "Telling":
        """Begin or go on. `run_id` is the name shown; runs that differ in their seed alone form a W&B group.

        Raises UserError for an impossible WANDB_MODE. Where the server cannot be reached the run is kept offline, for
        `wandb sync`, and where that fails too, it goes on untold; both are said once.
        """
        mode = self.effective_mode()
        arguments = self._arguments(run_dir, config, run_id)
        attempts: tuple[Mode, ...] = (mode, "offline") if mode == "online" else (mode,)
        for attempt in attempts:
            try:
                # Offline, the same id alone joins the pieces of a resumed run at `wandb sync`.
                run = wandb.init(mode=attempt, resume=None if attempt == "offline" else "allow", **arguments)
                # Rows come once a rollout and once an evaluation: W&B's own counter of calls would be nobody's x-axis.
                run.define_metric("step")
                run.define_metric("*", step_metric="step")
            except Exception as ex:  # whatever a foreign service fails of, metrics.jsonl goes on
                log.warning("W&B could not start in mode %s: %s", attempt, first_line(ex))
                wandb.teardown()  # its service would otherwise call the run's id "in use" at the next attempt
                continue
            where = f"kept in {Path(run.dir).parent} for `wandb sync`" if attempt == "offline" else run.url
            log.info("W&B run %s (%s): %s", run.id, attempt, where)
            return Telling(run)
        log.warning("W&B is not told about this run; metrics.jsonl and the report are written as always")
        return Telling(None)

    def effective_mode(self) -> Mode:
        """`mode`, where "auto" is WANDB_MODE, or else online if there is a key and offline if not."""
        if self.mode != "auto":
            return self.mode
        if asked := os.environ.get("WANDB_MODE"):
            for mode in get_args(Mode):
                if asked == mode:
                    return mode
            raise UserError(
                f"WANDB_MODE={asked} is none of {', '.join(get_args(Mode))}: set it to one of them, or unset it"
            )
        return "online" if has_key() else "offline"

    def _arguments(self, run_dir: Path, config: Mapping[str, Any], run_id: str) -> dict[str, Any]:
        return {
            "project": self.project,
            "entity": self.entity,
            "name": run_id,
            "group": re.sub(r"-seed\d+$", "", run_id),
            "tags": [tag.strip() for tag in self.tags.split(",") if tag.strip()] if self.tags else None,
            "config": masked(dict(config)),
            "id": kept_id(run_dir),
            "dir": run_dir,
            "settings": wandb.Settings(
                init_timeout=self.init_timeout,
                finish_timeout=self.finish_timeout,
                console="off",  # progress bars and other people's tracebacks are not data
                save_code=False,
                silent=True,
            ),
        }


class Telling:
    """A started W&B run, or None after W&B has failed: then every call returns at once."""

    def __init__(self, run: Any) -> None:
        self._run = run

    def log(self, step: int, metrics: Mapping[str, float], split: str = "train") -> None:
        """Names of the training split as they are; of any other under its name, e.g. heldout/gold/score."""
        prefix = "" if split == "train" else f"{split}/"
        self._try(lambda run: run.log({"step": step, **{f"{prefix}{name}": value for name, value in metrics.items()}}))

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """A W&B table; cells of one column may be of several types."""
        data: list[Any] = [list(row) for row in rows]
        self._try(lambda run: run.log({name: wandb.Table(columns=list(columns), data=data, allow_mixed_types=True)}))

    def file(self, path: Path) -> None:
        """HTML and PNG are shown beside the curves; every file is kept as an artefact named after run and file."""
        path = Path(path)

        def tell(run: Any) -> None:
            if path.suffix == ".html":
                run.log({path.stem: wandb.Html(path.read_text(encoding="utf-8"), inject=False)})
            elif path.suffix == ".png":
                run.log({f"figures/{path.stem}": wandb.Image(str(path))})
            artifact = wandb.Artifact(re.sub(r"[^\w.-]", "-", f"{run.id}-{path.stem}"), type=path.stem)
            artifact.add_file(str(path))
            run.log_artifact(artifact)

        self._try(tell)

    def finish(self, summary: Mapping[str, Any], exit_code: int = 0) -> None:
        """Write the summary and close; waits for the network no longer than finish_timeout."""
        self._try(lambda run: run.summary.update(dict(summary)))
        self._try(lambda run: run.finish(exit_code=exit_code))
        self._run = None

    def _try(self, tell: Callable[[Any], object]) -> None:
        if self._run is None:
            return
        try:
            tell(self._run)
        except Exception as ex:  # whatever a foreign service fails of, the run goes on; said once
            log.warning("W&B logging failed and is off from here (%s); metrics.jsonl has everything", first_line(ex))
            self._run = None


def kept_id(run_dir: Path) -> str:
    """The W&B id of the run in `run_dir`: WANDB_RUN_ID or a new one the first time, the same one ever after."""
    file = run_dir / RUN_ID_FILE
    if not file.is_file():
        file.write_text(os.environ.get("WANDB_RUN_ID") or uuid.uuid4().hex[:8], encoding="utf-8")
    return file.read_text(encoding="utf-8").strip()


def has_key() -> bool:
    """Whether W&B would find a key in the environment or in the netrc file; the key itself is not looked at."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    host = re.sub(r"^https?://|/.*$|:\d+(/.*)?$", "", os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai")
    file = Path(os.environ.get("NETRC") or Path.home() / ("_netrc" if os.name == "nt" else ".netrc"))
    try:
        return file.is_file() and netrc.netrc(file).authenticators(host) is not None
    except (netrc.NetrcParseError, OSError) as ex:
        log.warning("%s cannot be read (%s): no W&B key is taken from it", file, first_line(ex))
        return False
