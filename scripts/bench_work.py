"""The two works of the benchmark: what users run, and the worst case for code that leaves padding out.

`lab`: the lab's SFT policy on the lab's prompts, rows that end where they end (about 28 of 64 tokens). `equal`: a random Llama,
4 layers of 128 over 512 tokens, 16 tokens of prompt and 48 new ones in every row, never an end of sequence.
"""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROMPTS, EPOCHS, MINIBATCHES = 64, 4, 4  # a rollout: 64 completions, 16 updates
WORKS = ("lab", "equal")


@dataclass(frozen=True)
class Work:
    """`models`: policy, reference (causal LMs), reward and critic (classifiers with one label), each with weights of its own."""

    models: tuple[Any, Any, Any, Any]
    tokenizer: Any
    texts: list[str]
    ids: list[list[int]]  # of the texts
    new_tokens: int
    ends: bool  # whether rows do


def work_of(name: str, cache: Path) -> Work:
    """`cache`: what `prepare` has filled."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    return lab(cache) if name == "lab" else equal()


def prepare(cache: Path) -> None:
    """Build the lab's SFT policy (seconds), once, and write down what a side needs of the lab: TRL 1.12 cannot stand beside
    the code of rlx that trains with a newer one."""
    from rlx.artefact.store import Store
    from rlx.command.check import checked
    from rlx.command.compose import compose
    from rlx.experiment.cell import cell_of
    from rlx.model.tokens import encode_prompt

    (run,) = compose([f"cache_dir={cache}"])
    cell = cell_of(checked(run.config))
    path = Store(cache).fetch(cell.recipes()["SFT policy 0"], 0)
    tokenizer = cell.model.tokenizer()
    tokenizer.save_pretrained(cache / "tokenizer")
    texts = [prompt.text for prompt in cell.world.prompts("train", 0)[:256]]
    ids = [encode_prompt(tokenizer, text) for text in texts]
    known = {"policy": str(path), "texts": texts, "ids": ids, "new_tokens": cell.sampler.max_new_tokens}
    (cache / "lab.json").write_text(json.dumps(known), encoding="utf-8")


def lab(cache: Path) -> Work:
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

    known = json.loads((cache / "lab.json").read_text(encoding="utf-8"))
    judges = [AutoModelForSequenceClassification.from_pretrained(known["policy"], num_labels=1) for _ in range(2)]
    policies = [AutoModelForCausalLM.from_pretrained(known["policy"]) for _ in range(2)]
    tokenizer = AutoTokenizer.from_pretrained(cache / "tokenizer")
    return Work((*policies, *judges), tokenizer, known["texts"], known["ids"], known["new_tokens"], True)


def equal() -> Work:
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification, PreTrainedTokenizerFast

    words, end = 512, 513  # an end of sequence that the model has no logit for
    config = LlamaConfig(
        vocab_size=words, hidden_size=128, intermediate_size=320, num_hidden_layers=4, num_attention_heads=4,
        pad_token_id=0, eos_token_id=end, bos_token_id=None, num_labels=1,
    )  # fmt: skip
    vocabulary = {"[PAD]": 0, **{f"w{i}": i for i in range(1, words)}, "[EOS]": end}
    known = Tokenizer(models.WordLevel(vocabulary, unk_token="[PAD]"))
    known.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=known, pad_token="[PAD]", eos_token="[EOS]")
    ids = torch.randint(2, words, (256, 16), generator=torch.Generator().manual_seed(1)).tolist()
    policies = [LlamaForCausalLM(config) for _ in range(2)]
    judges = [LlamaForSequenceClassification(config) for _ in range(2)]
    for policy in policies:
        policy.generation_config.eos_token_id = None
    policies[0].save_pretrained(folder := tempfile.mkdtemp())
    policies[0] = LlamaForCausalLM.from_pretrained(folder)  # TRL reads the reference from where its policy came
    return Work((*policies, *judges), tokenizer, [" ".join(f"w{i}" for i in row) for row in ids], ids, 48, False)
