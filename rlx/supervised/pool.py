"""Pools for best-of-n: many completions a prompt of SFT policy 0, drawn once; what rewards, references and gold say of
them is kept beside, each by itself, so that another reward costs its own scores and nothing else."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from rlx.artefact.store import Store
from rlx.core.error import UserError
from rlx.core.jsonl import read_rows
from rlx.core.reward import Reward, Sources
from rlx.core.sampler import Sampler
from rlx.core.seed import seed_of
from rlx.core.world import Completion, Prompt, Split
from rlx.engine.forward import logprobs_of
from rlx.engine.prompts import EncodedPrompts, encode
from rlx.model.actor_critic import with_critic
from rlx.model.tokens import decode_completion
from rlx.process import processes
from rlx.process.device import on_device
from rlx.process.progress import stage
from rlx.supervised.gold import gold_judge, judged_together
from rlx.supervised.pairs import prompt_of
from rlx.supervised.reference_set import read_reference_set
from rlx.supervised.reward_model import RewardMember, RewardModel
from rlx.supervised.sft import SFTPolicy

COMPLETIONS_AT_A_TIME = 2048
T = TypeVar("T")


@dataclass(frozen=True)
class Pool:
    """completions.jsonl {"prompt_id", "prompt", "completion", "ended"}, prompt by prompt, and pool.safetensors: the ids of
    all completions end to end, their lengths and whether they ended.

    A completion follows from its own seed: a pool of fewer completions is the beginning of a larger one. The first of
    each prompt is what every run's start policy writes at its held-out measurements.
    """

    VERSION: ClassVar[int] = 2  # 2: prompts of like length are drawn together

    policy: SFTPolicy
    sampler: Sampler
    split: Split
    num_prompts: int  # the first of the split that are short enough
    num_samples: int
    seed: int  # the run's: drawing is what its rollouts would be

    def build(self, directory: Path, store: Store, seed: int) -> None:
        model = self.policy.model
        tokenizer = model.tokenizer()
        policy = on_device(model.policy(store.fetch(self.policy, seed)).eval())
        prompts = self.encoded(seed)
        ids, lengths, ended = [], [], []
        each = max(1, COMPLETIONS_AT_A_TIME // self.num_samples)
        with (
            stage(f"pool of {self.split} completions", len(prompts.prompts) * self.num_samples) as bar,
            (directory / "completions.jsonl").open("w", encoding="utf-8") as file,
        ):
            for start in range(0, len(prompts.prompts), each):
                own, ids_NP, mask_NP = prompts.batch(range(start, len(prompts.prompts))[:each])
                repeated = [prompt for prompt in own for _ in range(self.num_samples)]
                seeds = [self._seed_of(prompt, k) for prompt in own for k in range(self.num_samples)]
                ids_BP, mask_BP = (x.repeat_interleave(self.num_samples, 0) for x in (ids_NP, mask_NP))
                mine = processes.share(len(seeds))
                drawn = self.sampler.draw(policy, ids_BP[mine], mask_BP[mine], seeds[mine])
                own = (drawn.ids_BT[drawn.mask_BT].int(), drawn.mask_BT.sum(-1).int(), drawn.ended_B)
                parts = [torch.cat(x) for x in zip(*processes.gathered(own), strict=True)]
                for kept, part in zip((ids, lengths, ended), parts, strict=True):
                    kept.append(part)
                rows = ids[-1].split(lengths[-1].tolist())
                for prompt, row, closed in zip(repeated, rows, ended[-1].tolist(), strict=True):
                    text = decode_completion(tokenizer, row.tolist())
                    line = {"prompt_id": prompt.id, "prompt": prompt.text, "completion": text, "ended": closed}
                    file.write(json.dumps(line, ensure_ascii=False) + "\n")
                bar.advance(len(seeds))
        tensors = {"ids": torch.cat(ids), "lengths": torch.cat(lengths), "ended": torch.cat(ended)}
        save_file(tensors, directory / "pool.safetensors")

    def encoded(self, seed: int) -> EncodedPrompts:
        """The prompts in token ids, as a held-out measurement has them."""
        world, tokenizer = self.policy.world, self.policy.model.tokenizer()
        found = encode(tokenizer, world.prompts(self.split, seed), world.max_prompt_tokens)
        return EncodedPrompts(
            found.prompts[: self.num_prompts], found.ids[: self.num_prompts], found.pad_id, found.left_out
        )

    def _seed_of(self, prompt: Prompt, k: int) -> int:
        if k == 0 and self.split == "heldout":
            return seed_of("held out", prompt.id)
        return seed_of("pool", self.seed, self.split, prompt.id, k)


@dataclass(frozen=True)
class PoolScores:
    """scores.safetensors: "scores" (M, B), z-normalised, of the B completions by the scorer that `reward` makes of
    `members`: for an ensemble one artefact a member (reward=Single), for WARM one of the averaged model. Not aggregated."""

    VERSION: ClassVar[int] = 1

    pool: Pool
    reward: Reward
    members: tuple[RewardMember, ...]

    def build(self, directory: Path, store: Store, seed: int) -> None:
        scorer = on_device(self.reward.scorer(sources_of(self.members[0], self.members, store, seed)))
        drawn = read_pool(store.fetch(self.pool, seed))
        name = f"scores of reward model {', '.join(str(member.index) for member in self.members)} on the pool"
        parts, order = [], []
        with stage(name, len(drawn.lengths_B)) as bar:
            for rows, batch in _own(list(token_batches(self.pool.encoded(seed), drawn))):
                parts.append(scorer.member_scores(*batch).double().cpu())
                order.append(rows)
                bar.advance(len(rows) * processes.size())
        scores_MB = torch.cat(processes.concatenated(parts), 1)[:, torch.cat(processes.concatenated(order)).argsort()]
        if not scores_MB.isfinite().all():
            raise UserError(f"{name}: a score is not a number; its weights are damaged or overflow in this dtype")
        save_file({"scores": scores_MB.contiguous()}, directory / "scores.safetensors")


def sources_of(like: RewardMember, members: Sequence[RewardMember], store: Store, seed: int) -> Sources:
    """What a reward made of `members` is given; `like` says of what world, model and numbers judge and reference set are."""
    return Sources(
        [store.fetch(member, seed) for member in members],
        lambda: gold_judge(like.world, like.model, like.sft, like.reward_model, store, seed),
        like.model.tokenizer,
        lambda: read_reference_set(store.fetch(like.reference_set, seed)),
    )


@dataclass(frozen=True)
class PoolLogps:
    """logps.safetensors: "logps" (B,), nats of each whole completion under the policy that `reference` makes of
    `policies`, at the temperature that it was drawn with."""

    VERSION: ClassVar[int] = 1

    pool: Pool
    reference: Any
    policies: tuple[SFTPolicy, ...]
    rows: int  # in one forward pass

    def build(self, directory: Path, store: Store, seed: int) -> None:
        paths = [store.fetch(policy, seed) for policy in self.policies]
        model = on_device(with_critic(self.reference.combine(paths, self.pool.policy.model), "none"))
        drawn = read_pool(store.fetch(self.pool, seed))
        logps_B = torch.zeros(len(drawn.lengths_B), dtype=torch.float64)
        with stage("log-probabilities of the pool", len(logps_B)) as bar:
            for rows, batch in _own(list(token_batches(self.pool.encoded(seed), drawn))):
                said = logprobs_of(model, *batch, self.pool.sampler.temperature, self.rows)
                logps_B[rows] = said.logps_BT.double().sum(-1)
                bar.advance(len(rows) * processes.size())
        logps_B = torch.stack(processes.gathered(logps_B)).sum(0)  # 0 where another process was at work
        save_file({"logps": logps_B}, directory / "logps.safetensors")


@dataclass(frozen=True)
class PoolGold:
    """gold.safetensors: "gold" (B,), the gold judge's score of each completion, in its own unit, and factors.safetensors:
    each factor (B,) that the judge names for all completions."""

    VERSION: ClassVar[int] = 2

    pool: Pool
    checkpoint: str | None  # of a given gold model
    reward_model: RewardModel | None  # the numbers of a gold model that is trained; None where the world judges

    def build(self, directory: Path, store: Store, seed: int) -> None:
        policy = self.pool.policy
        numbers: Any = self.reward_model  # only read where a gold model is trained
        judge = gold_judge(policy.world, policy.model, policy.sft, numbers, store, seed)
        prompts, completions = read_completions(store.fetch(self.pool, seed))
        scores: list[float] = []
        factors: list[dict[str, float]] = []
        with stage("gold scores of the pool", len(completions)) as bar:
            for start in range(0, len(completions), COMPLETIONS_AT_A_TIME):
                part = slice(start, start + COMPLETIONS_AT_A_TIME)
                scores += judged_together(judge, prompts[part], completions[part])
                factors += judge.factors(prompts[part], completions[part])
                bar.advance(len(completions[part]))
        save_file({"gold": torch.tensor(scores, dtype=torch.float64)}, directory / "gold.safetensors")
        names = sorted(set.intersection(*(set(own) for own in factors)))
        columns = {name: torch.tensor([own[name] for own in factors], dtype=torch.float64) for name in names}
        save_file(columns, directory / "factors.safetensors")


@dataclass(frozen=True)
class DrawnPool:
    """B completions: ids end to end, lengths with the end of sequence, whether they ended. Prompt by prompt."""

    ids: Tensor
    lengths_B: Tensor
    ended_B: Tensor

    def rows(self) -> Sequence[Tensor]:
        """Ids of each completion."""
        return self.ids.split(self.lengths_B.tolist())


def read_pool(directory: Path) -> DrawnPool:
    """What `Pool` drew."""
    tensors = load_file(directory / "pool.safetensors")
    return DrawnPool(tensors["ids"].long(), tensors["lengths"].long(), tensors["ended"])


def read_completions(directory: Path) -> tuple[list[Prompt], list[Completion]]:
    """The texts of a pool, each with its prompt."""
    rows = read_rows(directory / "completions.jsonl")
    return [prompt_of(r["prompt_id"], r["prompt"]) for r in rows], [
        Completion(r["completion"], r["ended"]) for r in rows
    ]


def read_factors(directory: Path) -> dict[str, Tensor]:
    """Factor -> (B,) of a PoolGold."""
    return load_file(directory / "factors.safetensors")


def read_numbers(directory: Path, name: str) -> Tensor:
    """The tensor `name` of an artefact <name>.safetensors about a pool."""
    return load_file(directory / f"{name}.safetensors")[name]


def token_batches(
    prompts: EncodedPrompts, drawn: DrawnPool
) -> Iterator[tuple[Tensor, tuple[Tensor, Tensor, Tensor, Tensor]]]:
    """(places in the pool, prompt ids and mask (b, P), completion ids and mask (b, T)) of completions of like length of
    prompt and completion together, so that little is padded."""
    num = len(drawn.lengths_B) // len(prompts.prompts)
    prompt_lengths_N = torch.tensor([len(ids) for ids in prompts.ids])
    order = (drawn.lengths_B + prompt_lengths_N.repeat_interleave(num)).argsort(stable=True)
    first_B = drawn.lengths_B.cumsum(0) - drawn.lengths_B
    for places in order.split(COMPLETIONS_AT_A_TIME):
        _, ids_BP, mask_BP = prompts.batch((places // num).tolist())
        columns = torch.arange(int(drawn.lengths_B[places].max()))
        mask_BT = columns < drawn.lengths_B[places, None]
        ids_BT = torch.full(mask_BT.shape, prompts.pad_id)
        ids_BT[mask_BT] = drawn.ids[(first_B[places, None] + columns)[mask_BT]]
        yield places, (ids_BP, mask_BP, ids_BT, mask_BT)


def _own(batches: Sequence[T]) -> Sequence[T]:
    """Those that this process works on; the long ones, which come last, are dealt out to all."""
    return batches[processes.rank() :: processes.size()]
