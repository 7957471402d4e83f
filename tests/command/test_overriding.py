import pytest

from rlx.command.check import checked
from rlx.command.compose import compose
from rlx.command.overriding import overridden
from rlx.core.error import UserError


@pytest.fixture(scope="module")
def config():
    return checked(compose([])[0].config)


def test_what_is_measured_changes_and_everything_else_stays(config):
    changed = overridden(config, ["sampler.temperature=.7", "evaluation.num_prompts=8"])
    assert changed["sampler"]["temperature"] == 0.7 and changed["evaluation"]["num_prompts"] == 8
    back = {"sampler": config["sampler"], "evaluation": config["evaluation"]}
    assert changed | back == config
    assert overridden(config, []) == config


def test_a_choice_brings_its_values_and_values_typed_beside_it_win(config):
    changed = overridden(config, ["sampler.temperature=.7", "sampler=vllm"])
    (vllm,) = compose(["sampler=vllm"])
    assert changed["sampler"] == checked(vllm.config)["sampler"] | {"temperature": 0.7}
    assert changed["choices"]["sampler"] == "vllm"


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("optimizer=superhf", "rlx evaluate changes how a run is measured"),
        ("num_steps=3", "what was trained stays"),
        ("world=preferences", "what was trained stays"),
        ("sampler.temprature=.7", "did you mean 'sampler.temperature'?"),
        ("sampler.temperature=hot", "sampler.temperature=hot: must be a number"),
        ("sampler.temperature=.7,1", "a run is measured in one way at a time"),
        ("+sampler.temperature=.7", "key=value, without + or ~"),
        ("sampler.temperature", "overrides are key=value"),
        ("sampler.a.b=1", "no setting called 'sampler.a.b'"),
        ("sampler=nothing", "nothing"),
        ("evaluation=1", "write evaluation.<setting>=value"),
        ("evaluation.num_prompts=0", "evaluation.num_prompts=0: must be"),
        ("world.gold=x", "no setting called 'world.gold'"),
    ],
)
def test_everything_else_is_refused_in_one_line(config, word, says):
    with pytest.raises(UserError) as error:
        overridden(config, [word])
    assert says in str(error.value) and "\n" not in str(error.value)
