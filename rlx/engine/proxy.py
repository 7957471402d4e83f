"""The reward that every optimiser sees: the proxy's score, clipped, less a penalty for completions that were cut off."""

from dataclasses import dataclass

from torch import Tensor

from rlx.core.scorer import Scorer
from rlx.core.settings import ProxySettings


def optimised(scores: Tensor, ended: Tensor, clip: float | None, missing_eos_penalty: float) -> Tensor:
    """clamp(r, -clip, clip) - missing_eos_penalty [no end-of-sequence token]. Any shape; `ended` is bool and as `scores`.

    The penalty comes after the clip, so that a clipped completion still loses by being cut off.
    """
    clipped = scores if clip is None else scores.clamp(-clip, clip)
    return clipped - missing_eos_penalty * ~ended


@dataclass(frozen=True)
class Proxy:
    """A scorer and what is done to its aggregate before anything is optimised against it.

    `measured` is what evaluations show as proxy/score; `optimised` is what PPO, SuperHF, INPO and best-of-n maximise.
    """

    scorer: Scorer
    settings: ProxySettings

    def measured(self, member_scores_MB: Tensor) -> Tensor:
        """The aggregate (B,) in standard deviations over the reference set, neither clipped nor penalised."""
        return self.scorer.aggregate(member_scores_MB)

    def optimised(self, scores: Tensor, ended: Tensor) -> Tensor:
        """Of measured `scores`, any shape."""
        return optimised(scores, ended, self.settings.clip, self.settings.missing_eos_penalty)

    def clipped(self, scores: Tensor) -> Tensor | None:
        """bool, which of the measured `scores` the clip changes; None where nothing is clipped."""
        return None if self.settings.clip is None else scores.abs() > self.settings.clip
