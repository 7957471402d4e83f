"""A causal LM that also says log-probabilities, entropies and values of completions, inside its own `forward`.

The model stays the class that transformers made (generate, save_pretrained, adapters and every distributed wrapper go on
working); scoring happens inside `forward` because DDP, ZeRO and FSDP only see what passes there.
"""

import copy
import dataclasses
import math
from functools import partial
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from torch.nn import Module
from transformers import PreTrainedModel

from rlx.core.error import UserError
from rlx.core.policy_optimizer import Critic
from rlx.model.bare import is_adapter_free
from rlx.model.compiled import Compiled
from rlx.model.linear_head import linear_head_of
from rlx.model.output_head import Project, ReferenceLogits, inside, logits_of, said_of_tokens
from rlx.model.precision import FullPrecision
from rlx.process.device import random_state_kept
from rlx.trunk.completions import Places, places_of

CRITIC_PREFIXES = ("value_head.", "critic.")


class ActorCritic:
    """Mixed into a causal LM's class by `with_critic`."""

    def forward(
        self,
        *args,
        completion_length: int | None = None,
        temperature: float = 1.0,
        entropy: bool = False,
        against: ReferenceLogits | None = None,
        states: bool = False,
        values: bool = True,
        logps: bool = True,
        **kwargs,
    ):
        """Without completion_length: the causal LM's own forward. With it, {"logps", "values"?, "entropies"?, "compared"?}
        (B, T) of the last `completion_length` ids; the value at t is of the state before token t. `against` is another model
        to compare next-token distributions with, of which `states=True` gives what that takes: {"states"} (B, T, D) alone.
        `values=False`: the critic, where there is one, is not asked; `logps=False`: it alone is."""
        if completion_length is None:
            return super().forward(*args, **kwargs)  # pyright: ignore[reportAttributeAccessIssue]
        trunk, critic = self.base_model, getattr(self, "critic", None)  # pyright: ignore[reportAttributeAccessIssue]
        trunks = [trunk] if critic is None else [trunk, critic]
        places = places_of(kwargs["input_ids"], kwargs["attention_mask"], completion_length, trunks)
        value_head = getattr(self, "value_head", None)
        if not logps and critic is not None and value_head is not None:
            return {"values": places.spread(value_head(places.states(critic)).squeeze(-1))}
        if states:
            return {"states": places.spread(places.states(trunk))}
        if against is not None:
            against = dataclasses.replace(against, states_BTD=places.of(against.states_BTD))
        ids = places.of(kwargs["input_ids"][:, -completion_length:])
        compiled = getattr(self, "compiled", None)
        if compiled is not None and self.training:  # pyright: ignore[reportAttributeAccessIssue]
            out = compiled(self, places, ids, temperature, entropy, against, values)
        else:
            out = self.said_at(places, ids, temperature, entropy, against, values)
        return {name: places.spread(x) for name, x in out.items()}

    def said_at(
        self,
        places: Places,
        ids: Tensor,
        temperature: float,
        entropy: bool,
        against: ReferenceLogits | None,
        values: bool,
    ) -> dict[str, Tensor]:
        """What `forward` says of the completion tokens `ids`, which are at `places`."""
        head, value_head = self.get_output_embeddings(), getattr(self, "value_head", None)  # pyright: ignore[reportAttributeAccessIssue]
        critic = getattr(self, "critic", None)
        hidden = places.states(self.base_model)  # pyright: ignore[reportAttributeAccessIssue]
        vocabulary = self.config.get_text_config().vocab_size  # pyright: ignore[reportAttributeAccessIssue]

        def said(states_BTD: Tensor, project: Project) -> dict[str, Tensor]:
            own = partial(self.next_token_logits, temperature=temperature, project=project)
            other = None if against is None else (against, partial(against.logps, head=head, project=project))
            return said_of_tokens(own, states_BTD, ids, vocabulary, entropy, other, linear_head_of(self, temperature))

        out = inside(head, said, hidden)
        if values and value_head is not None:
            out["values"] = value_head(hidden if critic is None else places.states(critic)).squeeze(-1)
        return out

    def next_token_logits(self, states: Tensor, temperature: float, project: Project | None = None) -> Tensor:
        """What the model, its head or `project` in its place, makes of last hidden states (..., D): logits (..., V) in fp32."""
        logits = logits_of(self, states, project)
        return logits if temperature == 1.0 else logits / temperature


def with_critic(model: PreTrainedModel, critic: Critic, compiles: bool = False) -> PreTrainedModel:
    """`model` itself, its class extended by ActorCritic, with a zero-initialised value head (on its own trunk, or on a
    copy of that trunk, whole or the first half of its layers, rounded up). `none` adds no head: a reference, or a policy whose
    optimiser needs no critic. `compiles`: whether what it says of completions is compiled while it learns. Raises UserError
    where the layers of the trunk cannot be told from its other parts, or where no compiler is at hand."""
    kind = type(model)
    # The same name and module, so that config.architectures and saved files stay those of the plain model.
    model.__class__ = type(kind.__name__, (ActorCritic, kind), {"__module__": kind.__module__})
    if compiles:
        model.compiled = Compiled(ActorCritic.said_at)  # pyright: ignore[reportArgumentType]
    if critic == "none":
        return model
    size = model.config.get_text_config().hidden_size
    # In bfloat16, adapters would be trained beside a head that rounds.
    model.value_head = FullPrecision(size, 1, device=model.device)
    nn.init.zeros_(model.value_head.weight)
    nn.init.zeros_(model.value_head.bias)
    if critic in ("half", "separate"):
        model.critic = trunk = copy.deepcopy(model.base_model)
        if critic == "half":
            _halve(trunk)
    return model


def _halve(trunk: Module) -> None:
    """Keep the first half of the layers, rounded up."""
    config: Any = trunk.config.get_text_config()  # pyright: ignore[reportAttributeAccessIssue, reportCallIssue]
    lists = [
        part for part in trunk.modules() if isinstance(part, nn.ModuleList) and len(part) == config.num_hidden_layers
    ]
    if len(lists) != 1:
        raise UserError(
            f"optimizer.critic=half: the layers of {type(trunk).__name__} cannot be told from its other parts; "
            "use optimizer.critic=separate, which copies all of them"
        )
    number = math.ceil(config.num_hidden_layers / 2)
    del lists[0][number:]
    config.num_hidden_layers = number
    if getattr(config, "layer_types", None):
        config.layer_types = list(config.layer_types)[:number]


def with_adapters(policy: PreTrainedModel, lora: LoraConfig | None, seed: int = 0) -> PreTrainedModel:
    """`policy` with adapters to train in place of its weights and of a separate critic's, and the value head whole; itself
    where `lora` is None. `seed`: of the adapters' first weights."""
    if lora is None:
        return policy
    head = ["value_head"] if hasattr(policy, "value_head") else None
    config = dataclasses.replace(lora, modules_to_save=head, exclude_modules=head)
    with random_state_kept():
        torch.manual_seed(seed % 2**31)
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


def has_own_critic(policy: object) -> bool:
    """Whether the critic of `policy` has a trunk of its own, which is to be asked beside it."""
    return not is_adapter_free(policy) and getattr(policy, "critic", None) is not None


def is_of_critic(name: str) -> bool:
    """Whether a parameter is a critic's, inside or outside of adapters."""
    return any(f".{prefix}" in f".{name}" for prefix in CRITIC_PREFIXES)


def without_critic(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict with the critic's tensors left out: what a plain `from_pretrained` directory holds."""
    return {name: x for name, x in state.items() if not name.startswith(CRITIC_PREFIXES)}
