import logging

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GraniteConfig, GraniteForCausalLM
from word_world import ARCHITECTURES, TEMPLATE, pretrained, save_model, word_tokenizer

from rlx.core.error import UserError


def test_a_path_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(UserError, match=r"model.path=.*/nowhere: no such directory"):
        pretrained(tmp_path / "nowhere").policy(None)


def test_a_directory_without_config_is_named(tmp_path):
    with pytest.raises(UserError, match=r"no config.json"):
        pretrained(tmp_path).tokenizer()


def test_pickled_weights_are_not_loaded(tmp_path):
    save_model(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"no .safetensors files"):
        pretrained(tmp_path).policy(None)


def test_a_gguf_file_is_named_with_what_to_do(tmp_path):
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    for path in (tmp_path, tmp_path / "model.gguf"):
        with pytest.raises(UserError, match=rf"model.path={path}: GGUF, .*convert it to a directory with safetensors"):
            pretrained(path).policy(None)


def test_a_hub_model_that_is_not_cached_says_so_offline(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"model.path=nobody/nothing: not in the Hub cache"):
        pretrained("nobody/nothing").policy(None)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_trunk_is_the_policys_with_a_head_of_zeros(tmp_path, architecture):
    model = pretrained(save_model(tmp_path, architecture))
    policy, trunk = model.policy(tmp_path), model.reward_trunk(tmp_path)
    assert not trunk.score.weight.any() and trunk.config.num_labels == 1
    for name, tensor in trunk.base_model.state_dict().items():
        assert torch.equal(tensor, policy.base_model.state_dict()[name]), name


def test_the_padding_token_of_the_model_is_the_tokenizers_and_not_its_end(tmp_path, caplog):
    tokenizer = word_tokenizer(pad=None)
    tokenizer.pad_token = tokenizer.eos_token
    model = pretrained(save_model(tmp_path, tokenizer=tokenizer))
    with caplog.at_level(logging.INFO):
        policy = model.policy(None)
    assert policy.config.pad_token_id == tokenizer.convert_tokens_to_ids("<unk>") != policy.config.eos_token_id
    assert "the end of sequence as padding token; using <unk> for padding" in caplog.text


def test_a_padding_token_that_has_to_be_added_gets_the_mean_embedding(tmp_path, caplog):
    tokenizer = word_tokenizer(pad=None)
    tokenizer.unk_token = None
    save_model(tmp_path, tokenizer=tokenizer)
    model = pretrained(tmp_path)
    with caplog.at_level(logging.INFO):
        policy = model.policy(None)
    rows = policy.get_input_embeddings().weight
    assert len(rows) == len(model.tokenizer()) and "embeddings grow" in caplog.text
    torch.testing.assert_close(rows[-1], rows[:-1].mean(0))


def test_embeddings_grow_only_when_they_must(tmp_path, caplog):
    save_model(tmp_path)
    with caplog.at_level(logging.INFO):
        pretrained(tmp_path).policy(None)
    assert not caplog.text


def test_a_trained_score_head_that_gives_way_is_said_where_the_trunk_is_loaded(tmp_path, caplog):
    save_model(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    weights["score.weight"] = torch.ones(1, len(weights["model.norm.weight"]))
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    model = pretrained(tmp_path, reward_path=str(tmp_path))
    assert model.reward_base(tmp_path) == tmp_path and not caplog.text
    assert not model.reward_trunk(tmp_path).score.weight.any()
    assert caplog.text.count("its trained score head gives way to a probed one") == 1


def test_the_fingerprint_is_of_the_content_and_not_of_the_place_or_the_learning_rates(tmp_path):
    one, same, other = (save_model(tmp_path / name, seed=seed) for name, seed in [("a", 0), ("b", 0), ("c", 1)])
    assert pretrained(one).fingerprint() == pretrained(same, policy_learning_rate=1.0).fingerprint()
    assert pretrained(one).fingerprint() != pretrained(other).fingerprint()
    assert pretrained(one).fingerprint() != pretrained(one, lora_rank=2).fingerprint()
    assert pretrained(one).fingerprint() != pretrained(one, dtype="bfloat16").fingerprint()


def test_a_hub_models_fingerprint_is_its_id_and_revision():
    assert pretrained("org/name", revision="v2").fingerprint()[0] == ["org/name", "v2"]


def test_one_chat_template_serves_policy_and_reward_trunk(tmp_path):
    policy, reward = save_model(tmp_path / "policy"), save_model(tmp_path / "reward", "gpt_neox")
    (tmp_path / "chat.jinja").write_text(TEMPLATE)
    model = pretrained(policy, reward_path=str(reward), chat_template=str(tmp_path / "chat.jinja"))
    assert model.tokenizer().chat_template == model.reward_tokenizer().chat_template == TEMPLATE
    with pytest.raises(UserError, match=r"model.chat_template="):
        pretrained(policy, chat_template=str(tmp_path / "nowhere.jinja")).tokenizer()


def test_tokenizers_are_shared_when_their_ids_mean_the_same(tmp_path):
    policy, like = save_model(tmp_path / "policy"), save_model(tmp_path / "like", "gpt_neox")
    unlike = save_model(tmp_path / "unlike", tokenizer=word_tokenizer(words=("cat", "say")))
    assert pretrained(policy).shares_tokenizer() and pretrained(policy, reward_path=str(like)).shares_tokenizer()
    assert not pretrained(policy, reward_path=str(unlike)).shares_tokenizer()


GRANITE = dict(
    vocab_size=16, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
    num_key_value_heads=1, max_position_embeddings=64, pad_token_id=None, bos_token_id=1, eos_token_id=2,
)  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_model_that_scales_its_logits_outside_its_head_is_refused_and_one_that_could_but_does_not_is_taken(
    tmp_path, dtype
):
    tokenizer = word_tokenizer()
    for scaling in (1.0, 8.0):
        torch.manual_seed(0)
        model = GraniteForCausalLM(GraniteConfig(**GRANITE | {"vocab_size": len(tokenizer)}, logits_scaling=scaling))
        model.save_pretrained(tmp_path / str(scaling))
        tokenizer.save_pretrained(tmp_path / str(scaling))
    pretrained(tmp_path / "1.0", dtype=dtype).policy(None)
    with pytest.raises(UserError, match=r"model.path=.*8.0: GraniteForCausalLM scales or bends its logits outside"):
        pretrained(tmp_path / "8.0", dtype=dtype).policy(None)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_presets_architectures_say_their_logits(tmp_path, architecture, dtype):
    pretrained(save_model(tmp_path, architecture), dtype=dtype).policy(None)
