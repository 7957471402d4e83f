import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from rlx.core.error import UserError
from rlx.model.tokens import decode_completion, encode_completion, encode_prompt, pad_token_for

sys.path.insert(0, str(Path(__file__).parents[1]))
from small_model import make_small_model


@pytest.fixture
def texts(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(f"What is {i} and {i + 1}? It is {2 * i + 1}, of course." for i in range(100)))
    return path


@pytest.mark.parametrize("architecture", ["llama", "mistral", "gemma", "gpt_neox"])
def test_every_architecture_loads_by_itself_and_writes_any_text(tmp_path, texts, architecture):
    made = make_small_model(tmp_path / "made", texts, architecture=architecture, vocab_size=300, width=16, heads=2)
    tokenizer, model = AutoTokenizer.from_pretrained(made), AutoModelForCausalLM.from_pretrained(made)
    special = [tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.bos_token_id]
    assert len(set(special)) == 3 and pad_token_for(tokenizer) is None
    assert [model.config.pad_token_id, model.config.eos_token_id, model.config.bos_token_id] == special
    prompt = encode_prompt(tokenizer, "What is 1?")
    assert (prompt[0] == tokenizer.bos_token_id) == (architecture != "gpt_neox") and prompt[
        -1
    ] != tokenizer.eos_token_id
    text = " Ünïcode\n\t🙂 <|eos|> and  spaces "
    ids = encode_completion(tokenizer, text)
    assert ids.count(tokenizer.eos_token_id) == 1 and decode_completion(tokenizer, ids) == text
    assert torch.isfinite(model(torch.tensor([prompt + ids])).logits).all()


def test_a_chat_template_marks_the_roles_with_one_bos(tmp_path, texts):
    made = make_small_model(tmp_path / "made", texts, chat_template=True, vocab_size=300, width=16, heads=2)
    tokenizer = AutoTokenizer.from_pretrained(made)
    ids = encode_prompt(tokenizer, (("user", "Hi"),))
    assert tokenizer.decode(ids) == "<|bos|><|user|>Hi<|assistant|>" and ids.count(tokenizer.bos_token_id) == 1


def test_the_same_arguments_give_the_same_weights_and_pre_training_lowers_the_loss(tmp_path, texts, capsys):
    options = {"vocab_size": 300, "width": 16, "heads": 2, "steps": 100, "batch": 4, "max_tokens": 16}
    one, other = (make_small_model(tmp_path / name, texts, **options) for name in ("one", "other"))
    for name in ("model.safetensors", "tokenizer.json"):
        assert (one / name).read_bytes() == (other / name).read_bytes()
    losses = [
        float(line.split("loss ")[1].split()[0]) for line in capsys.readouterr().out.splitlines() if "loss" in line
    ]
    assert losses[0] == losses[2] and losses[1] < losses[0]


def test_an_existing_directory_is_not_written_over(tmp_path, texts):
    with pytest.raises(UserError, match=r"^--out .*: is there already; choose another, or remove it$"):
        make_small_model(tmp_path, texts)
