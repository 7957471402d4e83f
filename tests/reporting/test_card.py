import dataclasses
import re

import pytest
import yaml

from rlx.command.usage import choices
from rlx.reporting.card import citations, is_hub_id, model_card, papers_of
from rlx.run.record import load_record
from tests.synthetic_run import write_run


def test_the_front_matter_is_yaml_that_the_hub_reads(tmp_path):
    card = model_card(load_record(write_run(tmp_path)))
    _, front, body = card.split("---\n", 2)
    content = yaml.safe_load(front)
    assert content["library_name"] == "transformers"
    assert content["license"] == "other"
    assert {"rlx", "reward:warm", "reference:soup", "optimizer:ppo", "regularizer:kl"} <= set(content["tags"])
    assert "base_model" not in content  # a shipped base has no address on the Hub
    assert body.startswith("\n# ")


def test_a_base_from_the_hub_is_named_and_a_folder_is_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models" / "mine").mkdir(parents=True)
    assert is_hub_id("EleutherAI/pythia-1.4b")
    assert not is_hub_id("models/mine") and not is_hub_id(str(tmp_path)) and not is_hub_id(None)


def test_the_card_says_what_was_shown_with_intervals_and_how_to_do_it_again(tmp_path):
    card = model_card(load_record(write_run(tmp_path)))
    assert "**Worse than the start, and over-optimised.**" in card
    assert "| `gold/win_rate` | 0.21 [0.15, 0.29] |" in card
    assert "rlx train reward=warm reference=soup" in card
    assert "RewardMember-0000000000000004" in card
    assert "2401.12187" in card and "2411.01798" in card and "2310.02743" not in card


def test_an_unfinished_run_has_a_card_that_says_so(tmp_path):
    assert "**So far (step 30 of 80):" in model_card(
        load_record(write_run(tmp_path, state="interrupted", done_steps=30))
    )


NO_PAPER = {"reward/single", "reward/gold", "reward/function", "reference/frozen"}  # no algorithm
SHIPPED = {
    f"{group}/{name}": path
    for group in ("optimizer", "reward", "reference", "regularizer")
    for name, path in choices(group).items()
}


@pytest.mark.parametrize("choice", SHIPPED)
def test_every_shipped_algorithm_cites_its_paper_by_a_number_that_its_files_name(choice):
    papers = papers_of(yaml.safe_load(SHIPPED[choice].read_text())["_target_"])
    assert bool(papers) == (choice not in NO_PAPER)
    for paper in papers:
        assert paper.title and paper.authors and 2000 <= paper.year <= 2100
        assert re.fullmatch(r"\d{4}\.\d{5}", paper.arxiv) and paper.arxiv[:2] == str(paper.year)[2:]
        assert f"@article{{arxiv{paper.arxiv.replace('.', '')},\n" in paper.bibtex()


def test_a_paper_that_several_choices_share_is_cited_once_and_one_of_ones_own_is_cited(tmp_path, monkeypatch):
    (tmp_path / "own_ensembles.py").write_text(
        "from rlx.core.paper import Paper\nfrom rlx.reward._ensemble import COSTE\nraise RuntimeError('imported')\n"
        "class Median:\n    papers = (COSTE, Paper('Medians', 'Me', 2026, '2601.00001'))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    record = load_record(write_run(tmp_path / "run"))
    config = {**record.config, "reward": {"_target_": "own_ensembles.Median"}}
    config["reference"] = {"_target_": "rlx.reward.ensemble_wco.EnsembleWCO"}
    cited = citations(dataclasses.replace(record, config=config))
    assert cited.count("arxiv231002743") == 1 and "title = {Medians}" in cited and "arxiv190908593" in cited


def test_a_run_of_choices_that_name_no_paper_cites_none(tmp_path):
    record = load_record(write_run(tmp_path))
    assert citations(dataclasses.replace(record, config={"reward": {"_target_": "nowhere.Own"}})) == "Made with rlx."
