"""Bytes that one pass of a run takes beside weights and gradients: learning, scoring, drawing, and the supervised trainings.

Each is the code that the run itself calls, traced on a model of two layers and of three; from there it grows by the same
number of bytes a layer. Results are kept, so that the cells of a sweep share them.
"""

import copy
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Literal

from rlx.estimate.size import Architecture

if TYPE_CHECKING:  # its module imports torch
    from rlx.core.policy_optimizer import Critic

SCORED_AT_A_TIME = 64  # rows of `score_rows` and of the probe


@dataclass(frozen=True)
class Pass:
    """What is traced: the key that its bytes are kept under. `tokens` of a row: of its prompt and of its completion where
    that makes a difference. `learns`: whether the model is the policy in training, or one that TRL trains."""

    kind: Literal["learning", "scoring", "judging", "prompts", "last token", "fitting policy", "fitting reward"]
    rows: int
    tokens: tuple[int, ...]
    learns: bool
    critic: "Critic" = "none"
    recomputed: bool = False
    compared: bool = False

    @property
    def backward(self) -> bool:
        """Whether gradients are computed."""
        return self.kind in ("learning", "fitting policy", "fitting reward")

    @property
    def scores(self) -> bool:
        """Whether the model is a reward model."""
        return self.kind in ("judging", "fitting reward")

    @property
    def layers(self) -> tuple[int, int]:
        """Of the two models that are traced. Half a critic has one more where the policy has two more."""
        return (2, 4) if self.critic == "half" else (2, 3)


