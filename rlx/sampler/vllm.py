"""Completions by vLLM, an engine made for drawing, from the policy's weights as they are at every draw. Each row has a seed
of its own, unless `seed_rows` is false.

vLLM's kernels, precision and order of summation are not those that the policy learns with, so its draws are not quite the
policy's: it says what it thought of each token, and the engine weights them (rlx/engine/importance.py). For the same
reason a row of the same seed may turn out otherwise beside other rows, or on other hardware.
"""

import importlib.util
import math
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor
from transformers import PreTrainedModel

from rlx.core.error import UserError
from rlx.core.numbers import Port, Positive, PositiveInt, Probability
from rlx.core.sampler import Drawn
from rlx.sampler._engines import Asked, Colocated, EngineRow, Server

_engines: dict["VLLM", Colocated | Server] = {}  # one a process: it holds a part of the device's memory until the end


@dataclass(frozen=True)
class VLLM:
    """The engine starts at the first draw, from the files that the policy was loaded from, and is given the policy's
    weights before every draw: without its critic, and with its adapters added in.

    What has run: colocated on CPUs, in one process and in two, with an engine each or one together, and drawing from a server.
    What has not: a GPU, sleep, and sending a server its weights, which takes NCCL (docs/scale.md).
    """

    mode: Literal["colocate", "server"]
    max_new_tokens: PositiveInt
    max_prompt_tokens: PositiveInt
    temperature: Positive
    importance_clip: Positive
    seed_rows: bool
    gpu_memory_utilization: Probability
    tensor_parallel_size: PositiveInt
    sleep: bool
    enforce_eager: bool
    host: str
    port: Port
    weights_port: Port
    timeout: Positive

    def check(self) -> None:
        """Raises UserError where vLLM is not installed, or where no server answers."""
        if importlib.util.find_spec("vllm") is None:
            raise UserError(
                "sampler=vllm: vLLM is not installed here; `pip install -e '.[vllm]'` in an environment of its own "
                "(docs/scale.md, Rollouts with vLLM), or use sampler=transformers"
            )
        if self.mode == "server":
            try:
                socket.create_connection((self.host, self.port), self.timeout).close()
            except OSError as ex:
                raise UserError(
                    f"sampler.host={self.host} sampler.port={self.port}: no vLLM server answers ({ex}); start one as in "
                    "docs/scale.md, Rollouts with vLLM, or use sampler.mode=colocate"
                ) from ex

    @torch.no_grad()
    def draw(
        self, policy: PreTrainedModel, prompt_ids_BP: Tensor, prompt_mask_BP: Tensor, seeds: Sequence[int]
    ) -> Drawn:
        """One completion a row, at most max_new_tokens long, ended by the policy's end-of-sequence token.

        Shapes: prompts (B, P) left-padded -> ids, mask and log-probabilities (B, max_new_tokens).
        """
        prompts = [ids_P[mask_P].tolist() for ids_P, mask_P in zip(prompt_ids_BP, prompt_mask_BP, strict=True)]
        if (longest := max(map(len, prompts), default=0)) > self.max_prompt_tokens:
            raise UserError(f"sampler.max_prompt_tokens={self.max_prompt_tokens}: a prompt has {longest} tokens")
        eos, pad = policy.config.eos_token_id, policy.config.pad_token_id
        asked = Asked(
            self.max_new_tokens, self.temperature, tuple(eos if isinstance(eos, list) else [eos]), self.seed_rows
        )
        with torch.autocast(policy.device.type, enabled=False):  # vLLM and merged adapters have their own precision
            engine = self._engine(policy)
            engine.load(policy)
            rows = engine.generate(prompts, seeds, asked)
        return padded(rows, asked, pad)

    def _engine(self, policy: PreTrainedModel) -> Colocated | Server:
        # What an engine is told with every draw, or never, makes no other engine.
        key = replace(self, temperature=1.0, importance_clip=1.0, seed_rows=True)
        if key not in _engines:
            self.check()
            if self.mode == "server":
                url = f"http://{self.host}:{self.port}"
                _engines[key] = Server(policy, url, self.weights_port, self.timeout)
            else:
                _engines[key] = Colocated(
                    policy,
                    self.max_prompt_tokens + self.max_new_tokens,
                    self.tensor_parallel_size,
                    self.gpu_memory_utilization,
                    self.sleep,
                    self.enforce_eager,
                )
        return _engines[key]


def padded(rows: Sequence[EngineRow], asked: Asked, pad_id: int) -> Drawn:
    """Rows of any length, side by side. Raises RuntimeError where vLLM gave no probability for what it drew."""
    shape = (len(rows), asked.max_tokens)
    ids_BT, logps_BT = torch.full(shape, pad_id), torch.zeros(shape)
    for i, row in enumerate(rows):
        if not all(map(math.isfinite, row.logps)):
            raise RuntimeError(
                f"vLLM drew a token of log-probability {min(row.logps)}: the policy it was given is broken"
            )
        ids_BT[i, : len(row.ids)] = torch.tensor(row.ids)
        logps_BT[i, : len(row.ids)] = torch.tensor(row.logps)
    mask_BT = torch.arange(asked.max_tokens) < torch.tensor([len(row.ids) for row in rows])[:, None]
    ended_B = torch.tensor([row.ids[-1] in asked.end_ids for row in rows], dtype=torch.bool)
    return Drawn(ids_BT, mask_BT, ended_B, logps_BT)
