"""An ensemble whose members lie in different processes: each process holds its share and scores the rows of all."""

import logging
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from rlx.core.reward import Sources
from rlx.process import processes
from rlx.reward._ensemble import Ensemble, load_member, raw_scores, scale_of, unpadded

log = logging.getLogger(__name__)


def place(index: int) -> int:
    """Return the process that holds member `index`."""
    return index % processes.size()


class PlacedEnsemble(Ensemble):
    """M members, member i in process i mod P alone. `members` are this process's.

    All processes must call `member_scores` equally often: each sends its rows to all, and gets its scores of every member.
    """

    def __init__(self, sources: Sources, aggregate: Callable[[Tensor], Tensor]) -> None:
        """Raises UserError where the aggregate has no spread over the reference set."""
        paths = sources.members
        own = [load_member(path) for i, path in enumerate(paths) if place(i) == processes.rank()]
        super().__init__(own, aggregate, 0.0, 1.0, sources.rows)
        self.num_members = len(paths)
        log.info(
            "reward models: %d of %d in this process, which scores the rows of all with them", len(own), len(paths)
        )
        self._raw_stds = self._by_member([torch.tensor(member.std, dtype=torch.float64) for member in own])
        reference = [member.z_scores(member.reference_scores(sources.rows, shared=False)) for member in own]
        self.mean, self.std = scale_of(aggregate(self._by_member(reference)))

    @property
    def raw_std(self) -> float:
        """As of an ensemble in one process."""
        return self.std * float(self._raw_stds.mean())

    @torch.no_grad()
    def member_scores(self, prompt_ids_BP: Tensor, prompt_mask_BP: Tensor, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """z-normalised scores (M, B) of this process's B completions, on the device of the ids."""
        parts = processes.gathered(unpadded(prompt_ids_BP, prompt_mask_BP, ids_BT, mask_BT))
        rows = [row for part in parts for row in part]
        scores_MB = self._by_member([member.z_scores(raw_scores(member, rows, self.rows)) for member in self.members])
        start = sum(map(len, parts[: processes.rank()]))
        return scores_MB[:, start : start + len(parts[processes.rank()])].to(ids_BT.device)

    def singles(self) -> list[Ensemble]:
        """This ensemble itself: no process has every member."""
        return [self]

    def _by_member(self, own: Sequence[Tensor]) -> Tensor:
        """What each process has of its members, as one tensor by member."""
        parts = processes.gathered([x.cpu() for x in own])
        return torch.stack([parts[place(i)][i // processes.size()] for i in range(self.num_members)])
