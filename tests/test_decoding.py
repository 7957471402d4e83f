"""`rlx evaluate RUN decoder=fusion decoder.experts=[RUN]` on miniatures of the lab, from two runs to the page."""

import json
from pathlib import Path

import pytest
import yaml

from rlx.cli import main
from rlx.decoder.proxy import Proxy
from rlx.experiment.cell import cell_of
from rlx.experiment.decoding import fused
from rlx.model import attention
from rlx.run.record import load_record
from rlx.run.state import load_config
from tests.small_model import make_small_model
from tests.test_train import MINIATURE

GOLD = ["reward=gold", "regularizer.beta=0", *MINIATURE, "world.num_demonstrations=64", "num_steps=2"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A small run and a large one, in a working directory of their own."""
    folder = tmp_path_factory.mktemp("decoding")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RLX_CACHE", str(folder / "cache"))
        patch.setenv("RLX_RUNS", str(folder / "runs"))
        patch.chdir(folder)
        assert main(["train", "name=small", *GOLD]) == 0
        assert main(["train", "name=large", "model=lab_large", *GOLD]) == 0
    return folder


@pytest.fixture
def here(runs, monkeypatch):
    monkeypatch.setenv("RLX_CACHE", str(runs / "cache"))
    monkeypatch.setenv("RLX_RUNS", str(runs / "runs"))
    monkeypatch.chdir(runs)
    return runs


def measured(folder: Path, *words: str) -> Path:
    """The directory that one measurement adds to those in runs/."""
    before = set((folder / "runs").iterdir())
    assert main(["evaluate", *words]) == 0
    (added,) = set((folder / "runs").iterdir()) - before
    return added


def rows(directory: Path) -> list[dict]:
    return list(load_record(directory).final_samples().values())


def test_fusion_is_measured_beside_the_untuned_policy_the_expert_and_the_ceiling(here):
    found = measured(here, "large-seed0", "decoder=fusion", "decoder.experts=[small-seed0]", "decoder.step=0.5")
    assert found.name.startswith("large-seed0-fusion-")
    metrics = json.loads((found / "evaluation.json").read_text())["metrics"]
    for name, run in (("decoder/model_gold", "large"), ("decoder/expert_gold_0", "small")):
        kept = [row["gold"] for row in rows(here / "runs" / f"{run}-seed0")]
        assert metrics[name] == pytest.approx(sum(kept) / len(kept))
    samples = rows(found)
    assert {alpha for row in samples for alpha in row["alphas"][0]} <= {0, 0.5, 1.0, 1.5, 2.0}
    assert all(len(row["alphas"]) == 1 and len(row["alphas"][0]) == row["length"] for row in samples)
    # What the large policy writes by itself is that of its run at step 0, prompt by prompt.
    start = {row["prompt_id"]: row["start_completion"] for row in rows(here / "runs" / "large-seed0")}
    assert {row["prompt_id"]: row["start_completion"] for row in samples} == start
    page = (found / "versus-start.html").read_text()
    assert "by dynamic logit fusion" in page and "How much of the experts" in page and page.count("<img") == 1


def test_experts_leave_the_kernel_of_reward_models_as_it_was(here):
    config = load_config(here / "runs/large-seed0/config.yaml")
    cell = cell_of(config)
    decoder = Proxy("start", (str(here / "runs/small-seed0"),), 1.0)
    try:
        attention.use("eager")
        fused(cell.model.policy(None), decoder, cell, config)
        assert attention.chosen() == "eager"
    finally:
        attention.use(None)


def test_a_plan_says_what_is_loaded_and_runs_nothing(here, capsys):
    before = sorted((here / "runs").rglob("*"))
    assert main(["evaluate", "large-seed0", "decoder=proxy", "decoder.experts=[small-seed0]", "--plan"]) == 0
    said = capsys.readouterr().out
    assert "843,904" in said and said.count("139,072") == 2 and "1 measurements of 16 completions each" in said
    assert sorted((here / "runs").rglob("*")) == before
    assert main(["evaluate", "large-seed0", "--plan"]) == 2
    assert "--plan goes with decoder=..." in capsys.readouterr().err


@pytest.mark.slow
def test_alpha_0_is_the_plain_policy_word_for_word(here):
    zero = measured(here, "large-seed0", "decoder=proxy", "decoder.experts=[small-seed0]", "decoder.alpha=0")
    plain = measured(here, "large-seed0", "decoder=plain", "decoder.policy=start")
    assert [row["completion"] for row in rows(zero)] == [row["completion"] for row in rows(plain)]
    assert [row["completion"] for row in rows(plain)] == [row["start_completion"] for row in rows(plain)]
    metrics = [json.loads((found / "evaluation.json").read_text())["metrics"] for found in (zero, plain)]
    assert abs(metrics[0]["objective/kl_start"]) < 1e-4 and metrics[0]["decoder/alpha"] == 0
    assert "decoder/alpha" not in metrics[1]


@pytest.mark.slow
def test_a_run_as_its_own_expert_is_what_it_trained_with_alpha_1(here):
    found = measured(here, "small-seed0", "decoder=fusion", "decoder.experts=[small-seed0]")
    metrics = json.loads((found / "evaluation.json").read_text())["metrics"]
    own = json.loads((here / "runs/small-seed0/summary.json").read_text())
    assert metrics["decoder/alpha"] == 1
    assert [row["completion"] for row in rows(found)] == [row["completion"] for row in rows(here / "runs/small-seed0")]
    for name in ("gold/score", "objective/kl_start", "objective/entropy", "objective/chi2"):
        assert metrics[name] == pytest.approx(own[name], rel=1e-3, abs=1e-4)


@pytest.mark.slow
def test_a_decoded_policy_compares_with_a_run_and_is_none_itself(here, capsys):
    found = measured(here, "large-seed0", "decoder=proxy", "decoder.experts=[small-seed0]")
    assert main(["compare", str(found), "large-seed0"]) == 0
    assert "A:" in capsys.readouterr().out
    assert main(["train", str(found)]) == 2
    assert f"rlx evaluate {here / 'runs/large-seed0'} decoder=proxy ..." in capsys.readouterr().err
    assert main(["evaluate", "large-seed0", "decoder=fusion", f"decoder.experts=[{found}]"]) == 2
    assert "is a measurement and no run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["decoder=fusion"], "decoder=fusion needs runs of small policies: decoder.experts=[RUN]"),
        (["decoder=fuson"], "no decoder called 'fuson' (did you mean 'fusion'?)"),
        (["decoder=fusion", "decoder.experts=[gone]"], "decoder.experts: no run directory 'gone'"),
        (["decoder=fusion", "decoder.stepp=1", "decoder.experts=[small-seed0]"], "did you mean 'step'?"),
        (["decoder=fusion", "decoder.step=0", "decoder.experts=[small-seed0]"], "decoder.step=0: must be more than 0"),
        (["decoder=fusion", "decoder.low=3", "decoder.experts=[small-seed0]"], "decoder.low=3 is above decoder.high=2"),
        (
            ["decoder=proxy", "decoder.experts=[small-seed0]", "sampler=vllm"],
            "decoder=proxy takes sampler=transformers",
        ),
        (["decoder=proxy,fusion", "decoder.experts=[small-seed0]"], "by one decoder at a time"),
        (["decoder=plain", "decoder.experts=[small-seed0]"], "no setting called 'decoder.experts' of decoder=plain"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(here, capsys, words, says):
    before = sorted((here / "runs").rglob("*"))
    assert main(["evaluate", "large-seed0", *words]) == 2
    said = capsys.readouterr().err
    assert says in said and said.count("\n") == 1
    assert sorted((here / "runs").rglob("*")) == before


def test_an_expert_without_a_model_or_with_other_tokens_is_refused(here, capsys, tmp_path):
    for name in ("unfinished", "foreign"):
        (tmp_path / name / "model").mkdir(parents=True)
        text = (here / "runs/small-seed0/config.yaml").read_text()
        (tmp_path / name / "config.yaml").write_text(text)
    for path in (here / "runs/small-seed0/model").iterdir():
        (tmp_path / "foreign/model" / path.name).write_bytes(path.read_bytes())
    tokenizer = json.loads((tmp_path / "foreign/model/tokenizer.json").read_text())
    ids = tokenizer["model"]["vocab"]
    ids["whale"], ids["wave"] = ids["wave"], ids["whale"]
    (tmp_path / "foreign/model/tokenizer.json").write_text(json.dumps(tokenizer))
    assert main(["evaluate", "large-seed0", "decoder=fusion", f"decoder.experts=[{tmp_path / 'unfinished'}]"]) == 2
    assert "unfinished has no model yet; finish it first" in capsys.readouterr().err
    assert main(["evaluate", "large-seed0", "decoder=fusion", f"decoder.experts=[{tmp_path / 'foreign'}]"]) == 2
    assert f"token 'wave' has id {ids['wave']} there and" in capsys.readouterr().err


def test_best_of_n_trains_no_expert(here, capsys, tmp_path):
    config = yaml.safe_load((here / "runs/small-seed0/config.yaml").read_text())
    config["optimizer"] = {"_target_": "rlx.optimizer.bon.BoN", "num_samples": 4, "distill": False, "num_distilled": 8}
    (tmp_path / "bon/model").mkdir(parents=True)
    (tmp_path / "bon/model/config.json").write_text("{}")
    (tmp_path / "bon/config.yaml").write_text(yaml.safe_dump(config))
    assert main(["evaluate", "large-seed0", "decoder=fusion", f"decoder.experts=[{tmp_path / 'bon'}]"]) == 2
    assert "best-of-n without a distilled policy" in capsys.readouterr().err


@pytest.mark.slow
def test_a_policy_from_elsewhere_takes_experts_too(here):
    """The form for a large base that no run has trained."""
    start = next((here / "cache").glob("*/**/model.safetensors")).parent
    base = [path.parent for path in (here / "cache").rglob("config.json") if '"hidden_size": 128' in path.read_text()]
    assert start and base
    words = ["--policy", str(base[0]), "--start", str(base[0]), "world=lab", "evaluation.final_num_prompts=12"]
    found = measured(here, *words, "decoder=fusion", "decoder.experts=[small-seed0]")
    metrics = json.loads((found / "evaluation.json").read_text())["metrics"]
    assert metrics["decoder/alpha"] > 0 and metrics["objective/kl_start"] > 0


@pytest.mark.slow
def test_text_of_the_real_world_takes_experts_too(tmp_path, monkeypatch):
    """world=preferences: a larger base that nobody has trained, with what a small run learnt."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RLX_RUNS", str(tmp_path / "runs"))
    pairs, texts = (
        [
            {"prompt": f"question {i} ?", "chosen": f"a good answer number {i}", "rejected": "bad " + "x " * (i % 3)}
            for i in range(160)
        ],
        tmp_path / "texts.txt",
    )
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in pairs))
    texts.write_text("".join(f"{row['prompt']} {row['chosen']} {row['rejected']}\n" for row in pairs))
    for name, width in (("small", 16), ("large", 48)):
        make_small_model(tmp_path / name, texts, vocab_size=300, width=width, heads=2)
    given = ["world=preferences", "world.path=pairs.jsonl", "world.min_pairs=8", "world.min_heldout_prompts=8"]
    given += ["world.max_completion_tokens=24", "sampler.max_new_tokens=24", "tracker=jsonl", "cache_dir=cache"]
    rates = ["sft.learning_rate=0.01", "reward_model.learning_rate=0.01", "torch_optimizer.learning_rate=0.01"]
    sizes = [
        "scale=lab",
        "num_steps=3",
        "num_prompts=8",
        "evaluation.interval=3",
        "evaluation.num_prompts=8",
        "evaluation.final_num_prompts=8",
    ]
    model = ["model=pretrained", "model.path=small"]
    assert main(["train", "name=expert", "reward=gold", *given, *model, *rates, *sizes]) == 0
    words = ["--policy", "large", "--start", "large", *given, *rates, "evaluation.final_num_prompts=8"]
    found = measured(tmp_path, *words, "decoder=fusion", "decoder.experts=[expert-seed0]")
    metrics = json.loads((found / "evaluation.json").read_text())["metrics"]
    assert metrics["decoder/alpha"] > 0 and metrics["objective/kl_start"] > 0
    assert "How much of the experts" in (found / "versus-start.html").read_text()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_sweep_counts_the_gap_over_its_data_seeds(here, capsys):
    for words in (["num_steps=3"], ["num_steps=3", "model=lab_large"]):
        assert main(["train", "-m", "data_seed=0,1,2", *GOLD, *words]) == 0
    large, small = sorted(
        (here / "runs").glob("sweep-*"),
        key=lambda path: (
            "lab_large"
            not in next(
                (path / line).resolve().joinpath("config.yaml").read_text()
                for line in [json.loads((path / "index.jsonl").read_text().splitlines()[0])["run"]]
            )
        ),
    )
    words = [large.name, "decoder=proxy,fusion", f"decoder.experts=[{small.name}]", "decoder.step=0.5"]
    assert main(["evaluate", *words]) == 0
    (listing,) = large.glob("decoders-*.json")
    found = json.loads(listing.read_text())
    assert [(one["data_seed"], one["decoder"]) for one in found] == [
        (seed, decoder) for seed in range(3) for decoder in ("decoder=proxy", "decoder=fusion")
    ]
    page = listing.with_suffix(".html").read_text()
    assert "large, tuned directly" in page and "3 data seeds" in page and page.count("<img") == 2
    made = {one["path"]: (Path(one["path"]) / "evaluation.json").stat().st_mtime_ns for one in found}
    assert main(["evaluate", *words]) == 0  # nothing is measured twice
    assert {path: (Path(path) / "evaluation.json").stat().st_mtime_ns for path in made} == made
    assert main(["evaluate", large.name, "decoder=fusion", "decoder.experts=[small-seed0]"]) == 0
    capsys.readouterr()
    assert (
        main(
            [
                "evaluate",
                large.name,
                "decoder=fusion",
                f"decoder.experts=[{small.name}]",
                "evaluation.final_num_prompts=9000",
            ]
        )
        == 2
    )
    assert "the world has 864 held-out prompts" in capsys.readouterr().err
