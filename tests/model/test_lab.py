"""model=lab: the shipped base is the one that was made, speaks the language and looks at what is asked."""

import shutil
import statistics
from pathlib import Path

import pytest
import torch
import yaml
from transformers import AutoTokenizer

from rlx.core.error import UserError
from rlx.core.world import Completion
from rlx.model.lab import BASE, SHA256, Lab, verify
from rlx.model.tokens import decode_completion, encode_completion, encode_prompt
from rlx.sampler.transformers import Transformers
from rlx.world.lab_language import lexicon
from rlx.world.lab_language.judge import read
from rlx.world.lab_language.request import Request, parse, prompts

NUMBERS = yaml.safe_load((Path(__file__).parents[2] / "conf/model/lab.yaml").read_text())
MODEL = Lab(**{k: v for k, v in NUMBERS.items() if k != "_target_"})


def test_the_base_is_small_and_whole():
    verify(BASE)
    assert sorted(SHA256) == sorted(p.name for p in BASE.iterdir())
    assert sum(p.stat().st_size for p in BASE.iterdir()) < 1_000_000
    assert sum(p.numel() for p in MODEL.policy(None).parameters()) == 139_072


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_a_damaged_base_is_refused_by_name(tmp_path, damage):
    directory = tmp_path / "lab_base"
    shutil.copytree(BASE, directory)
    weights = directory / "model.safetensors"
    if damage == "gone":
        weights.unlink()
    else:
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        weights.write_bytes(content)
    with pytest.raises(UserError, match=r"model=lab: .*model\.safetensors"):
        verify(directory)


def test_every_word_is_one_token_and_text_comes_back_as_it_was():
    tokenizer = MODEL.tokenizer()
    text = " ".join(lexicon.words())
    ids = encode_completion(tokenizer, text)
    assert len(ids) == len(set(ids)) == 345 + 1 and ids[-1] == tokenizer.eos_token_id
    assert decode_completion(tokenizer, ids) == text


def test_special_tokens_differ_and_none_stands_before_a_prompt():
    tokenizer = MODEL.tokenizer()
    assert tokenizer.bos_token is None
    special = [tokenizer.get_vocab()[token] for token in ("<pad>", "<eos>", "<unk>")]
    assert special == [tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id]
    assert len(set(special)) == 3
    ids = encode_prompt(tokenizer, "tell me a short sad story about the ocean . short sad ocean :")
    assert len(ids) == 14 and not set(special) & set(ids)
    assert tokenizer.convert_ids_to_tokens(ids[-1]) == lexicon.SEPARATOR


def test_text_that_looks_like_a_special_token_is_an_unknown_word():
    tokenizer = MODEL.tokenizer()
    ids = encode_completion(tokenizer, "the <eos> <pad> wombat", ended=False)
    assert ids[1:] == [tokenizer.unk_token_id] * 3


def test_a_saved_tokenizer_loads_without_code_of_its_own(tmp_path):
    tokenizer = MODEL.tokenizer()
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path, trust_remote_code=False)
    assert again.get_vocab() == tokenizer.get_vocab()
    assert (again.pad_token_id, again.eos_token_id) == (tokenizer.pad_token_id, tokenizer.eos_token_id)


def test_model_and_tokenizer_agree_on_the_special_tokens():
    tokenizer, config = MODEL.tokenizer(), MODEL.policy(None).config
    assert (config.pad_token_id, config.eos_token_id) == (tokenizer.pad_token_id, tokenizer.eos_token_id)
    assert config.vocab_size == len(tokenizer)


def test_a_policy_comes_back_from_where_it_was_saved(tmp_path):
    policy = MODEL.policy(None)
    with torch.no_grad():
        policy.lm_head.weight.add_(1)  # pyright: ignore
    policy.save_pretrained(tmp_path)
    again = MODEL.policy(tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(policy.parameters(), again.parameters(), strict=True))


def test_the_reward_trunk_is_the_policys_with_a_head_of_zeros(tmp_path):
    policy = MODEL.policy(None)
    policy.save_pretrained(tmp_path)
    trunk = MODEL.reward_trunk(tmp_path)
    assert torch.equal(trunk.model.embed_tokens.weight, policy.model.embed_tokens.weight)  # pyright: ignore
    assert trunk.config.num_labels == 1 and not trunk.score.weight.any()  # pyright: ignore


def test_the_base_writes_of_the_topic_and_in_the_mood_that_are_asked():
    """Judged by what was asked, and by another topic and mood: the difference is what the prompt did."""
    tokenizer = MODEL.tokenizer()
    asked = [p for p in prompts("heldout")[:216] if parse(p.text).size == "short"]
    rows = [encode_prompt(tokenizer, p.text) for p in asked]
    width = max(map(len, rows))
    ids_BP = torch.tensor([[tokenizer.pad_token_id] * (width - len(r)) + r for r in rows])
    mask_BP = torch.tensor([[False] * (width - len(r)) + [True] * len(r) for r in rows])
    drawn = Transformers(64, 1.0, 128).draw(MODEL.policy(None), ids_BP, mask_BP, range(len(rows)))
    texts = [decode_completion(tokenizer, row) for row in drawn.ids_BT.tolist()]

    def mean(factor: str, shift: int) -> float:
        found = []
        for prompt, text in zip(asked, texts, strict=True):
            a = parse(prompt.text)
            mood = lexicon.MOODS[(lexicon.MOODS.index(a.mood) + shift) % len(lexicon.MOODS)]
            topic = lexicon.TOPICS[(lexicon.TOPICS.index(a.topic) + shift) % len(lexicon.TOPICS)]
            found.append(read(Request(a.size, mood, a.kind, topic), Completion(text, True))[factor])
        return statistics.mean(found)

    assert drawn.ended_B.float().mean() > 0.95
    for factor in ("rel", "mood"):
        assert mean(factor, 0) > 3 * mean(factor, 1) and mean(factor, 0) > 0.15
