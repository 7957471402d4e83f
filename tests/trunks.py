"""Small random language models of the shapes that rlx computes by itself, and of some that it does not."""

import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
)

KINDS = ["llama", "tied", "grouped", "llama3 rope", "biased", "qwen2", "mistral"]
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}


def small_lm(kind: str, **more) -> PreTrainedModel:
    """Two layers of 32 over 24 tokens: 0 pads, 1 ends."""
    torch.manual_seed(3)
    if kind == "gpt2":
        config = GPT2Config(
            vocab_size=24, n_positions=64, n_embd=32, n_layer=2, n_head=4, eos_token_id=1, pad_token_id=0
        )
        return GPT2LMHeadModel(config).eval()
    shape = dict(
        vocab_size=24, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2 if kind == "grouped" else 4, max_position_embeddings=64, pad_token_id=0, eos_token_id=1,
        bos_token_id=None, initializer_range=0.3, tie_word_embeddings=kind == "tied",
    ) | more  # fmt: skip
    if kind == "qwen2":
        model = Qwen2ForCausalLM(Qwen2Config(**shape))
    elif kind == "mistral":
        model = MistralForCausalLM(MistralConfig(**{"sliding_window": None} | shape))
    elif kind == "granite":
        model = GraniteForCausalLM(GraniteConfig(**{"residual_multiplier": 0.5} | shape))
    else:
        if kind == "llama3 rope":
            shape["rope_parameters"] = LLAMA3
        model = LlamaForCausalLM(LlamaConfig(**shape, attention_bias=kind == "biased", mlp_bias=kind == "biased"))
    for name, parameter in model.named_parameters():
        if name.endswith("bias") or "norm" in name:  # from 0 and 1, which would hide that they are left out
            torch.nn.init.normal_(parameter, 1.0 if "norm" in name else 0.0, 0.3)
    return model.eval()
