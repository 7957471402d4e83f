"""`rlx evaluate`: its line, checked, and handed on to the verb."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rlx.core.error import UserError
from rlx.run.find import NAMED


def evaluate(parser: argparse.ArgumentParser, arguments: list[str], verb: Callable[[], Any]) -> int:
    """`rlx evaluate RUN ...`, or `rlx evaluate --policy P --start S ...` for what was trained elsewhere. `verb` imports
    rlx.evaluate, and with it torch: called once the line is known to be sound."""
    if {"-h", "--help"} & set(arguments) and "decoder" in arguments:
        from rlx.command import usage

        print(usage.group("decoder", None))
        return 0
    parser.add_argument("run", metavar="RUN", nargs="?", help=f"a run directory{NAMED}")
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="KEY=VALUE",
        help="evaluation.*, sampler.*, compute.*, world.gold, decoder=... (`rlx evaluate --help decoder`); "
        "with --policy also world=..., model=..., reward=...",
    )
    parser.add_argument(
        "--policy", metavar="PATH_OR_HUB_ID", help="in place of RUN: a policy that was trained elsewhere"
    )
    parser.add_argument("--start", metavar="PATH_OR_HUB_ID", help="the policy that --policy was trained from")
    parser.add_argument("--plan", action="store_true", help="with decoder=...: say what it would take; runs nothing")
    parsed = parser.parse_intermixed_args(arguments)
    if parsed.policy or parsed.start:
        words = [*([parsed.run] if parsed.run else []), *parsed.overrides]
        if not (parsed.policy and parsed.start):
            raise UserError(
                "--policy and --start go together: a policy is measured against the one it was trained from"
            )
        if other := next((word for word in words if "=" not in word), None):
            raise UserError(f"{other}: with --policy there is no RUN, only key=value")
        from rlx.command.decoding import check_decoding, decoders_of, one_of, separated
        from rlx.command.external import composed

        own, others = separated(words)
        decoder, config = one_of(decoders_of(own)), composed(parsed.start, others)
        check_decoding(config, decoder)
        return verb().run_external(parsed.policy, parsed.start, config, words, decoder)
    if not parsed.run:
        raise UserError("rlx evaluate needs a RUN, or --policy and --start; `rlx evaluate --help` tells more")
    from rlx.command.decoding import separated
    from rlx.command.overriding import overridden
    from rlx.run.find import existing_run
    from rlx.run.state import load_config

    decoding = bool(separated(parsed.overrides)[0])
    run_dir = existing_run(parsed.run, sweeps=decoding)
    if decoding:
        return _decoded(run_dir, parsed.overrides, parsed.plan, verb)
    if parsed.plan:
        raise UserError("--plan goes with decoder=...; what a run costs: rlx plan key=value")
    config = overridden(load_config(run_dir / "config.yaml"), parsed.overrides)
    return verb().run(run_dir, config, parsed.overrides)


def _decoded(run_dir: Path, words: Sequence[str], plan: bool, verb: Callable[[], Any]) -> int:
    """`rlx evaluate RUN decoder=...` for a run, or for every run of a sweep."""
    from rlx.command import decoding
    from rlx.command.external import decodes
    from rlx.run.sweep_record import is_sweep

    own, others = decoding.separated(words)
    decoders = decoding.decoders_of(own)
    if is_sweep(run_dir):
        jobs = decoding.decoding_jobs(run_dir, words, decoders)
        module = verb()
        return module.plan_decoded(jobs) if plan else module.run_decoded_sweep(run_dir, jobs, words)
    job = decoding.decoding_job(run_dir, words, decoders)
    module = verb()
    if plan:
        return module.plan_decoded([job])
    return module.run_decoded(job, words) if decodes(job.decoder) else module.run(run_dir, job.config, others)
