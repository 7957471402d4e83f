"""What the policy does on prompts it never learns from, with sampling seeds that are the same at every measurement."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from rlx.core.error import UserError
from rlx.core.evaluation import Evaluation
from rlx.core.rollout import Rollout
from rlx.core.sampler import Sampler
from rlx.core.scorer import MemberScorer
from rlx.core.seed import seed_of
from rlx.core.world import Completion, Judge, Prompt
from rlx.engine.experience import RolloutModels, completions_of, draw, score
from rlx.engine.forward import logprobs_of
from rlx.engine.prompts import EncodedPrompts
from rlx.process import processes


@dataclass(frozen=True)
class StartText:
    """What the policy wrote for a prompt before training."""

    prompt_id: str
    completion: Completion
    length: int  # tokens, the end-of-sequence token included


@dataclass(frozen=True)
class StartSample:
    """The same, and what gold thinks of it."""

    text: StartText
    gold: float


class HeldOut:
    """Measures a policy against the policy that training started from, on the first `num` held-out prompts."""

    def __init__(
        self,
        prompts: EncodedPrompts,
        actors: RolloutModels,
        start: PreTrainedModel,
        judge: Judge,
        members: Sequence[MemberScorer],
        start_texts: Sequence[StartText] = (),
    ) -> None:
        """`members`: each of the proxy's reward models as a scorer of its own, to see where they disagree. `start_texts`:
        what `start` wrote for the first prompts, where that was drawn before; for other prompts it is drawn here."""
        self.prompts, self.actors, self.start, self.judge = prompts, actors, start, judge
        self.members, self.start_texts = members, start_texts
        self._start: dict[int, StartSample] = {}  # by the prompt's place; drawn once, when a measurement first needs it

    def evaluate(
        self,
        policy: PreTrainedModel,
        num: int,
        sampler: Sampler | None = None,
        without: frozenset[str] = frozenset(),
    ) -> Evaluation:
        """Draw one completion for each of the first `num` prompts and everything that the measurements read of it. Several
        processes share the prompts, and all get the whole.

        Prompts whose ids are in `without` are left out. `sampler` draws in place of the actors' own: best-of-n has chosen
        its completions already.
        """
        wanted = [i for i, prompt in enumerate(self.prompts.prompts[:num]) if prompt.id not in without]
        prompts, drawn, completions = self._draw(policy, wanted, sampler or self.actors.sampler)
        # Asked again as the start and the reference are, so that a policy that has not moved is at 0 from them exactly.
        drawn = replace(drawn, own=None)
        scored, entropy_NGT = score(drawn, policy, self.actors, seed=0, with_preferences=False)
        rows = (drawn.prompt_ids_NP, drawn.prompt_mask_NP, drawn.ids_NGT.squeeze(1), drawn.mask_NGT.squeeze(1))
        start_logps_BT = logprobs_of(self.start, *rows, self.actors.sampler.temperature, self.actors.rows).logps_BT
        with torch.no_grad():
            member_scores_MB = torch.cat([scorer.member_scores(*rows).float() for scorer in self.members])
        start = self._start_samples(wanted)
        texts = {
            "prompts": prompts,
            "completions": completions,
            "gold_factors": self.judge.factors(prompts, completions),
        }
        numbers = {
            "gold_B": np.asarray(finite_gold(self.judge, prompts, completions), dtype=np.float64),
            "proxy_B": scored.proxy_NG.squeeze(1).double().numpy(),
            "member_scores_MB": member_scores_MB.double().numpy(),
        }
        tokens = {
            "mask_BT": rows[3],
            "logps_BT": scored.logps_NGT.squeeze(1),
            "ref_logps_BT": scored.ref_logps_NGT.squeeze(1),
            "start_logps_BT": start_logps_BT,
            "entropy_BT": entropy_NGT.squeeze(1),
        }
        parts = processes.gathered((texts, numbers, tokens))
        whole: dict[str, Any] = {name: [item for part in parts for item in part[0][name]] for name in texts}
        whole |= {name: np.concatenate([part[1][name] for part in parts], -1) for name in numbers}
        whole |= {name: torch.cat([part[2][name] for part in parts]) for name in tokens}
        return Evaluation(
            start_completions=[sample.text.completion for sample in start],
            start_gold_B=np.array([sample.gold for sample in start]),
            start_lengths_B=np.array([sample.text.length for sample in start]),
            **whole,
        )

    def _start_samples(self, wanted: Sequence[int]) -> list[StartSample]:
        """Of the prompts at the places `wanted`."""
        if missing := [i for i in wanted if i not in self._start]:
            texts = self._start_texts(missing)
            mine = processes.share(len(missing))
            prompts = [self.prompts.prompts[i] for i in missing[mine]]
            golds = processes.concatenated(
                finite_gold(self.judge, prompts, [texts[i].completion for i in missing[mine]])
            )
            for i, gold in zip(missing, golds, strict=True):
                self._start[i] = StartSample(texts[i], float(gold))
        return [self._start[i] for i in wanted]

    def _start_texts(self, wanted: Sequence[int]) -> dict[int, StartText]:
        """By place: those that were drawn before, and the others, which are drawn now."""
        texts = {i: self.start_texts[i] for i in wanted if i < len(self.start_texts)}
        assert all(text.prompt_id == self.prompts.prompts[i].id for i, text in texts.items()), "texts of other prompts"
        if lacking := [i for i in wanted if i not in texts]:
            _, drawn, own = self._draw(self.start, lacking, self.actors.sampler)
            completions = processes.concatenated(own)
            lengths = processes.concatenated(drawn.mask_NGT.sum(-1).flatten().tolist())
            for i, completion, length in zip(lacking, completions, lengths, strict=True):
                texts[i] = StartText(self.prompts.prompts[i].id, completion, length)
        return texts

    def _draw(
        self, policy: PreTrainedModel, wanted: Sequence[int], sampler: Sampler
    ) -> tuple[Sequence[Prompt], Rollout, list[Completion]]:
        """This process's share of the prompts at the places `wanted`."""
        prompts, ids_NP, mask_NP = self.prompts.batch(wanted)
        mine = processes.share(len(prompts))
        prompts = prompts[mine]
        seeds = [seed_of("held out", prompt.id) for prompt in prompts]
        drawn = draw(policy, sampler, prompts, ids_NP[mine], mask_NP[mine], seeds)
        return prompts, drawn, [texts[0] for texts in completions_of(drawn, self.actors.tokenizer)]


