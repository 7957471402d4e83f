"""A policy as it was before it had adapters: the start and its reference in one, without a second copy of the weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor
from transformers import PreTrainedModel

STAND_IN = "_rlx_stands_in"


def without_adapters(policy: PeftModel) -> PreTrainedModel:
    """Return `policy` with its adapters off in every call, and without its critic. The weights are the policy's own: moving or
    casting one moves or casts the other."""
    # It offers what an engine asks of a model that does not learn.
    return cast(PreTrainedModel, _AdapterFree(policy))


def is_adapter_free(policy: object) -> bool:
    """Whether `policy` is what `without_adapters` gives."""
    return isinstance(policy, _AdapterFree)


@contextmanager
def substituted_by(policy: Any, copy: Any) -> Iterator[None]:
    """While a whole `copy` replaces a policy that is spread over processes, `policy` without adapters is `copy` without. All
    processes must call a spread model equally often, and they do not draw equally long."""
    if copy is policy:
        yield
        return
    vars(policy)[STAND_IN] = [copy]  # in a list: not a part of the policy
    try:
        yield
    finally:
        del vars(policy)[STAND_IN]


@contextmanager
def causal_lm(policy: Any) -> Iterator[Any]:
    """While this is open: transformers' own model, which says what `policy` says."""
    if isinstance(policy, _AdapterFree):
        with policy._policy.disable_adapter():
            yield policy._policy.get_base_model()
    else:
        yield policy.get_base_model() if isinstance(policy, PeftModel) else policy


class _AdapterFree:
    def __init__(self, policy: PeftModel) -> None:
        self._own: Any = policy

    @property
    def _policy(self) -> Any:
        (policy,) = vars(self._own).get(STAND_IN, [self._own])
        return policy

    def __call__(self, **inputs: Any) -> Any:
        with self._policy.disable_adapter():
            return self._policy(**inputs, values=False)

    def generate(self, **options: Any) -> Tensor:
        with self._policy.disable_adapter():
            return self._policy.generate(**options)

    def next_token_logits(self, states: Tensor, temperature: float, project: Any = None) -> Tensor:
        # Called within the policy's own forward and backward pass, where its adapters must stay on.
        assert not isinstance(self._policy.get_output_embeddings(), BaseTunerLayer), "an adapter on the output head"
        return self._policy.next_token_logits(states, temperature, project)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._policy, name)
