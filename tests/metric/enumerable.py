"""An enumerable policy: three texts of one or two tokens, with two policies' exact probabilities."""

import numpy as np
import torch

from rlx.core.evaluation import Evaluation
from rlx.core.world import Completion, Prompt

# "a", "b c", "b d": the second token is chosen only after "b". 0.25 / 0.75 and 0.75 * 0.4, 0.6 for the policy.
TEXTS = ("a", "b c", "b d")
TOKENS = np.array([1, 2, 2])
POLICY = np.array([[0.25, 1.0], [0.75, 0.4], [0.75, 0.6]])
REFERENCE = np.array([[0.5, 1.0], [0.5, 0.5], [0.5, 0.5]])
KL = 0.25 * np.log(0.5) + 0.3 * np.log(1.2) + 0.45 * np.log(1.8)  # sum of p log p/q, p = .25 .3 .45, q = .5 .25 .25
CHI2 = 0.25**2 / 0.5 + 0.3**2 / 0.25 + 0.45**2 / 0.25 - 1  # sum p^2/q - 1 = 0.295


def evaluation(draws_B: np.ndarray, **changes) -> Evaluation:
    """One completion per prompt, draws_B of TEXTS; masked positions hold rubbish that nothing may read."""
    mask_BT = torch.tensor(TOKENS[draws_B][:, None] > np.arange(2)[None])
    rubbish = torch.where(mask_BT, 0.0, 99.0)
    logps_BT = torch.tensor(np.log(POLICY))[draws_B] + rubbish
    ref_BT = torch.tensor(np.log(REFERENCE))[draws_B] - rubbish
    B = len(draws_B)
    fields = {
        "prompts": [Prompt(str(i), f"prompt {i}") for i in range(B)],
        "completions": [Completion(TEXTS[i], ended=i != 2) for i in draws_B],
        "start_completions": [Completion("a", ended=True)] * B,
        "gold_B": draws_B.astype(float),
        "start_gold_B": np.arange(B) % 2.0,
        "start_lengths_B": np.ones(B),
        "gold_factors": [{"grammar": 1.0}] * B,
        "proxy_B": draws_B.astype(float) * 2,
        "member_scores_MB": np.stack([draws_B, draws_B + 2]).astype(float),
        "mask_BT": mask_BT,
        "logps_BT": logps_BT,
        "ref_logps_BT": ref_BT,
        "start_logps_BT": logps_BT,
        "entropy_BT": torch.ones(B, 2) + rubbish,
    }
    return Evaluation(**{**fields, **changes})
