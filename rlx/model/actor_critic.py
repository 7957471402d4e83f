"""A causal LM that also says log-probabilities, entropies and values of completions, inside its own `forward`.

The model stays the class that transformers made (generate, save_pretrained, adapters and every distributed wrapper go on
working); scoring happens inside `forward` because DDP, ZeRO and FSDP only see what passes there.
"""

import copy
import dataclasses

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import PreTrainedModel

from rlx.core.policy_optimizer import Critic

CRITIC_PREFIXES = ("value_head.", "critic.")


def token_logps(logits_BTV: Tensor, ids_BT: Tensor) -> Tensor:
    """log softmax(logits)[ids], (B, T), without standing a second (B, T, V) tensor in memory."""
    return logits_BTV.gather(-1, ids_BT[..., None]).squeeze(-1) - logits_BTV.logsumexp(-1)


def token_entropies(logits_BTV: Tensor) -> Tensor:
    """Entropy in nats of softmax(logits), (B, T): logsumexp(z) - sum softmax(z) z."""
    return logits_BTV.logsumexp(-1) - (logits_BTV.softmax(-1) * logits_BTV).sum(-1)


class ActorCritic:
    """Mixed into a causal LM's class by `with_critic`."""

    def forward(
        self,
        *args,
        completion_length: int | None = None,
        temperature: float = 1.0,
        entropy: bool = False,
        distributions: bool = False,
        **kwargs,
    ):
        """Without completion_length: the causal LM's own forward. With it, {"logps", "values"?, "entropies"?} (B, T) and
        "distributions"? (B, T, V) of the last `completion_length` ids. The value at t is of the state before token t."""
        if completion_length is None:
            return super().forward(*args, **kwargs)  # pyright: ignore[reportAttributeAccessIssue]
        ids, mask = kwargs["input_ids"], kwargs["attention_mask"]
        # Absolute positions (GPT-2 style) count real tokens only, whatever the padding on the left.
        inputs = {
            "input_ids": ids,
            "attention_mask": mask,
            "position_ids": (mask.cumsum(-1) - 1).clamp(min=0),
            "use_cache": False,
        }
        before = slice(-completion_length - 1, -1)
        hidden = self.base_model(**inputs).last_hidden_state  # pyright: ignore[reportAttributeAccessIssue]
        head = self.get_output_embeddings()  # pyright: ignore[reportAttributeAccessIssue]
        logits_BTV = self._capped(head(hidden[:, before]).float())
        if temperature != 1.0:
            logits_BTV = logits_BTV / temperature
        out = {"logps": token_logps(logits_BTV, ids[:, -completion_length:])}
        if entropy:
            out["entropies"] = token_entropies(logits_BTV)
        if distributions:
            out["distributions"] = logits_BTV.log_softmax(-1)
        if (value_head := getattr(self, "value_head", None)) is not None:
            critic = getattr(self, "critic", None)
            seen = hidden if critic is None else critic(**inputs).last_hidden_state
            out["values"] = value_head(seen[:, before]).squeeze(-1).float()
        return out

    def _capped(self, logits: Tensor) -> Tensor:
        """Gemma-2 style soft-capping, which transformers applies outside the output embedding."""
        cap = getattr(self.config, "final_logit_softcapping", None)  # pyright: ignore[reportAttributeAccessIssue]
        return logits if cap is None else torch.tanh(logits / cap) * cap


def with_critic(model: PreTrainedModel, critic: Critic) -> PreTrainedModel:
    """`model` itself, its class extended by ActorCritic, with a zero-initialised value head (on its own trunk, or on a
    copy of it). `none` adds no head: a reference, or a policy whose optimiser needs no critic."""
    kind = type(model)
    # The same name and module, so that config.architectures and saved files stay those of the plain model.
    model.__class__ = type(kind.__name__, (ActorCritic, kind), {"__module__": kind.__module__})
    if critic == "none":
        return model
    size = model.config.get_text_config().hidden_size
    model.value_head = nn.Linear(size, 1, dtype=model.dtype, device=model.device)
    nn.init.zeros_(model.value_head.weight)
    nn.init.zeros_(model.value_head.bias)
    if critic == "separate":
        model.critic = copy.deepcopy(model.base_model)
    return model


def with_adapters(policy: PreTrainedModel, lora: LoraConfig | None) -> PreTrainedModel:
    """`policy` with adapters to train in place of its weights, and its critic's head whole; itself where `lora` is None."""
    if lora is None:
        return policy
    critic = [name for name in ("value_head", "critic") if hasattr(policy, name)]
    config = dataclasses.replace(lora, modules_to_save=critic or None, exclude_modules=critic or None)
    return get_peft_model(policy, config)  # pyright: ignore[reportReturnType]


def without_dropout(model: PreTrainedModel) -> PreTrainedModel:
    """`model` itself with every dropout off, also while it learns: a loss compares its log-probabilities with those of the
    policy that drew, and noise between the two would be read as a change of the policy."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(getattr(module, "attention_dropout", None), float):  # attention reads a number of its own
            module.attention_dropout = 0.0  # pyright: ignore[reportArgumentType]
    return model


def without_critic(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict with the critic's tensors left out: what a plain `from_pretrained` directory holds."""
    return {name: x for name, x in state.items() if not name.startswith(CRITIC_PREFIXES)}
