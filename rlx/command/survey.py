"""`rlx survey [FILE.csv] key=value ...` as checked settings, before a file is read or torch is imported."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rlx.command.check import checked_survey
from rlx.command.compose import conf_dir
from rlx.command.places import check_places
from rlx.core.error import UserError
from rlx.run.name import hash8
from rlx.tabular.settings import SurveySettings

YAML = "survey.yaml"


def settings_of(words: Sequence[str]) -> SurveySettings:
    """The settings in conf/survey.yaml with what was typed. Raises UserError for a word, a key, a value or a combination
    that cannot work."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    files = [word for word in words if "=" not in word]
    if len(files) > 1:
        raise UserError(f"{files[1]}: rlx survey takes one file, and key=value; {files[0]} was named before")
    try:
        typed = OmegaConf.from_dotlist([*(word for word in words if "=" in word), *(f"path={file}" for file in files)])
        node = OmegaConf.merge(OmegaConf.load(conf_dir() / YAML), typed)
        found: Any = OmegaConf.to_container(node, resolve=True)
    except (OmegaConfBaseException, YAMLError) as error:
        raise UserError(f"{' '.join(words)}: {' '.join(str(error).split())}") from error
    for name in ("groups", "prior"):
        found[name] = {str(key): value for key, value in (found[name] or {}).items()}
    settings = checked_survey(found)
    check_places({name: found[name] for name in ("name", "runs_dir", "cache_dir")})
    if (line := next(filter(None, (rule(settings) for rule in RULES)), None)) is not None:
        raise UserError(line)
    return settings


def directory_of(settings: SurveySettings) -> Path:
    """runs_dir/<name>, or runs_dir/survey-<hash8> of what decides its numbers."""
    given = dataclasses.asdict(settings)
    content = {key: value for key, value in given.items() if key not in ("name", "cache_dir", "runs_dir")}
    return Path(settings.runs_dir).expanduser().absolute() / (settings.name or f"survey-{hash8(content)}")


def help_text() -> str:
    """All settings with their comments."""
    text = (conf_dir() / YAML).read_text(encoding="utf-8")
    return "settings:\n" + "\n".join(f"  {line}".rstrip() for line in text.splitlines())


def a_file_has_a_target(settings: SurveySettings) -> str | None:
    if settings.path is not None and settings.target is None:
        return f"target is not set: name the column of {settings.path} that is to be predicted, target=COLUMN"
    given = [name for name in ("target", "factors", "groups") if getattr(settings, name)]
    if settings.path is None and given:
        return f"{given[0]} is for a file: rlx survey FILE.csv target=COLUMN"
    return None


def references_are_there(settings: SurveySettings) -> str | None:
    references = settings.references or ()
    if settings.path is not None and "truth" in references:
        return f"references: nobody knows the true importance of {settings.path}; take models, wrong or given"
    if "given" in references and not settings.prior:
        return "references=[given] needs the weights of factors: prior='{health: 2, income: 1}'"
    if settings.prior and not sum(settings.prior.values()) > 0:
        return "prior: every weight is 0; give at least one factor more"
    return None


def seeds_choose_or_report(settings: SurveySettings) -> str | None:
    if not settings.seeds:
        return "seeds=[]: nothing would be reported; name at least one"
    if both := sorted(set(settings.seeds) & set(settings.choosing_seeds)):
        return f"choosing_seeds: {both[0]} is in seeds too; a weight must not be chosen on what is reported"
    return None


def weights_are_there(settings: SurveySettings) -> str | None:
    return None if settings.weights else "weights=[]: there would be no penalty to study; name at least one"


RULES = (a_file_has_a_target, references_are_there, seeds_choose_or_report, weights_are_there)
