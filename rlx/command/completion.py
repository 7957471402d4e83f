"""Tab completion: our own words first, then Hydra's, which knows nothing of the verb and must not see it."""

import os
from collections.abc import Sequence
from pathlib import Path

from rlx.command.claim import names
from rlx.command.compose import conf_dir, parse, run_hydra
from rlx.command.freeing import FLAGS
from rlx.command.wording import CLAIMS


def complete(arguments: Sequence[str], composed: Sequence[str], plain: Sequence[str]) -> int:
    """`rlx -sc install=SHELL` prints the script for eval; that script calls `rlx -sc query=SHELL` at each TAB, with the
    line typed so far in COMP_LINE. `composed` verbs take Hydra overrides, `plain` ones a run directory."""
    if any(word.startswith("query=") for word in arguments):
        line = os.environ.get("COMP_LINE", "")
        words = line.split()
        if len(words) < 2 or (len(words) == 2 and not line.endswith(" ")):
            start = words[1] if len(words) == 2 else ""
            print(" ".join(word for word in [*composed, *plain] if word.startswith(start)))
            return 0
        if words[1] not in composed:
            if words[1] == "clean":
                start = words[-1] if len(words) > 2 and not line.endswith(" ") else ""
                print(" ".join(word for word in FLAGS if word.startswith(start)))
            elif words[1] == CLAIMS:
                print(
                    " ".join(name for name in ("all", *names()) if name.startswith(words[-1] if len(words) > 2 else ""))
                )
            elif words[1] in plain:
                print(" ".join(_run_dirs(words[-1] if len(words) > 2 and not line.endswith(" ") else "")))
            return 0
        os.environ["COMP_LINE"] = line.replace(f"{words[1]} ", "", 1)
    import hydra

    parse(arguments)
    run_hydra(arguments, hydra.main(config_path=str(conf_dir()), config_name="train", version_base="1.3")(_nothing))
    return 0


def _nothing(_: object) -> None:
    """Hydra is only asked for words."""


def _run_dirs(start: str) -> list[str]:
    folder = Path(start if start.endswith("/") else os.path.dirname(start))
    if not start:
        folder = Path(os.environ.get("RLX_RUNS", "runs"))
    found = [str(path) for path in folder.glob("*") if path.is_dir()]
    return sorted(path for path in found if path.startswith(start))
