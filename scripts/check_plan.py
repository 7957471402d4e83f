"""What `rlx plan` says of memory beside what runs take: each case in processes of its own, on the CPU, as a Markdown table.

    OMP_NUM_THREADS=1 python scripts/check_plan.py [--only WORD] [--out FOLDER]     about 20 minutes on one core

A case is `rlx prepare` (its artefacts) and `rlx train` (the run from them), of the lab or of a random Llama of 34 million
parameters with texts that fill their limits of tokens to the last. Measured is the largest resident memory of the process
(ru_maxrss). glibc is told to give memory back once it is free (MALLOC_MMAP_THRESHOLD_), or a peak would hold what earlier
stages have left; `--keep` leaves glibc as it is. Trainings have two updates: AdamW's moments are not there before the first.
Of the Llama, what is told of finished reward models (accuracies on pairs, importance) and the report are left out: they take
most of the time and less memory than training. Ends with 1 where a prediction lies below what was measured.
"""

import argparse
import json
import os
import random
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

PROMPT, NEW, WORDS = 32, 32, 400  # tokens, tokens, words of the language
SHAPE = dict(vocab_size=8000, hidden_size=512, intermediate_size=1408, num_hidden_layers=8, num_attention_heads=8)
LAB = (
    "world.num_demonstrations=96 sft.num_epochs=1 reward_model.num_pairs=64 reward_model.num_heldout_pairs=32 "
    "reward_model.num_epochs=1 reward_model.num_reference_completions=32 num_steps=2 evaluation.interval=2 "
    "evaluation.num_prompts=16 evaluation.final_num_prompts=16"
)
LLAMA = (
    f"world=preferences world.path={{folder}}/pairs.jsonl world.max_prompt_tokens={PROMPT} world.max_completion_tokens={NEW} "
    "model=pretrained model.path={folder}/llama sft.num_epochs=2 sft.micro_batch_size=4 reward_model.num_epochs=2 "
    "world.min_pairs=8 world.max_pairs=8 world.max_gold_pairs=8 world.max_demonstrations=8 "
    "reward_model.micro_batch_size=4 reward_model.num_reference_completions=16 num_steps=1 num_prompts=4 "
    "optimizer.num_minibatches=2 optimizer.num_epochs=1 evaluation.interval=1 evaluation.num_prompts=4 "
    "evaluation.final_num_prompts=4 compute.rows=8"
)
BON = LLAMA.replace("optimizer.num_minibatches=2 optimizer.num_epochs=1", "optimizer.num_samples=8")
RECOMPUTED = "sft.gradient_checkpointing=true reward_model.gradient_checkpointing=true"
CHILD = (
    "import sys; from rlx.experiment.cell import Cell; Cell.importance = Cell.on_pairs = lambda self: {}; "
    "from rlx import report; report.conclude = lambda *_: None; from rlx.cli import main; sys.exit(main())"
)


@dataclass(frozen=True)
class Case:
    """`artefacts`: cases of one name share a store; the first of them builds it."""

    name: str
    words: str
    artefacts: str


CASES = (
    Case("lab", LAB, "lab"),
    Case("lab, WARM and a soup", f"{LAB} reward=warm reference=soup", "lab"),
    Case("all weights, 3 members", f"{LLAMA} reward=ensemble_mean reward.num_members=3", "full"),
    Case("all weights, 1 member", f"{LLAMA} reward=single", "full"),
    Case("a separate critic", f"{LLAMA} optimizer.critic=separate", "full"),
    Case("WARM of 3", f"{LLAMA} reward=warm reward.num_members=3", "full"),
    Case("a minibatch in 2 parts", f"{LLAMA} compute.micro_batch_size=1", "full"),
    Case("32 completions at once", f"{LLAMA} num_prompts=32 optimizer.num_minibatches=8", "full"),
    Case("SuperHF", f"{LLAMA} optimizer=superhf optimizer.num_samples=4", "full"),
    Case("best of 8", f"{BON} optimizer=bon", "full"),
    Case("bfloat16", f"{LLAMA} model.dtype=bfloat16", "bf16"),
    Case("artefacts recomputed", f"{LLAMA} {RECOMPUTED}", "recomputed"),
    Case("adapters, 3 members", f"{LLAMA} model.lora_rank=8 reward=ensemble_mean reward.num_members=3", "lora"),
    Case("adapters, WARM of 3", f"{LLAMA} model.lora_rank=8 reward=warm reward.num_members=3", "lora"),
)  # fmt: skip


