"""Where a run's models are spread and its steps are made: the axis `compute`."""

from typing import Any, Protocol

from rlx.core.placement import Setting


class Compute(Protocol):
    @property
    def num_processes(self) -> int:
        """Over all nodes."""
        ...

    @property
    def num_nodes(self) -> int: ...

    @property
    def micro_batch_size(self) -> int | None:
        """Prompts that stand in memory at once while learning; None: the whole minibatch."""
        ...

    @property
    def rows(self) -> int:
        """Completions that stand in memory at once while scoring."""
        ...

    @property
    def compile(self) -> bool:
        """Whether the policy's passes are compiled while it learns."""
        ...

    @property
    def place_members(self) -> Setting:
        """Whether each process holds its share of an ensemble's members, and scores the rows of all processes; "auto" is
        `rlx.core.placement`'s choice."""
        ...

    @property
    def layout(self) -> str:
        """How a model's training state lies on disk: a state is read by processes of the same layout."""
        ...

    @property
    def casts_weights(self) -> bool:
        """Whether the weights that are learnt are cast at each use, in place of copies beside float32 masters."""
        ...

    @property
    def spreads_weights(self) -> bool:
        """Whether each process holds a part of the weights that are learnt."""
        ...

    def start(self) -> None:
        """To be called before any model is made."""
        ...

    def distribution(self) -> dict[str, Any]:
        """What transformers.TrainingArguments must be told to spread a model."""
        ...

    def training_arguments(self) -> dict[str, Any]:
        """The device and the precision for transformers.TrainingArguments."""
        ...
