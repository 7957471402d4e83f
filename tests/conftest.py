import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("WANDB_MODE", "offline")

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

torch.set_num_threads(1)


@pytest.fixture
def tiny_llama():
    """A random policy over 16 tokens: 0 pads, 1 ends."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=16,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
        max_position_embeddings=64,
    )
    return LlamaForCausalLM(config)


@pytest.fixture(autouse=True)
def no_trust_is_left():
    """A command with a --config-dir trusts its packages for as long as the process lives."""
    yield
    os.environ.pop("RLX_TRUST", None)
