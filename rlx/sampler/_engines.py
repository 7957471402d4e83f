"""Where vLLM runs: in this process beside the policy, or as a server. Both take a policy's weights, and then draw rows of
token ids, each with a seed of its own."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from transformers import PreTrainedModel

from rlx.core.error import UserError
from rlx.model.weights import plain_weights
from rlx.process import processes
from rlx.process.device import random_state_kept

# Of vLLM's own; a setting that is there already stays.
ENVIRONMENT = {"VLLM_LOGGING_LEVEL": "WARNING", "VLLM_NO_USAGE_STATS": "1", "VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
# To a server at once, of all processes together: as many rows as vLLM works on at once, unless it is told.
REQUESTS = 256
ROWS = 256  # in one request, where rows have no seeds of their own


class EngineRow(NamedTuple):
    """A completion's ids, the end of sequence included, and their log-probabilities."""

    ids: list[int]
    logps: list[float]


@dataclass(frozen=True)
class Asked:
    """Of every completion. The end of sequence is asked for by its ids: what else a model's generation config says to end
    on, or to sample by, does not count."""

    max_tokens: int
    temperature: float
    end_ids: tuple[int, ...]
    seed_rows: bool  # whether each has a seed of its own

    def parameters(self, seed: int) -> dict[str, Any]:
        """As vLLM's SamplingParams and its server name them. No top-k, top-p or penalty: the log-probabilities of the
        losses are of the whole softmax."""
        whole = {"top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0}
        ends = {"max_tokens": self.max_tokens, "stop_token_ids": list(self.end_ids), "ignore_eos": True}
        own = {"seed": seed} if self.seed_rows else {}
        return {"n": 1, **own, "temperature": self.temperature, "logprobs": 0, **whole, **ends}


class Colocated:
    """vLLM in this process, on the policy's device; several processes have one each, or `tensor_parallel_size` of them one
    together.

    vllm.LLM by itself and not TRL's VLLMGeneration, whose `generate` gives all rows the same sampling parameters, so that
    no row could have a seed of its own, and which cannot be told a dtype: vLLM would halve the precision of an fp32 model.
    The arguments are otherwise those that TRL came to.
    """

    def __init__(
        self,
        policy: PreTrainedModel,
        max_tokens: int,
        tensor_parallel_size: int,
        gpu_memory_utilization: float,
        sleep: bool,
        enforce_eager: bool,
    ) -> None:
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        from vllm import LLM  # pyright: ignore[reportAttributeAccessIssue]
        from vllm.distributed import get_tp_group  # pyright: ignore[reportMissingImports]

        with _found_by_vllm():
            self.llm: Any = LLM(
                model=policy.name_or_path,
                skip_tokenizer_init=True,
                generation_config="vllm",
                dtype=str(policy.config.dtype or "auto").removeprefix("torch."),
                max_model_len=max_tokens,
                # A prompt is read whole: of one that is read in parts, a random number is drawn too early and has to be
                # put back, which cannot be done on CPUs. With vLLM's own numbers less memory is left for the cache (TRL).
                enable_chunked_prefill=False,
                max_num_batched_tokens=max(4096, max_tokens),
                tensor_parallel_size=tensor_parallel_size,
                distributed_executor_backend="external_launcher",
                gpu_memory_utilization=gpu_memory_utilization,
                enable_sleep_mode=sleep,
                enforce_eager=enforce_eager,
                logprobs_mode="processed_logprobs",  # at the temperature, as drawn
                seed=0,
            )
        self.group: Any = get_tp_group()  # the processes that share this engine
        self.sleeps = sleep
        self._sleep()

    def load(self, policy: PreTrainedModel) -> None:
        """Draw as `policy` from now on."""
        if self.sleeps:
            torch.cuda.empty_cache()
            self.llm.wake_up(tags=["weights"])
        self.llm.apply_model(lambda model: model.load_weights(plain_weights(policy)))
        self.llm.reset_prefix_cache()

    def generate(self, prompts: Sequence[list[int]], seeds: Sequence[int], asked: Asked) -> list[EngineRow]:
        from vllm import SamplingParams  # pyright: ignore[reportAttributeAccessIssue]

        if self.sleeps:
            self.llm.wake_up(tags=["kv_cache"])
        # Processes that share an engine must ask it for the same; each keeps its own.
        shares = processes.gathered((list(prompts), list(seeds)), self.group.cpu_group)
        before = sum(len(own) for own, _ in shares[: self.group.rank_in_group])
        inputs = [{"prompt_token_ids": ids} for own, _ in shares for ids in own]
        all_seeds = [seed for _, own in shares for seed in own]
        parameters = [SamplingParams(detokenize=False, **asked.parameters(seed)) for seed in all_seeds]
        with nullcontext() if asked.seed_rows else _numbers_of(all_seeds):
            drawn = self.llm.generate(inputs, parameters, use_tqdm=False) if inputs else []
        self._sleep()
        return [_row(request.outputs[0]) for request in drawn[before : before + len(prompts)]]

    def _sleep(self) -> None:
        """Give the memory of weights and cache to the policy that learns; the weights come anew before the next draw."""
        if self.sleeps:
            self.llm.sleep(level=2)


class Server:
    """A server started with `vllm serve`, through TRL's client; the first process sends it the weights, by NCCL, and every
    process asks it for its own rows.

    A request of vLLM has one seed, and gives each of its prompts the same random numbers: so a row with a seed of its own
    is a request of its own. Without seeds, many rows are one request.
    """

    def __init__(self, policy: PreTrainedModel, url: str, weights_port: int, timeout: float) -> None:
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        from trl.generation.vllm_client import VLLMClient

        self.client: Any = VLLMClient(base_url=url, group_port=weights_port, connection_timeout=timeout)
        self.num_requests = max(1, REQUESTS // processes.size())
        given = self.client.session.get_adapter(url)  # which has 64 connections
        connections = type(given)(max_retries=given.max_retries, pool_maxsize=self.num_requests, pool_block=True)
        self.client.session.mount(url, connections)
        self._metadata: list[tuple[str, str, list[int]]] = []
        self._device = policy.device

    def load(self, policy: PreTrainedModel) -> None:
        """Draw as `policy` from now on."""
        if not self._metadata:
            if processes.first():
                try:
                    self.client.init_communicator(device=self._device)
                except (NotImplementedError, RuntimeError) as ex:  # which say what the server lacks
                    raise UserError(f"sampler.mode=server: {ex}") from ex
            self._metadata = [(name, _name_of(x.dtype), list(x.shape)) for name, x in plain_weights(policy)]
        processes.wait()  # for those that still draw with the weights of before
        if processes.first():
            self.client.update_named_params(self._metadata, plain_weights(policy))
            self.client.reset_prefix_cache()
        else:
            for _ in plain_weights(policy):  # every process puts its parts of them together
                pass
        processes.wait()

    def generate(self, prompts: Sequence[list[int]], seeds: Sequence[int], asked: Asked) -> list[EngineRow]:
        size = 1 if asked.seed_rows else ROWS
        parts = [slice(start, start + size) for start in range(0, len(prompts), size)]

        def drawn(part: slice) -> list[EngineRow]:
            said = self.client.generate(list(prompts[part]), generation_kwargs=asked.parameters(seeds[part.start]))
            rows = zip(said["completion_ids"], said["logprobs"], strict=True)
            return [EngineRow(ids, [logps[0] for logps in of_tokens]) for ids, of_tokens in rows]

        with ThreadPoolExecutor(self.num_requests) as threads:
            return [row for rows in threads.map(drawn, parts) for row in rows]


@contextmanager
def _numbers_of(seeds: Sequence[int]) -> Iterator[None]:
    """Rows without seeds of their own draw from torch's global random numbers: inside, those of the first row's seed."""
    with random_state_kept():
        torch.manual_seed(seeds[0] if seeds else 0)
        yield


def _row(output: Any) -> EngineRow:
    ids = list(output.token_ids)
    return EngineRow(ids, [said[i].logprob for i, said in zip(ids, output.logprobs, strict=True)])


def _name_of(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


@contextmanager
def _found_by_vllm() -> Iterator[None]:
    """vLLM's workers look for one another in the variables of a launcher. A process alone has none and gets them for as
    long as they are looked at."""
    from trl.trainer.utils import ensure_master_addr_port

    before = dict(os.environ)
    if "RANK" not in os.environ:
        os.environ.update(RANK="0", LOCAL_RANK="0", WORLD_SIZE="1")
    ensure_master_addr_port()
    try:
        yield
    finally:
        for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
            if name not in before:
                os.environ.pop(name, None)