@dataclass(frozen=True)
class Passes:
    """Passes of one architecture. `weights`: the type that its parameters lie in while they learn, `adapters` theirs, which
    are of `rank` (0: none); `autocast`: whether bfloat16 is made of float32 on the way."""

    shape: Architecture
    weights: str
    rank: int
    adapters: str
    autocast: bool

    def learning(self, rows: int, prompt: int, new: int, critic: "Critic", recomputed: bool, compared: bool) -> int:
        """Activations of a micro-batch of `rows` completions, with the chunk of logits that is open. `compared`: with those of
        the reference beside it."""

        def run(model: Any) -> None:
            import torch

            from rlx.model.output_head import ReferenceLogits

            against = None
            if compared:
                states = torch.zeros(rows, new, model.config.get_text_config().hidden_size)
                against = ReferenceLogits(states, model, 1.0, lambda own, other: (other.exp() * (other - own)).sum(-1))
            out = model(**_inputs(rows, prompt + new), completion_length=new, against=against)
            torch.stack([x.sum() for x in out.values()]).sum().backward()

        return self._traced(run, Pass("learning", rows, (prompt, new), True, critic, recomputed, compared))

    def scoring(self, rows: int, prompt: int, new: int, critic: "Critic", learns: bool) -> int:
        """A forward pass of `rows` completions with log-probabilities and entropies. `learns`: whether it is the policy, whose
        copies in bfloat16 autocast keeps."""

        def run(model: Any) -> None:
            model(**_inputs(rows, prompt + new), completion_length=new, entropy=True)

        return self._traced(run, Pass("scoring", rows, (prompt, new), learns, critic))

    def judging(self, rows: int, tokens: int) -> int:
        """A forward pass of a reward model over `rows` completions with their prompts."""

        def run(model: Any) -> None:
            from rlx.model.score_head import last_hidden

            trunk, inputs = model.get_base_model() if self.rank else model, _inputs(rows, tokens)
            last_hidden(trunk, inputs["input_ids"], inputs["attention_mask"])

        return self._traced(run, Pass("judging", rows, (tokens,), False))

    def drawing(self, rows: int, prompt: int, new: int, learns: bool) -> int:
        """`rows` completions drawn at once: the larger of the pass over the prompts and the last token, with all keys and
        values and the sampler's copies of the next words."""

        def first(model: Any) -> None:
            model(**_inputs(rows, prompt), use_cache=True, logits_to_keep=1)

        def last(model: Any) -> None:
            import torch

            from rlx.sampler.transformers import inverse_cdf

            cache = model(**_inputs(rows, 1), use_cache=True, logits_to_keep=1).past_key_values
            for layer in cache.layers:
                rest = (*layer.keys.shape[:2], prompt + new - 2, layer.keys.shape[3])
                layer.update(torch.zeros(rest, dtype=layer.keys.dtype), torch.zeros(rest, dtype=layer.values.dtype))
            mask = torch.ones(rows, prompt + new, dtype=torch.long)
            at = torch.full((rows, 1), prompt + new - 1)
            ids = torch.ones(rows, 1, dtype=torch.long)
            out = model(input_ids=ids, attention_mask=mask, position_ids=at, past_key_values=cache, use_cache=True)
            scores = out.logits[:, -1].to(copy=True, dtype=torch.float32)  # as `generate` copies them
            inverse_cdf(scores.float() / 0.9, torch.ones(rows, dtype=torch.float64))

        tokens = (prompt, new)
        return max(
            self._traced(first, Pass("prompts", rows, tokens, learns)),
            self._traced(last, Pass("last token", rows, tokens, learns)),
        )

    def fitting(self, rows: int, tokens: int, recomputed: bool, kind: Literal["policy", "reward"]) -> int:
        """Activations of a micro-batch of `rows` rows while TRL trains a policy (kind "policy") or a reward model ("reward")."""

        def run(model: Any) -> None:
            if kind == "reward":
                model(**_inputs(rows, tokens), use_cache=False).logits.sum().backward()
            else:  # TRL's fused head makes logits in chunks, as ours does
                model(**_inputs(rows, tokens), completion_length=tokens - 1)["logps"].sum().backward()

        return self._traced(
            run,
            Pass(
                "fitting reward" if kind == "reward" else "fitting policy", rows, (tokens,), True, recomputed=recomputed
            ),
        )

    @cached_property
    def _key(self) -> str:
        config = json.dumps(self.shape.config.to_dict(), sort_keys=True, default=str)
        return f"{config} {self.weights} {self.rank} {self.adapters} {self.autocast}"

    def _traced(self, run: Callable[[Any], None], what: Pass) -> int:
        known = _known()
        if (key := (self._key, what)) not in known:
            layers, (few, more) = self.shape.layers, what.layers
            if layers <= more:
                known[key] = self._peak(layers, run, what)
            else:
                least, most = (self._peak(number, run, what) for number in (few, more))
                known[key] = least + -(-(layers - few) // (more - few)) * (most - least)
        return known[key]

    def _peak(self, layers: int, run: Callable[[Any], None], what: Pass) -> int:
        from rlx.estimate.trace import peak
        from rlx.model.checkpoint import quiet

        with quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # newer transformers' of names that older ones need
            model = self._model(layers, what)
            if what.recomputed:
                model.gradient_checkpointing_enable()
            if not what.learns:
                model.requires_grad_(False)
            model.train(what.backward)
            return peak(model, run, self.autocast and what.kind != "judging", what.backward)

    def _model(self, layers: int, what: Pass) -> Any:
        """The model on the meta device, with so many layers."""
        import torch
        from peft import LoraConfig, get_peft_model
        from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

        from rlx.model.actor_critic import with_adapters, with_critic

        config = _with_layers(self.shape.config, layers)
        with torch.device("meta"):
            if what.scores:
                config.num_labels, config.pad_token_id = 1, 0
                model = AutoModelForSequenceClassification.from_config(config, dtype=getattr(torch, self.weights))
                if self.rank:
                    lora = LoraConfig(r=self.rank, target_modules="all-linear", task_type="SEQ_CLS")
                    model = get_peft_model(model, lora)
            else:
                model = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, self.weights))
                model = with_critic(model, what.critic)
                lora = (
                    LoraConfig(r=self.rank, target_modules="all-linear", task_type="CAUSAL_LM") if self.rank else None
                )
                model = with_adapters(model, lora)  # pyright: ignore[reportArgumentType]
        if self.rank:
            for name, parameter in model.named_parameters():
                if "lora_" in name:
                    parameter.data = parameter.data.to(getattr(torch, self.adapters))
        return model


@cache
def _known() -> dict[Any, int]:
    return {}


def _inputs(rows: int, tokens: int) -> dict[str, Any]:
    import torch

    ids = torch.ones(rows, tokens, dtype=torch.long)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def _with_layers(config: Any, layers: int) -> Any:
    found = copy.deepcopy(config)
    text = found.get_text_config()
    text.num_hidden_layers = layers
    if getattr(text, "layer_types", None):
        text.layer_types = list(text.layer_types)[:layers]
    return found
