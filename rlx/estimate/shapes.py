"""The shapes of the models that presets name, from the config.json that their publishers give, for a machine that has none."""

from typing import Any

LLAMA = {"model_type": "llama", "tie_word_embeddings": False}
SHAPES: dict[str, dict[str, Any]] = {
    "meta-llama/Llama-2-7b-hf": LLAMA
    | dict(vocab_size=32000, hidden_size=4096, intermediate_size=11008, num_hidden_layers=32, num_attention_heads=32),
    "meta-llama/Meta-Llama-3-8B": LLAMA
    | dict(
        vocab_size=128256, hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, num_attention_heads=32,
        num_key_value_heads=8,
    ),
    "mistralai/Mistral-7B-v0.1": {"model_type": "mistral", "tie_word_embeddings": False}
    | dict(
        vocab_size=32000, hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, num_attention_heads=32,
        num_key_value_heads=8, sliding_window=4096,
    ),
    "google/gemma-2b": {"model_type": "gemma", "tie_word_embeddings": True}
    | dict(
        vocab_size=256000, hidden_size=2048, intermediate_size=16384, num_hidden_layers=18, num_attention_heads=8,
        num_key_value_heads=1, head_dim=256,
    ),
    "EleutherAI/pythia-1.4b": {"model_type": "gpt_neox", "tie_word_embeddings": False}
    | dict(vocab_size=50304, hidden_size=2048, intermediate_size=8192, num_hidden_layers=24, num_attention_heads=16),
}  # fmt: skip


def like_a_llama(parameters: int) -> dict[str, Any]:
    """A Llama of about so many parameters, with layers = width / 128: 12 width^2 parameters a layer, of which 4 width^2 are
    attention's, and 32,000 words."""
    layers = max(1, round((parameters * 128 / 12) ** (1 / 3) / 128))
    width = 128 * layers
    return LLAMA | dict(
        vocab_size=32000, hidden_size=width, intermediate_size=8 * width // 3, num_hidden_layers=layers,
        num_attention_heads=layers,
    )  # fmt: skip
