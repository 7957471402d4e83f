import pytest
from small_model import make_small_model

from rlx.model.examination import context, examined

WORLD = {"max_prompt_tokens": 64, "max_completion_tokens": 64, "as_chat": True}


def node(path, chat_template=None):
    return {"path": str(path), "revision": None, "chat_template": chat_template}


def by_subject(path, chat_template=None, **world):
    return {finding.subject: finding for finding in examined(node(path, chat_template), WORLD | world)}


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    path = tmp_path_factory.mktemp("texts") / "texts.txt"
    path.write_text("\n".join(f"What is {i} and {i + 1}? It is {2 * i + 1}, of course." for i in range(50)))
    return path


@pytest.fixture(scope="module")
def chat(tmp_path_factory, texts):
    options = {"chat_template": True, "vocab_size": 300, "width": 16, "heads": 2, "positions": 128}
    return make_small_model(tmp_path_factory.mktemp("chat") / "made", texts, **options)


@pytest.fixture(scope="module")
def plain(tmp_path_factory, texts):
    options = {"vocab_size": 300, "width": 16, "heads": 2, "positions": 127}
    return make_small_model(tmp_path_factory.mktemp("plain") / "made", texts, **options)


def test_a_model_that_is_ready_has_nothing_to_do(chat):
    found = by_subject(chat)
    assert not any(finding.todo for finding in found.values())
    assert found["model"].found.startswith("llama in ") and "padding" not in found
    assert found["special tokens"].found == "beginning <|bos|>, end <|eos|>, padding <|pad|>"


def test_without_a_chat_template_conversations_cannot_be_and_text_can(plain):
    asked, text = by_subject(plain), by_subject(plain, as_chat=False)
    assert "set model.chat_template" in asked["chat template"].todo and not asked["chat template"].note
    assert text["chat template"].note
    assert asked["context"].todo.startswith("lower world.max_prompt_tokens")  # 128 of 127


def test_a_template_that_ends_an_answer_otherwise_than_rlx_does_is_found(plain, tmp_path):
    path = tmp_path / "chat.jinja"
    path.write_text("{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}<|im_end|>{% endfor %}")
    finding = by_subject(plain, path)["chat template"]
    assert finding.found == "it ends an answer with <|im_end|>, and the end of sequence is <|eos|>" and finding.todo
    path.write_text(path.read_text().replace("<|im_end|>", "{{ eos_token }}"))
    assert not by_subject(plain, path)["chat template"].todo
    path.write_text("{{ raise_exception('no users here') }}")
    assert "no users here" in by_subject(plain, path)["chat template"].found


def test_an_end_of_sequence_that_also_pads_gives_way(chat):
    from transformers import AutoTokenizer

    from rlx.model.examination import special_tokens

    tokenizer = AutoTokenizer.from_pretrained(chat)
    tokenizer.pad_token = tokenizer.eos_token
    assert "rlx pads with <|pad|>, because the end of sequence must not pad" in [
        f.found for f in special_tokens(tokenizer)
    ]
    tokenizer.eos_token = None
    assert "no completion ends" in [*special_tokens(tokenizer)][-1].todo


@pytest.mark.parametrize(
    ("config", "todo"),
    [
        ('{"model_type": "t5"}', "no causal language model"),
        ('{"model_type": "nobody"}', "transformers cannot read its config.json"),
        (
            '{"model_type": "llama", "quantization_config": {"quant_method": "gptq"}}',
            "quantised weights cannot be trained",
        ),
    ],
)
def test_what_cannot_be_trained_is_said_before_anything_else(tmp_path, config, todo):
    (tmp_path / "config.json").write_text(config)
    (tmp_path / "model.safetensors").touch()
    found = by_subject(tmp_path)
    assert list(found) == ["model"] and todo in found["model"].todo


def test_a_gguf_file_is_to_be_converted(tmp_path):
    (tmp_path / "a.gguf").touch()
    assert "convert it" in by_subject(tmp_path)["model"].todo


def test_a_model_without_a_limit_of_positions_takes_any_length():
    assert not context(None, 10**6).todo
