"""Is a pretrained model ready for rlx? Its files, chat template, special tokens and context, without loading its weights."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerBase
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from rlx.core.error import UserError, first_line
from rlx.core.finding import Finding
from rlx.model.checkpoint import described_directory, quiet
from rlx.model.pretrained import template_of
from rlx.model.tokens import encode_prompt, pad_token_for

TALK = ("Is the sky blue?", "Yes, by day.")  # any question and any answer
DOUBTED = "the checks that need it were not made"


def examined(model: Mapping[str, Any], world: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield the findings about the `model` node of a config with a path, as policy, for the prompts of the `world` node."""
    name = str(model["path"])
    try:
        directory = described_directory(name, model["revision"], "model.path")
    except UserError as error:
        yield Finding("model", name, str(error))
        return
    with quiet():
        config, finding = _config(directory)
        yield finding
        if config is None:
            return
        try:
            tokenizer = AutoTokenizer.from_pretrained(directory, trust_remote_code=False)
        except Exception as error:  # transformers raises what it likes about files that it does not know
            yield Finding("tokenizer", first_line(error)[:200], f"transformers cannot read it; {DOUBTED}")
            return
    if model["chat_template"]:
        tokenizer.chat_template = template_of(str(model["chat_template"]))
    yield from special_tokens(tokenizer)
    yield from chat_template(tokenizer, bool(world.get("as_chat")))
    longest = int(world["max_prompt_tokens"]) + int(world["max_completion_tokens"])
    yield context(getattr(config.get_text_config(), "max_position_embeddings", None), longest)


def special_tokens(tokenizer: PreTrainedTokenizerBase) -> Iterator[Finding]:
    """Yield which special tokens the tokenizer has, and which one pads."""
    named = {"beginning": tokenizer.bos_token, "end": tokenizer.eos_token, "padding": tokenizer.pad_token}
    told = ", ".join(f"{name} {token or 'none'}" for name, token in named.items())
    if tokenizer.eos_token_id is None:
        todo = "without an end-of-sequence token no completion ends: set eos_token in its tokenizer_config.json"
        yield Finding("special tokens", told, todo)
        return
    yield Finding("special tokens", told)
    if (pad := pad_token_for(tokenizer)) is not None:
        why = "the end of sequence must not pad" if tokenizer.pad_token else "it has none of its own"
        new = "" if pad in tokenizer.get_vocab() else ", which is added to the vocabulary"
        yield Finding("padding", f"rlx pads with {pad}{new}, because {why}")


def chat_template(tokenizer: PreTrainedTokenizerBase, as_chat: bool) -> Iterator[Finding]:
    """Yield whether there is a chat template, and whether it ends an answer with the token that rlx ends completions with."""
    if not tokenizer.chat_template:
        todo = (
            "set model.chat_template to a Jinja file; else prompts are text: world.prompt_template, world.as_chat=false"
        )
        yield Finding("chat template", "none", todo, note=not as_chat)
        return
    question, answer = TALK
    chat = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    try:
        asked = encode_prompt(tokenizer, (("user", question),))
        shown = str(tokenizer.apply_chat_template(chat, tokenize=False))
    except Exception as error:  # a template is a program, and rlx's own complaint about one is a finding too
        yield Finding("chat template", first_line(error)[:200], "mend it, or set model.chat_template to a Jinja file")
        return
    closing = shown.rpartition(answer)[2].strip()
    eos = str(tokenizer.eos_token)
    if not closing.startswith(eos):
        ends = f"it ends an answer with {closing or 'nothing'}, and the end of sequence is {eos}"
        todo = "completions would end otherwise than the model has learnt: set the other eos_token in tokenizer_config.json"
        yield Finding("chat template", ends, todo)
        return
    use = "" if as_chat else "; used for prompts that are messages, and for plain ones with world.as_chat=true"
    yield Finding("chat template", f"there; {len(asked)} tokens around and in a question of 5 words{use}")


def context(positions: int | None, longest: int) -> Finding:
    """Return whether `longest` tokens of prompt and completion are within the positions that the model knows."""
    if positions is None:
        return Finding("context", f"no limit is given; a run takes {longest:,} tokens")
    told = f"{positions:,} tokens; a run takes {longest:,} (world.max_prompt_tokens + max_completion_tokens)"
    todo = "" if longest <= positions else "lower world.max_prompt_tokens or world.max_completion_tokens"
    return Finding("context", told, todo)


def _config(directory: Path) -> tuple[Any, Finding]:
    """The model's config, and whether transformers knows a causal language model of that kind."""
    try:
        config = AutoConfig.from_pretrained(directory, trust_remote_code=False)
    except Exception as error:  # unknown architectures raise ValueError, damaged files whatever their parser does
        return None, Finding(
            "model", first_line(error)[:200], "transformers cannot read its config.json; take another model"
        )
    kind = config.model_type
    if kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        return None, Finding("model", f"{kind} in {directory}", "no causal language model; take a decoder-only one")
    if "quantization_config" in config.to_dict():
        todo = "quantised weights cannot be trained: take the unquantised checkpoint"
        return None, Finding("model", f"{kind} in {directory}", todo)
    return config, Finding("model", f"{kind} in {directory}")
