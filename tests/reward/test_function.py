import hashlib
import json
import logging
import os
import shutil
import time
from pathlib import Path

import pytest
import torch
from made_of import made_of

from rlx.artefact.store import canonical
from rlx.cli import main
from rlx.command.check import checked
from rlx.command.compose import compose
from rlx.core.error import UserError
from rlx.core.trust import VARIABLE
from rlx.core.world import Completion, Prompt
from rlx.model.lab import Lab
from rlx.reward.function import Function
from rlx.run.name import run_name

FILE = Path(__file__).with_name("user_rewards.py")
TOKENIZER = Lab(sft_learning_rate=1e-3, reward_learning_rate=1e-3, policy_learning_rate=1e-4).tokenizer()
PROMPT = "tell me a short sad story about the ocean ."


@pytest.fixture(autouse=True)
def trusted(monkeypatch):
    monkeypatch.setenv(VARIABLE, str(FILE))


def function(name: str, file: Path = FILE, **settings) -> Function:
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    defaults = {"sha256": sha256, "batch_size": 8, "timeout": 20.0, "start_timeout": 20.0}
    return Function(path=f"{file}:{name}", **{**defaults, **settings})


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def test_the_scorer_is_the_function_on_texts_z_normalised_on_the_reference_set():
    reference = [Completion("a wave", True), Completion("a wave sings softly .", True)]  # 2 and 5: mean 3.5, sd 1.5
    scorer = function("length").scorer(made_of([], None, TOKENIZER, ([Prompt("a", PROMPT)] * 2, reference)))
    assert scorer.raw_std == 1.5
    prompt = torch.tensor([TOKENIZER(PROMPT)["input_ids"]])
    ids = torch.tensor([[*TOKENIZER("a wave sings", add_special_tokens=False)["input_ids"], TOKENIZER.eos_token_id, 0]])
    mask = torch.tensor([[True, True, True, True, False]])
    scores = scorer.member_scores(prompt, torch.ones_like(prompt), ids, mask)
    assert scores.shape == (1, 1) and scores.dtype == torch.float32
    assert scores.item() == pytest.approx((3 - 3.5) / 1.5)
    assert scorer.aggregate(scores).tolist() == scores[0].tolist()


def test_it_reads_the_same_text_of_a_reference_row_as_of_the_rows_that_follow(tmp_path, monkeypatch):
    monkeypatch.setenv("SHOWN", str(tmp_path / "shown.json"))
    texts = [Completion("a wave", True), Completion("a wave sings", True)]
    scorer = function("shown").scorer(made_of([], None, TOKENIZER, ([Prompt("a", PROMPT)] * 2, texts)))
    first = json.loads((tmp_path / "shown.json").read_text())
    prompt = torch.tensor([[0, *TOKENIZER(PROMPT)["input_ids"]]] * 2)  # padded on the left
    ids = torch.tensor([[*TOKENIZER(c.text)["input_ids"], TOKENIZER.eos_token_id, 0][:4] for c in texts])
    prompt_mask = torch.ones_like(prompt)
    prompt_mask[:, 0] = 0
    scorer.member_scores(prompt, prompt_mask, ids, torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]]))
    assert json.loads((tmp_path / "shown.json").read_text()) == first
    assert first == [[PROMPT] * 2, ["a wave", "a wave sings"]]