def make_inputs(folder: Path) -> None:
    """A random Llama whose tokenizer knows a word as a token, and pairs as long as the limits allow."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = [f"w{i}" for i in range(WORDS)]
    vocabulary = {word: i for i, word in enumerate(("<pad>", "</s>", "<unk>", *words))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    named = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", pad_token="<pad>", unk_token="<unk>")
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**SHAPE, pad_token_id=0, eos_token_id=1, bos_token_id=None))  # pyright: ignore
    for made in (model, named):
        made.save_pretrained(folder / "llama")
    draw = random.Random(0)

    def text(length: int) -> str:
        return " ".join(draw.choices(words, k=length))

    with (folder / "pairs.jsonl").open("w", encoding="utf-8") as file:
        for _ in range(130):
            pair = {"prompt": text(PROMPT) + " ", "chosen": text(NEW - 1), "rejected": text(NEW - 1)}
            file.write(json.dumps(pair) + "\n")


def measured(verb: str, words: list[str], environment: dict[str, str], log: Path) -> int:
    """Bytes of the child's resident memory at most."""
    with log.open("w", encoding="utf-8") as file:
        start = ["-c", CHILD] if "world=preferences" in words else ["-m", "rlx.cli"]
        command = [sys.executable, *start, verb, *words]
        child = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
        _, status, usage = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"rlx {verb} {' '.join(words)}\nfailed: {log.read_text(encoding='utf-8')[-2000:]}")
    return usage.ru_maxrss * 1024  # Linux counts in KiB


def predicted(words: list[str], pools: bool) -> tuple[int, int]:
    """Bytes that `rlx plan` tells for the artefacts, or of them for best-of-n's pools alone, and for the run."""
    from rlx.command.check import checked
    from rlx.command.compose import compose
    from rlx.estimate.held import most
    from rlx.estimate.memory import held
    from rlx.estimate.size import size_of
    from rlx.estimate.stages import stages

    config = checked(compose(words)[0].config)
    size = size_of(config["model"])
    assert size is not None
    built = [stage.bytes for stage in stages(config, size) if stage.name == "pools" or not pools]
    return max(built), most(held(config, size))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="the cases whose name has this in it")
    parser.add_argument("--out", type=Path, help="keep models, artefacts, runs and logs here")
    parser.add_argument("--keep", action="store_true", help="leave glibc's memory settings alone")
    given = parser.parse_args()
    folder = given.out or Path(tempfile.mkdtemp(prefix="rlx-check-plan-"))
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "pairs.jsonl").exists():
        make_inputs(folder)
    glibc = {} if given.keep else {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    found = (
        json.loads((folder / "measured.json").read_text(encoding="utf-8"))
        if (folder / "measured.json").exists()
        else {}
    )
    for case in CASES:
        if given.only not in case.name or case.name in found:
            continue
        first = case.artefacts not in {other.artefacts for other in CASES if other.name in found}
        words = [*shlex.split(case.words.format(folder=folder)), "tracker=jsonl"]
        own = {"RLX_CACHE": str(folder / case.artefacts), "RLX_RUNS": str(folder / f"runs of {case.name}")}
        log = folder / f"{case.name}.log"
        artefacts = measured("prepare", words, os.environ | own | glibc, log) if first or "=bon" in case.words else None
        run = measured("train", words, os.environ | own | glibc, log)
        found[case.name] = {"artefacts": artefacts, "run": run}
        (folder / "measured.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
        print(case.name, found[case.name], file=sys.stderr, flush=True)
    return show(found, folder)


def show(found: dict[str, dict[str, int | None]], folder: Path) -> int:
    """Print the table; 1 where a prediction is too small."""
    too_small = 0
    print("| case | artefacts, GB | planned / measured | run, GB | planned / measured |\n|---|---|---|---|---|")
    for case in (case for case in CASES if case.name in found):
        cells = []
        told = predicted(shlex.split(case.words.format(folder=folder)), pools="=bon" in case.words)
        for number, planned in zip(found[case.name].values(), told, strict=True):
            cells += [f"{number / 1e9:.2f}", f"{planned / number:.2f}"] if number else ["", ""]
            too_small += bool(number and planned < number)
        print(f"| {case.name} | {' | '.join(cells)} |", flush=True)
    return int(too_small > 0)


if __name__ == "__main__":
    sys.exit(main())
