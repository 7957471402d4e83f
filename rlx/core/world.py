"""What is given before an experiment: prompts, demonstrations, preference pairs, and a gold judge that nobody trains against."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, TypeVar, runtime_checkable

Split = Literal["train", "heldout"]
Use = Literal["proxies", "gold", "demonstrations"]
AnyItem = TypeVar("AnyItem", bound=Any)  # a demonstration; a pair before or after its texts were made completions
Messages = tuple[tuple[str, str], ...]  # ((role, content), ...)


@dataclass(frozen=True)
class Prompt:
    """One prompt. `text` is a plain string or, for chat models, ((role, content), ...)."""

    id: str  # stable over runs; splits never share one
    text: str | Messages


@dataclass(frozen=True)
class Demonstration:
    prompt: Prompt
    completion: str


@dataclass(frozen=True)
class Pair:
    """One preference. `flipped` records that label noise swapped the two after they had been judged."""

    prompt: Prompt
    chosen: str
    rejected: str
    flipped: bool = False


@dataclass(frozen=True)
class Completion:
    """A finished text. `ended` is False where the length limit cut it off."""

    text: str
    ended: bool


class Judge(Protocol):
    """The gold score: higher is better, in the judge's own unit."""

    def score(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> list[float]: ...

    def factors(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> list[dict[str, float]]:
        """What the score is made of, by name, for each completion; empty dicts where the judge cannot say."""
        ...


class PreferenceModel(Protocol):
    """Which of two completions is preferred: need not be transitive, so there may be no score that it follows from."""

    def probabilities(self, prompt: Prompt, completions: Sequence[Completion]) -> list[list[float]]:
        """P(i beats j), (G, G): P(i, j) + P(j, i) = 1, and 1/2 on the diagonal."""
        ...


class World(Protocol):
    """Pure data, the same for the same numbers. `data_seed` draws another instance of the data, not another run.

    max_prompt_tokens and max_completion_tokens bound what the samplers and trainers see; what is longer is left out
    of the data and counted in `left_out`, never cut in silence.
    """

    max_prompt_tokens: int
    max_completion_tokens: int
    label_noise: float  # share of training pairs whose labels are flipped, once, for all members alike

    def fingerprint(self) -> object:
        """JSON-able identity of the data (numbers and content hashes), part of every artefact's address."""
        ...

    def check(self, data_seed: int) -> None:
        """Raise UserError for data that would end a run later. Quick, and without torch: it comes before anything is made."""
        ...

    def prompts(self, split: Split, data_seed: int) -> list[Prompt]: ...

    def demonstrations(self, data_seed: int) -> list[Demonstration]: ...

    def pairs(self, data_seed: int) -> list[Pair] | None:
        """Given preference pairs for the proxies, of any length and before label noise; None where they are drawn from
        the SFT policy and labelled by the judge (`num_pairs` of them)."""
        ...

    def to_train_on(self, whose: Use, fitting: Sequence[AnyItem]) -> Sequence[AnyItem]:
        """The part of the given pairs, or of the demonstrations, within the length limits that is trained on.

        Raises: UserError where it is too small.
        """
        ...

    def heldout_pairs(self, data_seed: int) -> list[Pair]:
        """Clean pairs on held-out prompts, to measure reward models on; empty where `pairs` is None."""
        ...

    def gold_pairs(self, data_seed: int) -> list[Pair] | None:
        """Pairs that the proxies never see, to train a gold reward model on; None where `judge` is given."""
        ...

    @property
    def gold(self) -> str | None:
        """A given reward model's checkpoint (a path or a Hub id) that judges, or None."""
        ...

    def judge(self) -> Judge | None:
        """The gold judge, or None where gold is a reward model (trained on `gold_pairs`, or a given checkpoint)."""
        ...

    def preference_model(self) -> PreferenceModel | None:
        """An oracle over pairs, or None where the world has none."""
        ...

    def left_out(self) -> dict[str, int]:
        """Reason -> count of records that were not used."""
        ...


@runtime_checkable
class FactorWorld(Protocol):
    """A world that can take groups of factors out of a completion, so that a score can be attributed to them."""

    factor_groups: ClassVar[tuple[str, ...]]

    def factor_pieces(self, text: str) -> list[tuple[str, str]]:
        """(group, piece) in the order of the text; the pieces joined are the text, and every group is of `factor_groups`."""
        ...


def without_factors(pieces: Sequence[tuple[str, str]], gone: Collection[str]) -> str:
    """The text that is left once the pieces of the groups in `gone` are deleted."""
    return "".join(piece for group, piece in pieces if group not in gone)