def test_rows_keep_their_order_over_calls_numbers_of_numpy_count_and_what_it_prints_is_no_answer():
    texts = [f"text {i}" for i in range(21)]
    assert function("echo").process().scores(["p"] * 21, texts) == list(range(21))
    assert function("sized_calls").process().scores(["p"] * 21, texts) == [8.0] * 16 + [5.0] * 5
    assert function("of_numpy").process().scores(["p"] * 3, texts[:3]) == [0, 1, 2]
    assert function("chatty").process().scores(["p"] * 3, ["a", "b c", "\ud800 \x1b \n d"]) == [1, 2, 3]
    long = ["word " * 200_000] * 8  # more than a pipe holds
    assert function("length").process().scores(["p"] * 8, long) == [200_000] * 8


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nan", "row 9, prompt 'q 9': nan is no finite number"),
        ("missing", "row 9, prompt 'q 9': None is no finite number"),
        ("text", "row 0, prompt 'q 0': '1.5' is no finite number"),
        ("one_short", "rows 0 to 7, the first of prompt 'q 0': 7 scores for 8 completions"),
        ("one_number", "rows 0 to 7, the first of prompt 'q 0': it returned 1.0, not a list"),
        ("raises", r"rows 0 to 7, .*: it raised ValueError: no opinion \(user_rewards.py:\d+\)$"),
        ("leaves", r"rows 0 to 7, .*: it raised SystemExit: 3"),
        ("dies", r"rows 0 to 7, .*: its process ended with signal SIGKILL$"),
        ("late", r"rows 8 to 11, the first of prompt 'q 8': no scores after reward.timeout=0.5 s$"),
        ("three", r"it raised TypeError: .*unexpected keyword argument"),
        ("number", "user_rewards.py cannot be loaded: TypeError: number is a int and no function"),
    ],
)
def test_a_score_that_is_no_number_missing_or_late_is_an_error_in_one_line_with_its_row(name, said):
    prompts = [f"q {i}" for i in range(12)]
    texts = [f"{'bad' if i == 9 else 'good'} {i}" for i in range(12)]
    process = None
    with pytest.raises(UserError, match=said) as error:
        process = function(name, timeout=0.5 if name == "late" else 20.0).process()
        process.scores(prompts, texts)
    assert "\n" not in str(error.value) and "reward.path=user_rewards.py:" in str(error.value)
    if name == "late":
        assert process is not None and not alive(process.process.pid)


def test_the_process_and_what_it_started_end_with_their_owner():
    process = function("with_a_child").process()
    (grandchild,) = process.scores(["p"], ["c"])
    pid = process.process.pid
    assert alive(pid) and alive(int(grandchild))
    del process
    deadline = time.monotonic() + 10
    while alive(pid) or alive(int(grandchild)):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_file_that_loads_for_too_long_or_not_at_all_is_one_line(tmp_path, monkeypatch):
    slow, broken = tmp_path / "slow.py", tmp_path / "broken.py"
    slow.write_text("import time\ntime.sleep(60)\ndef score(prompts, completions): ...\n")
    broken.write_text("import no_such_package_here\ndef score(prompts, completions): ...\n")
    monkeypatch.setenv(VARIABLE, f"{slow},{broken}")
    with pytest.raises(UserError, match=r"slow.py:score: it was not loaded after reward.start_timeout=0.3 s"):
        function("score", slow, start_timeout=0.3).process()
    with pytest.raises(UserError, match=r"broken.py cannot be loaded: ModuleNotFoundError: .* \(broken.py:1\)"):
        function("score", broken).process()


def test_a_file_that_is_not_trusted_or_not_the_one_of_the_run_is_not_run(tmp_path, monkeypatch):
    file = tmp_path / "mine.py"
    file.write_text(f"open({str(tmp_path / 'trace')!r}, 'w')\ndef score(prompts, completions): ...\n")
    with pytest.raises(UserError, match=r"mine.py is code, .* RLX_TRUST="):
        function("score", file).process()
    monkeypatch.setenv(VARIABLE, str(file))
    with pytest.raises(UserError, match="the file was changed"):
        function("score", file, sha256="0" * 64).process()
    assert not (tmp_path / "trace").exists()


