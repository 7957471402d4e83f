"""Best-of-n sampling: draw n completions, keep the one that the proxy likes best. No weights change.

The curve over n is Coste et al.'s unbiased estimator (arXiv 2310.02743, appendix on best-of-n; Nakano et al. 2021,
arXiv 2112.09332, appendix I): all n up to N from one pool of N completions a prompt.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from torch import Tensor

from rlx.core.numbers import PositiveInt
from rlx.core.paper import Paper

JSON_KEYS = ("n", "proxy_score", "gold_score")


def kl_bon(n: int) -> float:
    """log n - (n - 1) / n nats: KL(best-of-n || policy) for scores without ties, otherwise an upper bound."""
    return math.log(n) - (n - 1) / n


def log_weights(num_samples: int, n: int) -> np.ndarray:
    """log [ C(i-1, n-1) / C(N, n) ] for i = 1..N: the chance that the i-th worst of N is the best of n drawn from them
    without replacement; -inf for i < n.

    From the top, w_N = n / N and w_(i-1) / w_i = (i - n) / (i - 1): sums of small logarithms, where the binomials of
    N = 12,600 overflow and their lgammas cancel. Raises ValueError for n > N.
    """
    if not 1 <= n <= num_samples:
        raise ValueError(f"the best of n={n} cannot be estimated from N={num_samples} completions: 1 <= n <= N")
    if n == 1:
        return np.full(num_samples, -math.log(num_samples))
    rank = np.arange(num_samples, 1, -1, dtype=np.float64)  # i = N..2
    with np.errstate(divide="ignore"):
        steps = np.log1p(-np.minimum((n - 1) / (rank - 1), 1.0))
    return (math.log(n / num_samples) + np.concatenate([[0.0], np.cumsum(steps)]))[::-1]


def ascending(scores_PN: np.ndarray) -> np.ndarray:
    """Indices (P, N) of each prompt's completions from worst to best; of equals, the one drawn first ranks higher."""
    if np.isnan(scores_PN).any():
        raise ValueError("a score is not a number: there is no order")
    last = scores_PN.shape[1] - 1
    return last - np.argsort(scores_PN[:, ::-1], axis=1, kind="stable")


def expected_best(scores_PN: np.ndarray, values_KPN: np.ndarray, ns: Sequence[int]) -> np.ndarray:
    """E[value of the completion with the highest score among n], (K, len(ns), P) for K kinds of value.

    R_n = sum_{i=n..N} C(i-1, n-1) / C(N, n) value(S_i), S_1..S_N ascending by score: unbiased for every n <= N. One
    argsort permutes whole completions, so a value never parts from its score.
    """
    sorted_KPN = np.take_along_axis(values_KPN, ascending(scores_PN)[None], axis=2)
    weights_SN = np.exp([log_weights(scores_PN.shape[1], n) for n in ns])
    return np.einsum("kpn,sn->ksp", sorted_KPN, weights_SN)


def winners(scores_PN: np.ndarray) -> np.ndarray:
    """Index (P,) of each prompt's best completion; of equals, the one drawn first."""
    return ascending(scores_PN)[:, -1]


def sizes(num_samples: int) -> list[int]:
    """1, 2, 4, ... and N itself."""
    return [*(2**k for k in range((num_samples - 1).bit_length())), num_samples]


def penalised(scores: Tensor, penalty: Tensor, beta: float) -> Tensor:
    """What completions are chosen by: proxy - beta f'(r), r the completion's policy / reference. Any shape."""
    return scores - beta * penalty


def write_curve(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """[{"n", "proxy_score", "gold_score"}, ...], the file of the ensemble paper's code (tlc4418/llm_optimization)."""
    path.write_text(
        json.dumps([{key: row[key] for key in JSON_KEYS} for row in rows], indent=4) + "\n", encoding="utf-8"
    )


@dataclass(frozen=True)
class BoN:
    """Which completions are drawn, and whether a policy learns from the winners; `experiment/best_of_n.py` is the procedure.

    The regulariser enters the choice: the best is the one with the highest proxy - beta * penalty, where the penalty
    is of the log-ratio of the policy that samples, SFT policy 0, to the reference. With reference=frozen the two are the
    same, so the penalty is zero for every completion and beta and the regulariser change nothing; with reference=soup,
    completions that the soup finds unlikely lose.

    `distill`: a policy of its own is then trained on the winners over `num_distilled` training prompts. A pool that
    another engine drew (sampler=vllm) is taken as the policy's own: no importance weights.
    """

    title: ClassVar[str] = "Best of {num_samples}"
    papers: ClassVar[tuple[Paper, ...]] = (
        Paper(
            "Scaling Laws for Reward Model Overoptimization",
            "Gao, Leo and Schulman, John and Hilton, Jacob",
            2022,
            "2210.10760",
        ),
    )

    has_steps: ClassVar[bool] = False

    num_samples: PositiveInt
    distill: bool
    num_distilled: PositiveInt
