"""Text to token ids and back, in one place: training, rollouts and scoring see the same ids, the end included."""

from collections.abc import Iterable, Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from rlx.core.error import UserError
from rlx.core.world import Completion, Messages, Prompt
from rlx.model.readable import named

# What published tokenizers reserve for padding or leave unused, best first. <unk> comes last: with byte fallback
# (Llama 2, Mistral) no text is ever encoded to it.
PAD_CANDIDATES = (
    "<pad>",
    "[PAD]",
    "<|pad|>",
    "<|padding|>",
    "<|finetune_right_pad_id|>",
    "<|reserved_special_token_0|>",
)
NEW_PAD = "<|pad|>"


def encode_prompt(tokenizer: PreTrainedTokenizerBase, text: str | Messages) -> list[int]:
    """Token ids of a prompt, ready for a completion: a BOS where the tokenizer uses one, never two, and no EOS.

    Messages go through the chat template, with the generation prompt added.
    """
    return encode_prompts(tokenizer, [text])[0]


def encode_prompts(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str | Messages]) -> list[list[int]]:
    """As `encode_prompt` for each of `texts`, which the tokenizer takes together."""
    found: dict[int, list[int]] = {}
    for plain in (True, False):
        places = [i for i, text in enumerate(texts) if isinstance(text, str) == plain]
        shown = [text if isinstance(text, str) else render(tokenizer, text) for text in (texts[i] for i in places)]
        # A template writes the special tokens; the tokenizer must not add them a second time.
        rows = _ids(tokenizer, shown, add_special_tokens=plain)
        for i, written, ids in zip(places, shown, rows, strict=True):
            closed = len(ids) > 1 and ids[-1] == tokenizer.eos_token_id
            if plain and closed and not written.endswith(str(tokenizer.eos_token)):
                ids.pop()  # some tokenizers close every text; a prompt is to be continued
            _check_prompt(tokenizer, texts[i], written, ids)
            found[i] = ids
    return [found[i] for i in range(len(texts))]


def _check_prompt(tokenizer: PreTrainedTokenizerBase, text: str | Messages, shown: str, ids: Sequence[int]) -> None:
    if not ids:
        raise UserError(f"a prompt has no tokens: {text!r}; leave it out of the data")
    if tokenizer.bos_token_id is not None and list(ids[:2]) == [tokenizer.bos_token_id] * 2:
        raise UserError(
            f"a prompt starts with two beginning-of-sequence tokens {tokenizer.bos_token!r}: {shown[:60]!r}; "
            "take it out of the text or of the chat template"
        )


def encode_completion(tokenizer: PreTrainedTokenizerBase, text: str, ended: bool = True) -> list[int]:
    """Token ids of a completion, closed by EOS if it ended by itself. What looks like a special token in the text stays
    text: no policy can write itself an end of sequence that a reward model would take for one."""
    return encode_completions(tokenizer, [Completion(text, ended)])[0]


def encode_completions(tokenizer: PreTrainedTokenizerBase, completions: Sequence[Completion]) -> list[list[int]]:
    """As `encode_completion` for each of `completions`, which the tokenizer takes together."""
    texts = [completion.text for completion in completions]
    rows = _ids(tokenizer, texts, add_special_tokens=False, split_special_tokens=True)
    for completion, ids in zip(completions, rows, strict=True):
        if completion.ended:
            ids.append(int(tokenizer.eos_token_id))  # pyright: ignore[reportArgumentType]
    return rows


def _ids(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], **options: Any) -> list[list[int]]:
    if not texts:
        return []
    rows = tokenizer(list(texts), verbose=False, **options)["input_ids"]
    return [list(ids) for ids in rows]  # pyright: ignore[reportArgumentType, reportGeneralTypeIssues]


def check_completion(tokenizer: PreTrainedTokenizerBase, text: str, where: str) -> None:
    """Refuse a given completion that brings an end-of-sequence token of its own; `where` names it."""
    if tokenizer.eos_token and str(tokenizer.eos_token) in text:
        raise UserError(
            f"{where}: a completion has the end-of-sequence token {tokenizer.eos_token!r} as text: {text[-60:]!r}; "
            "take it out, rlx closes completions itself"
        )


def decode_completion(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    """The text of a completion up to its EOS, special tokens left out."""
    ids = list(ids)
    if tokenizer.eos_token_id in ids:
        ids = ids[: ids.index(tokenizer.eos_token_id)]
    return str(tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def spell_prompt(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    """The text that a prompt's ids spell, template marks included and a BOS left out: encoding it gives the ids again."""
    ids = list(ids)
    if ids and ids[0] == tokenizer.bos_token_id:
        ids = ids[1:]
    return str(tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))


def translate_prompt(ids: Sequence[int], source: PreTrainedTokenizerBase, target: PreTrainedTokenizerBase) -> list[int]:
    """A prompt's ids under another tokenizer, by the text that the source's ids spell."""
    return encode_prompt(target, spell_prompt(source, ids))


def translate_completion(
    ids: Sequence[int], source: PreTrainedTokenizerBase, target: PreTrainedTokenizerBase
) -> list[int]:
    """A completion's ids under another tokenizer; it ends with the target's EOS if it ended with the source's."""
    ended = bool(ids) and ids[-1] == source.eos_token_id
    return encode_completion(target, decode_completion(source, ids), ended)


def render(tokenizer: PreTrainedTokenizerBase, messages: Messages) -> str:
    """The chat template's text for `messages`, up to where the assistant is to speak."""
    if not tokenizer.chat_template:
        raise UserError(
            f"prompts are messages, but the tokenizer of {tokenizer.name_or_path} has no chat template; "
            "set model.chat_template to a Jinja file, or give prompts as plain text"
        )
    chat = [{"role": role, "content": content} for role, content in messages]
    with named(f"the chat template of {tokenizer.name_or_path}", "mend it, or set model.chat_template to a Jinja file"):
        return str(tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True))


def check_templates(
    policy: PreTrainedTokenizerBase, reward: PreTrainedTokenizerBase, prompts: Iterable[Prompt]
) -> None:
    """Refuse conversations whose markup the policy and the reward trunk would write differently."""
    if any(not isinstance(prompt.text, str) for prompt in prompts) and policy.chat_template != reward.chat_template:
        raise UserError(
            f"the chat template of the policy ({policy.name_or_path}) differs from that of the reward trunk "
            f"({reward.name_or_path}); set model.chat_template to one Jinja file for both, or model.reward_path=null"
        )


def pad_token_for(tokenizer: PreTrainedTokenizerBase) -> str | None:
    """The padding token to set, or None if the tokenizer's own will do. EOS will not do: it would be masked away with
    the padding, so that no model could learn or score the end of a completion."""
    if tokenizer.pad_token_id is not None and tokenizer.pad_token_id != tokenizer.eos_token_id:
        return None
    vocabulary = tokenizer.get_vocab()
    for candidate in (*PAD_CANDIDATES, tokenizer.unk_token):
        if candidate in vocabulary and vocabulary[candidate] not in (tokenizer.eos_token_id, tokenizer.bos_token_id):
            return str(candidate)
    return NEW_PAD
