"""The table of docs/scale.md: what `rlx plan` counts for Llamas of 1, 7 and 13 billion parameters.

python scripts/memory_table.py            print it
python scripts/memory_table.py --write    put it into docs/scale.md, between its two marks
"""

import json
import re
import shlex
import sys
import tempfile
from pathlib import Path

from rlx.command.check import checked
from rlx.command.compose import compose
from rlx.estimate.held import most
from rlx.estimate.memory import held
from rlx.estimate.size import size_of

PAGE = Path(__file__).parents[1] / "docs/scale.md"
MARKS = re.compile(r"(?<=<!-- scripts/memory_table.py -->\n).*?(?=<!-- end -->)", re.DOTALL)
MODELS = {  # hidden, feed-forward, layers, heads, key-value heads: TinyLlama 1.1B, Llama 2 7B and 13B
    "1.1B": (2048, 5632, 22, 32, 4),
    "7B": (4096, 11008, 32, 32, 32),
    "13B": (5120, 13824, 40, 40, 40),
}
COLUMNS = [
    ("1.1B", "1.1B"),
    ("7B", "7B"),
    ("7B", "1.1B"),
    ("13B", "13B"),
    ("13B", "1.1B"),
]  # policy; reward and gold models
EVERYWHERE = shlex.split(
    "world=preferences world.path=pairs.jsonl world.max_prompt_tokens=256 world.max_completion_tokens=256 "
    "model=pretrained model.dtype=bfloat16 reward=warm reference=frozen num_prompts=64 sampler.batch_size=32"
)
LEARNING = "compute.micro_batch_size=1 compute.gradient_checkpointing=true"
CHOICES = {
    "all weights, one GPU": "compute=ddp",
    "all weights, `zero2`, 8 GPUs": "compute=zero2 compute.num_processes=8 optimizer.num_minibatches=2",
    "all weights, `zero3`, 8 GPUs": "compute=zero3 compute.num_processes=8 optimizer.num_minibatches=2",
    "all weights, `zero3`, 8 GPUs, `compute.offload=optimizer`": (
        "compute=zero3 compute.num_processes=8 optimizer.num_minibatches=2 compute.offload=optimizer"
    ),
    "all weights, `zero3`, 32 GPUs": "compute=zero3 compute.num_processes=32 optimizer.num_minibatches=1",
    "adapters, one GPU": "compute=ddp model.lora_rank=16",
    "adapters, `zero3`, 8 GPUs": "compute=zero3 compute.num_processes=8 optimizer.num_minibatches=2 model.lora_rank=16",
}


def config_json(hidden: int, wide: int, layers: int, heads: int, groups: int) -> str:
    return json.dumps(
        {
            "model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 32000, "hidden_size": hidden,
            "intermediate_size": wide, "num_hidden_layers": layers, "num_attention_heads": heads,
            "num_key_value_heads": groups, "tie_word_embeddings": False,
        }
    )  # fmt: skip


def table() -> str:
    """GB of a process, the larger of learning and drawing; in brackets what lies in the CPU's memory."""
    cells: dict[str, list[str]] = {name: [] for name in CHOICES}
    with tempfile.TemporaryDirectory() as folder:
        for name, numbers in MODELS.items():
            Path(folder, name).mkdir()
            Path(folder, name, "config.json").write_text(config_json(*numbers), encoding="utf-8")
        for policy, judge in COLUMNS:
            path, rewards = f"{folder}/{policy}", f"{folder}/{judge}"
            size = size_of({"path": path, "dtype": "bfloat16"})
            assert size is not None
            for name, words in CHOICES.items():
                own = [f"model.path={path}", f"model.reward_path={rewards}", f"world.gold={rewards}"]
                (cell,) = compose([*EVERYWHERE, *shlex.split(f"{words} {LEARNING}"), *own])
                rows = held(checked(cell.config), size)
                aside = most(rows, offloaded=True)
                cells[name].append(f"{most(rows) / 1e9:.0f}" + (f" (+ {aside / 1e9:.0f})" if aside else ""))
    heads = [policy if policy == judge else f"{policy}, judged by {judge}" for policy, judge in COLUMNS]
    lines = [f"| GB a process | {' | '.join(heads)} |", "|---|" + "---|" * len(heads)]
    return "\n".join([*lines, *(f"| {name} | {' | '.join(own)} |" for name, own in cells.items())]) + "\n"


if __name__ == "__main__":
    text = table()
    print(text, end="")
    if "--write" in sys.argv:
        PAGE.write_text(MARKS.sub(lambda _: text, PAGE.read_text(encoding="utf-8")), encoding="utf-8")
