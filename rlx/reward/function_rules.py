"""The function is there, and is the one that the run began with."""

from rlx.core.error import UserError
from rlx.core.rules import Config
from rlx.core.user_function import check, sha256_of


def the_function_is_there(config: Config) -> str | None:
    path = str(config["reward"]["path"])
    if "," in path:
        return (
            f"reward.path={path}: rlx keeps a list of the files it may run, with commas between them; rename the file"
        )
    try:
        check(path)
    except UserError as error:
        return f"reward.path={path}: {error}"
    return None


def the_file_is_the_one_of_the_run(config: Config) -> str | None:
    path, wanted = str(config["reward"]["path"]), config["reward"]["sha256"]
    if wanted is None or (found := sha256_of(path)) == wanted:
        return None
    return (
        f"reward.sha256={wanted[:12]}...: {path} has been changed since, it is {found[:12]}... now; bring the file back, or "
        "start another run with the changed one (without reward.sha256)"
    )


RULES = (the_function_is_there, the_file_is_the_one_of_the_run)
