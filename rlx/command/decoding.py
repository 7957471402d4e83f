"""`decoder=...` of `rlx evaluate`: the words that say how the next token is chosen, checked before anything is loaded."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlx.command.check import checked_choice
from rlx.command.external import kept
from rlx.command.overriding import overridden
from rlx.command.usage import choices
from rlx.command.wording import MEASURING_GROUPS
from rlx.core.error import UserError, nearest, unknown
from rlx.core.rules import Config, kind, rules_of
from rlx.run.find import existing_run
from rlx.run.name import decoded_name, is_external
from rlx.run.state import has_model, load_config
from rlx.run.sweep_record import is_sweep, load_sweep

log = logging.getLogger(__name__)
GROUP = "decoder"


def separated(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the words of the decoder and all others."""
    own = [word for word in words if word.partition("=")[0].partition(".")[0] == GROUP]
    return own, [word for word in words if word not in own]


def decoders_of(words: Sequence[str]) -> list[dict[str, Any]]:
    """Return the checked node of every decoder that the words ask for, with its `choice`: one, or several for
    `decoder=proxy,fusion`. Paths of experts are absolute.

    Raises UserError for a choice or setting that does not exist, an impossible value, and experts that are no runs.
    """
    given = _values(words)
    names = str(given.pop(GROUP, MEASURING_GROUPS[GROUP])).split(",")
    return [_decoder(name, given if len(names) == 1 else _of(name, given)) for name in names]


