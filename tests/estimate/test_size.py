import json
import struct

import pytest
import yaml
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig
from word_world import ARCHITECTURES, small_causal_lm

from rlx.command.compose import conf_dir
from rlx.estimate.shapes import SHAPES
from rlx.estimate.size import parameters_in, size_of


def test_parameters_are_counted_from_the_headers_of_safetensors_files(tmp_path):
    for name, shapes in {"a": [[3, 4], [5]], "b": [[2, 2]]}.items():  # 12 + 5 + 4
        header = {str(i): {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]} for i, shape in enumerate(shapes)}
        text = json.dumps(header | {"__metadata__": {"format": "pt"}}).encode()
        (tmp_path / f"{name}.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    assert parameters_in(tmp_path) == 21
    size = size_of({"path": str(tmp_path), "dtype": "bfloat16"})
    assert size is not None and size.weights == 42


def test_a_model_that_is_not_at_hand_is_guessed_by_its_name_and_said_to_be():
    for name, parameters in (("org/pythia-1.4b", 1.4e9), ("org/Llama-2-7b-hf", 7e9), ("org/tiny-160m", 1.6e8)):
        size = size_of({"path": name, "revision": None, "dtype": "bfloat16"})
        assert size is not None and size.parameters == parameters and "guessed" in size.source
    assert size_of({"path": "org/nameless", "revision": None}) is None


def test_adapters_are_counted_where_the_config_is_at_hand_and_near_it_where_it_is_not(tmp_path):
    LlamaConfig(**LLAMA_2_7B).save_pretrained(tmp_path)
    size = size_of({"path": str(tmp_path), "dtype": "bfloat16"})
    assert size is not None and size.architecture is not None
    # embedding and head 32000 x 4096 each; a layer: 4 x 4096^2 + 3 x 4096 x 11008 + 2 x 4096; the last norm: 4096
    assert size.parameters == 2 * 131_072_000 + 32 * (67_108_864 + 135_266_304 + 8192) + 4096 == 6_738_415_616
    # rank x 32 layers x (4 x (4096 + 4096) + 3 x (4096 + 11008)); as peft's print_trainable_parameters says of this model
    assert size.adapters(16) == 16 * 32 * (32_768 + 45_312) == 39_976_960
    assert size.architecture.cached_per_token == 2 * 32 * 4096
    guessed = size_of({"path": "org/Llama-2-7b-hf", "revision": None, "dtype": "bfloat16"})
    assert guessed is not None and abs(guessed.adapters(16) / size.adapters(16) - 1) < 0.1
    # a reward model has a score head of 4096 in place of the output head
    assert size.as_reward_model().parameters == 6_738_415_616 - 131_072_000 + 4096


def test_the_models_of_presets_are_counted_from_their_published_configs():
    """The numbers of parameters are those that the Hub shows on the models' pages."""
    for path, parameters in PUBLISHED.items():
        size = size_of({"path": path, "revision": None, "dtype": "bfloat16"})
        assert size is not None and size.parameters == parameters
    presets = [yaml.safe_load(path.read_text()) for path in sorted((conf_dir() / "model").glob("*.yaml"))]
    assert {preset["path"] for preset in presets if "defaults" in preset} == set(PUBLISHED) == set(SHAPES)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_adapters_are_counted_as_peft_makes_them(tmp_path, architecture):
    model = small_causal_lm(architecture)
    model.save_pretrained(tmp_path)
    size = size_of({"path": str(tmp_path)})
    assert size is not None and size.parameters == sum(x.numel() for x in model.parameters())
    config = LoraConfig(r=3, target_modules="all-linear", task_type="CAUSAL_LM")
    made = sum(x.numel() for x in get_peft_model(model, config).parameters() if x.requires_grad)
    assert size.adapters(3) == made


PUBLISHED = {
    "meta-llama/Llama-2-7b-hf": 6_738_415_616,
    "meta-llama/Meta-Llama-3-8B": 8_030_261_248,
    "mistralai/Mistral-7B-v0.1": 7_241_732_096,
    "google/gemma-2b": 2_506_172_416,
    "EleutherAI/pythia-1.4b": 1_414_647_808,
}
LLAMA_2_7B = dict(
    vocab_size=32000, hidden_size=4096, intermediate_size=11008, num_hidden_layers=32, num_attention_heads=32,
    tie_word_embeddings=False,
)  # fmt: skip
