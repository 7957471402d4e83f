import subprocess
import sys
from dataclasses import replace

import pytest

from rlx.command.survey import directory_of, help_text, settings_of
from rlx.core.error import UserError


def test_the_defaults_are_the_yamls_and_the_line_changes_them():
    settings = settings_of(["seeds=[7]", "mlp.num_epochs=3", "weights=[1,2.5]"])
    assert settings.path is None and settings.seeds == (7,) and settings.weights == (1.0, 2.5)
    assert settings.mlp.num_epochs == 3 and settings.mlp.hidden_size == settings_of([]).mlp.hidden_size


def test_a_word_without_an_equals_sign_is_the_file():
    settings = settings_of(
        ["answers.csv", "target=happiness", "groups={job: [job_a, job_b]}", "factors=[age,job_a,job_b]"]
    )
    assert settings.path == "answers.csv" and settings.groups == {"job": ("job_a", "job_b")}
    assert settings.factors == ("age", "job_a", "job_b")


def test_every_setting_is_explained():
    assert "lambda, of KL(reference || network) in nats" in help_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["answers.csv"], "target is not set: name the column of answers.csv that is to be predicted, target=COLUMN"),
        (["target=age"], "target is for a file: rlx survey FILE.csv target=COLUMN"),
        (["a.csv", "b.csv", "target=x"], "b.csv: rlx survey takes one file, and key=value; a.csv was named before"),
        (["wieghts=[1]"], "no setting called 'wieghts' (did you mean 'weights'?)"),
        (["mlp.depth=2"], "no setting called 'mlp.depth'"),
        (["weights=[-1]"], "weights.0=-1: must be more than 0"),
        (["weights=[]"], "weights=[]: there would be no penalty to study"),
        (["seeds=[]"], "seeds=[]: nothing would be reported"),
        (["seeds=[0,100]"], "choosing_seeds: 100 is in seeds too"),
        (["references=[given]"], "references=[given] needs the weights of factors"),
        (["prior={health: 0}"], "prior: every weight is 0"),
        (["a.csv", "target=x", "references=[truth]"], "nobody knows the true importance of a.csv"),
        (["test_share=1"], "test_share=1: must be less than 1"),
        (["mlp=3"], "mlp=3: has settings of its own"),
    ],
)
def test_what_cannot_work_is_said_in_one_line(words, message):
    with pytest.raises(UserError) as error:
        settings_of(words)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_the_directory_is_named_by_what_decides_the_numbers():
    one = settings_of(["runs_dir=/r"])
    assert directory_of(one).name.startswith("survey-") and str(directory_of(one)).startswith("/r/")
    assert directory_of(one).name == directory_of(replace(one, cache_dir="/elsewhere")).name
    assert directory_of(one).name != directory_of(settings_of(["seeds=[9]"])).name
    assert directory_of(settings_of(["name=mine"])).name == "mine"


def test_mistakes_are_answered_without_torch():
    code = "import sys; from rlx.cli import main; print(main(['survey', 'a.csv']), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "False"]