def test_trying_it_warns_of_scores_that_change_and_asks_for_a_spread(caplog):
    with caplog.at_level(logging.WARNING):
        function("length").try_on(["p", "q"], ["a", "b c"])
        assert not caplog.records
        function("depends_on_calls").try_on(["p", "q"], ["a", "b c"])
    assert "another score at the second call" in caplog.text
    same = ([Prompt("a", PROMPT)] * 2, [Completion("a wave", True)] * 2)
    with pytest.raises(UserError, match="every reference completion the score 1; there is nothing to climb"):
        function("same").scorer(made_of([], None, TOKENIZER, same))


def test_the_files_content_and_the_name_are_its_address_and_the_runs(tmp_path):
    first, second = tmp_path / "a.py", tmp_path / "b.py"
    for file in (first, second):
        shutil.copy(FILE, file)
    assert canonical(function("length", first)) == canonical(function("length", second, timeout=1.0))
    assert canonical(function("length")) != canonical(function("echo"))

    def configured():
        return checked(compose(["reward=function", f"reward.path={first}:length"])[0].config)

    before = configured()
    assert before["reward"]["sha256"] == hashlib.sha256(FILE.read_bytes()).hexdigest()
    assert run_name(configured()) == run_name(before) == run_name(checked(before))
    first.write_text(FILE.read_text() + "\n# changed\n")
    assert run_name(configured()) != run_name(before)
    assert canonical(function("length", first)) != canonical(function("length", second))
    with pytest.raises(UserError, match=r"reward.sha256=.* has been changed since"):
        checked(before)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "reward.path"),
        (["reward.path=score"], "is no FILE.py:NAME"),
        (["reward.path=no.py:score"], "there is no file"),
        (["reward.path=bad.py:score"], "bad.py:2 is not Python"),
        ([f"reward.path={FILE}:lenght"], "no function in user_rewards.py called 'lenght' (did you mean 'length'?)"),
        ([f"reward.path={FILE}:length", "reward.num_members=3"], "reward.num_members"),
        ([f"reward.path={FILE}:length", "reward.timeout=0"], "reward.timeout=0"),
        ([f"reward.path={FILE}:length", "cleaner=bilevel"], "reward=function has none"),
        ([f"reward.path={FILE}:length", "attribution=consistent"], "reward=function has no reward model"),
    ],
)
def test_what_cannot_be_called_is_one_line(words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.py").write_text("\ndef score(:\n")
    with pytest.raises(UserError) as error:
        checked(compose(["reward=function", *words])[0].config)
    assert said in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("verb", ["train", "plan"])
def test_what_fails_when_it_is_called_fails_before_anything_is_built(verb, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["reward=function", f"reward.path={FILE}:raises", "cache_dir=cache", "runs_dir=runs", "tracker=jsonl"]
    assert main([verb, *words]) == 2
    printed = capsys.readouterr().err.strip().splitlines()[-1]
    assert "user_rewards.py:raises: rows 0 to 1" in printed and "it raised ValueError: no opinion" in printed
    assert not (tmp_path / "cache").exists()


SMALL = ["world.num_demonstrations=96", "sft.num_epochs=1", "reward_model.num_reference_completions=32", "num_prompts=8",
         "num_steps=2", "evaluation.interval=2", "evaluation.num_prompts=8", "evaluation.final_num_prompts=8",
         "checkpoint.interval=2", "tracker=jsonl"]  # fmt: skip


@pytest.mark.slow
def test_a_run_optimises_it_and_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.environ.pop(VARIABLE)
    shutil.copy(FILE, "mine.py")
    words = ["reward=function", "reward.path=mine.py:length", "cache_dir=cache", "runs_dir=runs", *SMALL]
    assert main(["train", *words]) == 0
    (run,) = (tmp_path / "runs").glob("function-*")
    assert not list((tmp_path / "cache").glob("RewardMember*"))
    last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    samples = [json.loads(line) for line in (run / "final_samples.jsonl").read_text().splitlines()]
    assert "proxy/score" in last and samples
    page = (run / "report.html").read_text()
    assert "a Python function" in page and str(tmp_path) not in (run / "model" / "README.md").read_text()
