"""What dynamic logit fusion costs beside the forward passes of its models, on this machine.

    OMP_NUM_THREADS=1 python scripts/bench_fusion.py [--rounds 5]

Draws the same number of tokens from the fused policy and greedily, without any sampling, from each of its models alone, in
turn, and prints medians and ranges of the ratio of CPU seconds: fused / sum of the models. No row ends early. The works are
the lab's models, and models with the vocabulary of real ones.
"""

import argparse
import statistics
import time
from typing import NamedTuple

import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from rlx.decoder.fusion import Fusion
from rlx.model.actor_critic import with_critic
from rlx.model.fused import FusedPolicy
from rlx.sampler.transformers import Transformers


class Shape(NamedTuple):
    width: int
    mlp: int
    layers: int
    heads: int


class Work(NamedTuple):
    name: str
    vocabulary: int
    large: Shape
    small: Shape
    rows: int
    tokens: int


WORKS = (
    Work("the lab's models", 348, Shape(128, 320, 4, 4), Shape(64, 160, 2, 2), 64, 48),
    Work("32 thousand words", 32_000, Shape(1024, 2816, 6, 8), Shape(512, 1408, 6, 8), 8, 8),
    Work("128 thousand words", 128_000, Shape(1024, 2816, 6, 8), Shape(512, 1408, 6, 8), 4, 4),
)


def model(shape: Shape, vocabulary: int, seed: int) -> LlamaForCausalLM:
    """An untrained policy that never ends."""
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.mlp,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        max_position_embeddings=256,
        initializer_range=0.05,
        bos_token_id=None,
        pad_token_id=0,
        eos_token_id=vocabulary - 1,
    )
    torch.manual_seed(seed)
    made = LlamaForCausalLM(config).eval()
    made.config.eos_token_id = vocabulary  # no such token
    return with_critic(made, "none")  # pyright: ignore[reportReturnType]


def prompts(work: Work) -> torch.Tensor:
    return torch.randint(1, work.vocabulary - 1, (work.rows, 16), generator=torch.Generator().manual_seed(0))


def drawing(policy: FusedPolicy, work: Work) -> float:
    """CPU seconds to draw from the fused policy."""
    ids = prompts(work)
    sampler = Transformers(work.tokens, 1.0, work.rows)
    start = time.process_time()
    drawn = sampler.draw(policy, ids, torch.ones_like(ids, dtype=torch.bool), range(work.rows))  # pyright: ignore
    assert drawn.mask_BT.all()
    return time.process_time() - start


def forwards(policy: LlamaForCausalLM, work: Work) -> float:
    """CPU seconds of one model's forward passes, with its cache and no sampling."""
    ids = prompts(work)
    config = GenerationConfig(max_new_tokens=work.tokens, do_sample=False, eos_token_id=work.vocabulary, pad_token_id=0)
    start = time.process_time()
    written = policy.generate(input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=config)  # pyright: ignore
    assert written.shape[1] == ids.shape[1] + work.tokens
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    for work in WORKS:
        large, expert, base = (
            model(shape, work.vocabulary, seed) for seed, shape in enumerate((work.large, work.small, work.small))
        )
        fused = FusedPolicy(large, [expert], [base], Fusion("start", ("expert",), 0.0, 2.0, 0.1).coefficients)
        ratios = []
        for _ in range(rounds + 1):
            whole, parts = drawing(fused, work), [forwards(policy, work) for policy in (large, expert, base)]
            ratios.append(whole / sum(parts))
        del ratios[0]  # warms up
        print(
            f"{work.name}: {work.rows} rows of {work.tokens} tokens; fused / forwards of the three models "
            f"{statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]",
            flush=True,
        )


if __name__ == "__main__":
    main()