def finite_gold(judge: Judge, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> Sequence[float]:
    """What `judge` scores. Raises UserError where a score is no number: nothing could be measured by it."""
    scores = judge.score(prompts, completions)
    if lost := [prompt.id for prompt, score in zip(prompts, scores, strict=True) if not math.isfinite(score)]:
        raise UserError(
            f"gold scores {len(lost)} of {len(scores)} completions as no number (the first is of prompt {lost[0]}): nothing can "
            "be measured by it; give another world.gold, or delete the gold model and train it again"
        )
    return scores


def sample_rows(step: int, evaluation: Evaluation, num: int) -> list[dict]:
    """The first `num` prompts with what the policy wrote and what was thought of it, for people to read."""
    return [
        {
            "step": step,
            "prompt_id": prompt.id,
            "prompt": prompt.text if isinstance(prompt.text, str) else [list(message) for message in prompt.text],
            "completion": evaluation.completions[i].text,
            "ended": evaluation.completions[i].ended,
            "proxy": float(evaluation.proxy_B[i]),
            "gold": float(evaluation.gold_B[i]),
            "factors": evaluation.gold_factors[i],
            "member_scores": evaluation.member_scores_MB[:, i].tolist(),
        }
        for i, prompt in enumerate(evaluation.prompts[:num])
    ]


def final_rows(step: int, evaluation: Evaluation) -> list[dict]:
    """All prompts of the final measurement: as `sample_rows`, with tokens and with the start's completion beside it, so that
    two runs can be compared, or another judge asked, without drawing again."""
    rows = sample_rows(step, evaluation, len(evaluation.prompts))
    lengths_B = evaluation.mask_BT.sum(-1).tolist()
    return [
        row
        | {
            "length": int(lengths_B[i]),
            "start_completion": evaluation.start_completions[i].text,
            "start_ended": evaluation.start_completions[i].ended,
            "start_gold": float(evaluation.start_gold_B[i]),
            "start_length": int(evaluation.start_lengths_B[i]),
        }
        for i, row in enumerate(rows)
    ]
