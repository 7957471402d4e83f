"""`rlx COMMAND ...`: the first word picks the verb, the rest belongs to it. Nothing heavy is imported early."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from rlx.core.error import UserError, WorkerError
from rlx.process.outer import launched, refuse
from rlx.process.parent import PARENT, end_with_parent

COMPOSED = {
    "train": "build what is missing, train, measure and report; the same command resumes a run that stopped",
    "submit": "what train would run here, as jobs of a Slurm cluster; returns once they are in the queue",
    "prepare": "build only the artefacts: SFT policies, preference pairs, reward models",
    "plan": "what a train would build, how long it takes, how much memory and disk; runs nothing",
}
PLAIN = {
    "evaluate": "measure a finished run again: other prompts, another sampling, another gold",
    "compare": "one run against another on the same held-out prompts, from the samples that both have kept",
    "status": "how runs stand: done, running, in the queue, interrupted, failed, and why",
    "claim": "test what a paper claims: run its cells, judge the difference over data seeds; --list shows all",
    "survey": "which factors of a survey matter: a CSV's, or a synthetic one's; models held to a reference importance",
    "report": "write a run's report.html again, or compare the runs of a sweep",
    "clean": "what nobody uses any more, artefacts by last use and what killed commands left; --yes frees it",
    "doctor": "is this machine ready, or a model (model=pretrained model.path=...)? what is missing, and what to do about it",
}
TOGETHER = ("train", "prepare")  # what several processes of another launcher do
ANY = "a run directory or a sweep's"


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 done, 1 failed, 2 the user's to mend (one line says what), 130 interrupted."""
    if PARENT in os.environ:
        end_with_parent()
    code = _code_of(arguments)
    if arguments is None and launched():  # not through the destructors of process groups whose other ends may be gone
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _code_of(arguments: Sequence[str] | None) -> int:
    debug = os.environ.get("RLX_DEBUG") == "1"
    try:
        code = _dispatch(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
        return code
    except UserError as error:
        if debug:
            raise
        print(f"rlx: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except WorkerError as error:
        print(f"rlx: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        if debug:
            raise
        print("rlx: interrupted; the same command goes on where it stopped", file=sys.stderr)
        return getattr(stop, "code", 130)
    except BrokenPipeError:  # rlx train --help | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        from rlx.command.outage import worded

        if debug or (line := worded(error)) is None:
            raise
        print(f"rlx: {line}", file=sys.stderr)
        return 1


def _dispatch(arguments: list[str]) -> int:
    from rlx.command import usage

    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage.commands(COMPOSED | PLAIN))
        return 0 if arguments else 2
    if arguments[0] == "--version":
        from importlib.metadata import version

        print(f"rlx {version('rlx')}")
        return 0
    if arguments[0] in ("-sc", "--shell_completion"):
        from rlx.command.completion import complete

        return complete(arguments, list(COMPOSED), list(PLAIN))
    verb, rest = arguments[0], arguments[1:]
    if verb not in TOGETHER:
        refuse(f"rlx {verb}")
    if verb in COMPOSED:
        if (parsed := usage.words_of_help(rest)) is not None:
            words, config_dir = parsed
            whole = usage.verb(verb, COMPOSED[verb], config_dir)
            print("\n\n".join(usage.group(word, config_dir) for word in words) if words else whole)
            return 0
        return _composed(verb, rest)
    if verb in PLAIN:
        return _plain(verb, rest)
    from rlx.core.error import unknown

    raise UserError(unknown("command", verb, [*COMPOSED, *PLAIN]))


def _composed(verb: str, arguments: list[str]) -> int:
    from rlx.command import training
    from rlx.command.check import checked, checked_plan
    from rlx.command.compose import compose
    from rlx.command.unread import refuse_unread

    if verb == "train" and (path := _resolved(arguments)) is not None:
        return training.train_resolved(path, lambda: _run_of("train"), lambda: _run_of("report"))
    if verb == "submit" and (sweep_dir := _sweep_dir(arguments)) is not None:
        return importlib.import_module("rlx.submit").run_sweep_again(sweep_dir)
    if verb == "submit" and (path := _resolved(arguments)) is not None:
        return importlib.import_module("rlx.submit").run_again(path)
    if verb == "prepare" and (sweep_dir := _sweep_dir(arguments)) is not None:
        return importlib.import_module("rlx.prepare").run_sweep(sweep_dir)
    if verb in ("plan", "submit") and arguments[:1] == ["claim"]:
        from rlx.command.claim import cells_for

        cells = cells_for(verb, _Parser(prog=f"rlx {verb} claim", allow_abbrev=False), arguments[1:])
    else:
        refuse_unread(verb, arguments)
        cells = compose(arguments)
    if not cells:  # --cfg, --info: Hydra has shown it
        return 0
    if verb == "submit":
        return _run_of("submit")(cells)
    if verb == "train" and len(cells) > 1:
        return importlib.import_module("rlx.command.sweep").sweep(cells)
    if verb == "train":
        check = partial(_run_of, "experiment.preflight", "check_run")
        return training.train_one(cells[0], lambda: _run_of("train"), lambda: _run_of("report"), check)
    if len(cells) == 1:
        config = checked(cells[0].config)
        training.look_at([config])
        return _run_of("plan")(config, checked_plan(cells[0].plan).device) if verb == "plan" else _run_of(verb)(config)
    return _several(verb, cells)


def _several(verb: str, cells: list[Any]) -> int:
    """`rlx prepare -m` and `rlx plan -m`: the cells of a sweep together."""
    from rlx.command.check import checked_plan, checked_sweep
    from rlx.command.sweep import parallel, rows_of
    from rlx.command.training import look_at

    settings, device, rows = checked_sweep(cells[0].sweep), checked_plan(cells[0].plan).device, rows_of(cells)
    look_at([row.config for row in rows])
    module = importlib.import_module(f"rlx.{verb}")
    if verb == "prepare":
        return module.run_all({row.run_dir.name: row.config for row in rows})
    return module.run_all(rows, parallel(settings.num_parallel, [row.config for row in rows]), device)


def _resolved(arguments: list[str]) -> Path | None:
    """The config.yaml that `rlx train RUN/config.yaml` or `rlx train RUN` names, or None for a line of overrides."""
    if len(arguments) != 1 or "=" in arguments[0] or arguments[0].startswith("-"):
        return None
    path = Path(arguments[0])
    if path.is_dir():
        path /= "config.yaml"
    return path.absolute() if path.suffix == ".yaml" else None


def _sweep_dir(arguments: list[str]) -> Path | None:
    """The directory that `rlx prepare SWEEP` (what a sweep starts before its cells) or `rlx submit SWEEP` names, or None."""
    from rlx.run.sweep_record import is_sweep

    return Path(arguments[0]).absolute() if len(arguments) == 1 and is_sweep(Path(arguments[0])) else None


def _plain(verb: str, arguments: list[str]) -> int:
    parser = _Parser(prog=f"rlx {verb}", description=f"{PLAIN[verb][0].upper()}{PLAIN[verb][1:]}.", allow_abbrev=False)
    if verb == "doctor":
        from rlx.command.doctor import config_of

        return _run_of("doctor")(*config_of(parser, arguments))
    if verb == "claim":
        from rlx.command import claim

        typed = claim.typed(parser, arguments)
        return _run_of("claim")(claim.declared_by(typed), not typed.no_run, typed.to)
    from rlx.run.find import NAMED, existing_run

    if verb == "status":
        parser.add_argument("runs", nargs="*", metavar="RUN", help=f"{ANY}{NAMED}; default: all there are")
        return _run_of("status")([existing_run(word, sweeps=True) for word in parser.parse_args(arguments).runs])
    if verb == "compare":
        parser.add_argument("first", metavar="RUN_A", help=f"a run directory{NAMED}")
        parser.add_argument("second", metavar="RUN_B", help="another, of the same world, data seed and gold judge")
        parsed = parser.parse_args(arguments)
        return _run_of("compare")(*(existing_run(word, sweeps=False) for word in (parsed.first, parsed.second)))
    if verb == "survey":
        return _survey(parser, arguments)
    if verb == "clean":
        return _clean(parser, arguments)
    if verb == "evaluate":
        from rlx.command.evaluation import evaluate

        return evaluate(parser, arguments, lambda: importlib.import_module("rlx.evaluate"))
    parser.add_argument("run", metavar="RUN", help=f"{ANY}{NAMED}")
    return _run_of("report")(existing_run(parser.parse_args(arguments).run, sweeps=True))


def _clean(parser: argparse.ArgumentParser, arguments: list[str]) -> int:
    """`rlx clean [--yes]`."""
    from rlx.command.freeing import settings_of

    return _run_of("clean")(settings_of(parser, arguments))


def _survey(parser: argparse.ArgumentParser, arguments: list[str]) -> int:
    """`rlx survey [FILE.csv] key=value ...`."""
    from rlx.command import survey

    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = survey.help_text()
    parser.add_argument("words", nargs="*", metavar="FILE.csv KEY=VALUE", help="a table with a header; settings, below")
    settings = survey.settings_of(parser.parse_args(arguments).words)
    return _run_of("survey")(settings, survey.directory_of(settings))


def _run_of(verb: str, name: str = "run") -> Any:
    """`rlx.<verb>.run`, whose import may load torch: called once the command is known to be sound."""
    return getattr(importlib.import_module(f"rlx.{verb}"), name)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; `{self.prog} --help` tells more")


if __name__ == "__main__":
    sys.exit(main())
