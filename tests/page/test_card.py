import yaml

from rlx.core.record import load_record
from rlx.page.card import is_hub_id, model_card
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