def _decoder(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    from omegaconf import OmegaConf

    known = choices(GROUP)
    if name not in known:
        raise UserError(unknown(GROUP, name, known))
    loaded: Any = OmegaConf.to_container(OmegaConf.load(known[name]))
    node: dict[str, Any] = dict(loaded)
    for key, value in settings.items():
        if key not in node:
            raise UserError(f"no setting called '{GROUP}.{key}' of {GROUP}={name}{nearest(key, list(node))}")
        node[key] = value
    node = checked_choice(node, GROUP)
    if "experts" in node:
        if not node["experts"]:
            raise UserError(
                f"{GROUP}={name} needs runs of small policies: {GROUP}.experts=[RUN], a directory or a name"
            )
        node["experts"] = [str(expert_dir(word)) for word in node["experts"]]
    return {**node, "choice": name}


def _of(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Of several decoders, each takes the settings that it has."""
    known = choices(GROUP).get(name)
    has = known.read_text(encoding="utf-8") if known else ""
    return {key: value for key, value in settings.items() if f"\n{key}:" in has}


def _values(words: Sequence[str]) -> dict[str, Any]:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import ChoiceSweep
    from hydra.errors import HydraException

    found: dict[str, Any] = {}
    for word in words:
        key, _, typed = word.partition("=")
        if key == GROUP:
            found[GROUP] = typed
            continue
        try:
            (override,) = OverridesParser.create().parse_overrides([word])
        except HydraException:
            raise UserError(f"{word}: overrides are key=value, e.g. {GROUP}.experts=[RUN]") from None
        value, name = override.value(), key.removeprefix(f"{GROUP}.")
        if isinstance(value, ChoiceSweep):
            raise UserError(f"{word}: give one value; several runs of experts are a list: {GROUP}.experts=[A,B]")
        if name == "experts":  # one run may stand without brackets
            value = [str(item) for item in (value if isinstance(value, list) else [value])]
        found[name] = value
    return found


def expert_dir(word: str) -> Path:
    """Return the directory of the run, or of the sweep, that `word` names. Raises UserError where there is none."""
    try:
        return existing_run(str(Path(word).expanduser()), sweeps=True)
    except UserError as error:
        raise UserError(f"{GROUP}.experts: {error}") from None


def check_decoding(config: Config, decoder: Mapping[str, Any]) -> None:
    """Raises UserError, in one line, where the decoder and the rest of the config cannot be measured together."""
    if any(line := rule({**config, GROUP: decoder}) for rule in rules_of({GROUP: decoder})):
        raise UserError(line)
    experts = [Path(path) for path in decoder.get("experts", ())]
    if experts and kind(config, "sampler") != "transformers":
        raise UserError(
            f"sampler={config['choices']['sampler']} draws from one model alone; {GROUP}={decoder['choice']} takes "
            "sampler=transformers"
        )
    for path in experts:
        check_expert(path)


def check_expert(path: Path) -> None:
    """Raises UserError unless the run in `path` has a policy that it trained."""
    config = load_config(path / "config.yaml")
    if is_external(config):
        raise UserError(
            f"{GROUP}.experts: {path.name} is a measurement and no run; name the run that trained the expert"
        )
    if not has_model(path):
        raise UserError(f"{GROUP}.experts: {path.name} has no model yet; finish it first: rlx train {path}")
    optimizer = config.get("optimizer") or {}
    if kind(config, "optimizer") == "bon" and not optimizer.get("distill"):
        raise UserError(
            f"{GROUP}.experts: {path.name} is best-of-n without a distilled policy, so its policy is the one that it "
            "started from; set optimizer.distill=true there"
        )


def one_of(decoders: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the only one. Raises UserError for several."""
    if len(decoders) > 1:
        raise UserError("a run is measured by one decoder at a time; several are for a sweep's directory")
    return decoders[0]


def decoder_name(decoder: Mapping[str, Any]) -> str:
    """`decoder=fusion`, as it was typed."""
    return f"{GROUP}={decoder['choice']}"


def decoded_config(run_dir: Path, config: Mapping[str, Any], decoder: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a run's `config` that decides the measurement of its policy by `decoder`."""
    start = f"the start of {run_dir.name}"
    policy = start if decoder["policy"] == "start" else str(run_dir / "model")
    return {**kept(dict(config), policy, start, decoder), "run": str(run_dir)}


def decoded_path(run_dir: Path, config: Mapping[str, Any], decoder: Mapping[str, Any]) -> Path:
    """Return the directory that the measurement is written to, named by its content."""
    return Path(config["runs_dir"]) / decoded_name(decoded_config(run_dir, config, decoder))


@dataclass(frozen=True)
class DecodingJob:
    """One run of a sweep by one decoder, whose experts are runs. `named_experts`: what stood on the command line."""

    run_dir: Path
    seeds: tuple[int, int]
    config: dict[str, Any]
    decoder: dict[str, Any]
    named_experts: list[str]


def decoding_job(run_dir: Path, words: Sequence[str], decoders: Sequence[Mapping[str, Any]]) -> DecodingJob:
    """Return the measurement of one run by the only decoder. Raises UserError for several decoders, and for experts that are
    no runs."""
    decoder, (_, others) = one_of(decoders), separated(words)
    config = overridden(load_config(run_dir / "config.yaml"), others)
    check_decoding(config, decoder)
    seeds = (int(config["seed"]), int(config["data_seed"]))
    return DecodingJob(run_dir, seeds, config, dict(decoder), list(decoder.get("experts", ())))


def decoding_jobs(sweep_dir: Path, words: Sequence[str], decoders: Sequence[Mapping[str, Any]]) -> list[DecodingJob]:
    """Return a measurement of every finished run of the sweep by every decoder.

    Raises UserError where the runs differ in more than seeds, where none is done, and where an expert's sweep lacks a run
    with the seeds of one of them.
    """
    sweep, (_, others) = load_sweep(sweep_dir), separated(words)
    if len(sweep.labels) > 1:
        raise UserError(
            f"{sweep_dir.name}: its runs differ in {', '.join(sweep.axes)}; decoders are compared over runs that differ in "
            "their seeds alone"
        )
    done = [cell for cell in sweep.done if cell.run is not None and has_model(cell.run.path)]
    if not done:
        raise UserError(
            f"{sweep_dir.name}: none of its runs is done; finish them with the `rlx train -m` that started them"
        )
    if len(done) < len(sweep.cells):
        log.warning("%d of %d runs are not done and are left out", len(sweep.cells) - len(done), len(sweep.cells))
    jobs = []
    for cell in done:
        assert cell.run is not None
        config = overridden(load_config(cell.run.path / "config.yaml"), others)
        for decoder in decoders:
            own, named = dict(decoder), list(decoder.get("experts", ()))
            if named:
                own["experts"] = [str(_like(Path(word), cell.seeds)) for word in named]
            check_decoding(config, own)
            jobs.append(DecodingJob(cell.run.path, cell.seeds, config, own, named))
    return jobs


def _like(path: Path, seeds: tuple[int, int]) -> Path:
    """The run itself, or the one run of a sweep that has these seeds."""
    if not is_sweep(path):
        return path
    found = [cell.run.path for cell in load_sweep(path).done if cell.seeds == seeds and cell.run is not None]
    if len(found) != 1:
        raise UserError(
            f"{GROUP}.experts: {path.name} has {len(found)} finished runs with seed={seeds[0]} data_seed={seeds[1]}; one is needed"
        )
    return found[0]
