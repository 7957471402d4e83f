"""Bring your own data: preference pairs from a file or the Hub, split by prompt; gold learns from pairs of its own."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import ClassVar, Literal

from rlx.core.error import UserError
from rlx.core.numbers import Fraction, PositiveInt
from rlx.core.world import AnyItem, Demonstration, Judge, Messages, Pair, PreferenceModel, Prompt, Split, Use
from rlx.world.bad_record import OnBadRecord
from rlx.world.conversation import RawPreference
from rlx.world.preference_data import Columns, PreferenceData, read_data
from rlx.world.preference_file import KINDS, PreferenceSource
from rlx.world.preferences_rules import shares
from rlx.world.split import point, prompt_id, prompt_key, share_of
from rlx.world.surface import GROUPS, pieces

log = logging.getLogger(__name__)
SHARES = ("heldout", "gold", "demonstration", "pair")


@dataclass(frozen=True)
class Preferences:
    """The world of one's own preference data. Nothing is read before it is asked for; everything is read once.

    Every method that needs the data raises UserError (file, line and field in one line) for data it cannot use.
    """

    factor_groups: ClassVar[tuple[str, ...]] = GROUPS

    path: str | None
    subset: str | None
    split: str
    revision: str | None
    prompt_column: str | None
    chosen_column: str
    rejected_column: str
    turn_marker: str | None
    prompt_template: str | None
    as_chat: bool
    heldout_path: str | None
    heldout_split: str
    heldout_share: Fraction
    gold: str | None
    gold_share: Fraction
    demonstrations_path: str | None
    demonstrations_split: str
    demonstration_share: Fraction | None
    label_noise: Fraction
    max_prompt_tokens: PositiveInt
    max_completion_tokens: PositiveInt
    max_pairs: PositiveInt | None
    max_gold_pairs: PositiveInt | None
    max_demonstrations: PositiveInt | None
    min_pairs: PositiveInt
    min_heldout_prompts: PositiveInt
    on_bad_record: OnBadRecord
    duplicate_pairs: Literal["leave_out", "keep"]

    def fingerprint(self) -> object:
        """The numbers, and the hash of the content of every file in place of its path: moving a file changes nothing.
        Of `gold` only whether it is given, as that decides who gets its share of the prompts; of the label noise
        nothing, as these are the clean pairs."""
        paths = (
            "path",
            "subset",
            "split",
            "revision",
            "heldout_path",
            "heldout_split",
            "demonstrations_path",
            "demonstrations_split",
            "gold",
            "label_noise",
            "on_bad_record",
            "min_pairs",
            "min_heldout_prompts",
        )
        numbers = {name: value for name, value in asdict(self).items() if name not in paths}
        for name in ("max_pairs", "max_gold_pairs", "max_demonstrations"):
            if numbers[name] is not None:  # it took its part before the length limit once
                numbers[f"{name} that fit"] = numbers.pop(name)
        # What is left out decides the data too, and is the same for a file that was mended by leaving it out.
        return {**numbers, "shares": shares(vars(self)), "data": self._data.hashes, "left_out": self.left_out()}

    def prompts(self, split: Split, data_seed: int) -> list[Prompt]:
        """Distinct prompts in a random order that does not change. "train" is those of the demonstrations and of the
        proxies' pairs; the gold model's are in neither split."""
        shares = ("heldout",) if split == "heldout" else ("demonstration", "pair")
        found = {key: items[0].prompt for share in shares for key, items in self._divided(data_seed)[share].items()}
        if split == "heldout":
            self._demand(len(found), "held-out prompts", "min_heldout_prompts", "heldout_share", "larger")
        return [self._prompt(found[key]) for key in sorted(found, key=lambda key: point("prompt", data_seed, key))]

    def demonstrations(self, data_seed: int) -> list[Demonstration]:
        """Distinct (prompt, completion) to imitate, in a random order that does not change: of a file of their own, or
        what was chosen on the prompts set aside for them (`demonstration_share` null: on the proxies' prompts).
        None has a held-out or a gold prompt."""
        divided = self._divided(data_seed)
        if self.demonstrations_path:
            taken = divided["heldout"].keys() | divided["gold"].keys()
            given = [(prompt, text) for prompt, text in self._data.demonstrations if prompt_key(prompt) not in taken]
        else:
            share = divided["pair" if self.demonstration_share is None else "demonstration"]
            given = [(item.prompt, item.chosen) for items in share.values() for item in items]
        if not given:
            raise UserError(
                "no demonstrations are left to train the SFT policy on; make world.demonstration_share larger"
            )
        order = sorted(dict.fromkeys(given), key=lambda d: point("demonstration", data_seed, prompt_id(d[0]), d[1]))
        return [Demonstration(self._prompt(prompt), text) for prompt, text in order]

    def pairs(self, data_seed: int) -> list[Pair]:
        """The proxies' pairs, clean (label noise comes later) and whatever their length, in a random order that does not
        change, so that the pairs of a smaller `max_pairs` are among those of a larger one."""
        pairs = self._pairs(self._divided(data_seed)["pair"], data_seed)
        self._demand(len(pairs), "pairs for the proxies", "min_pairs", "gold_share", "smaller")
        return pairs

    def heldout_pairs(self, data_seed: int) -> list[Pair]:
        """Clean pairs on the held-out prompts, to measure a reward model's accuracy with."""
        return self._pairs(self._divided(data_seed)["heldout"], data_seed)

    def gold_pairs(self, data_seed: int) -> list[Pair] | None:
        """Pairs on prompts that neither proxies nor demonstrations have; None if `gold` is a given checkpoint."""
        if self.gold:
            return None
        pairs = self._pairs(self._divided(data_seed)["gold"], data_seed)
        self._demand(len(pairs), "pairs for the gold model", "min_pairs", "gold_share", "larger")
        return pairs

    def to_train_on(self, whose: Use, fitting: Sequence[AnyItem]) -> Sequence[AnyItem]:
        """The first `max_pairs` (for gold `max_gold_pairs`, of demonstrations `max_demonstrations`) of those within the
        length limits.

        Raises: UserError where pairs are fewer than `min_pairs`.
        """
        if whose == "demonstrations":
            return fitting[: self.max_demonstrations]
        if len(fitting) < self.min_pairs:
            what = "the proxies" if whose == "proxies" else "the gold model"
            raise UserError(
                f"{self.path}: only {len(fitting)} pairs for {what} are within the length limits, fewer than "
                f"world.min_pairs={self.min_pairs}; raise world.max_prompt_tokens or max_completion_tokens, or bring more data"
            )
        return fitting[: self.max_pairs if whose == "proxies" else self.max_gold_pairs]

    def check(self, data_seed: int) -> None:
        """Read and divide everything, without torch and in a second or so.

        Raises: UserError as any other method would, for what would end a run later.
        """
        self.prompts("heldout", data_seed)
        for read in (self.demonstrations, self.pairs, self.gold_pairs):
            read(data_seed)

    def judge(self) -> Judge | None:
        """None: gold is a reward model, trained on `gold_pairs` or given by `gold`."""
        return None

    def preference_model(self) -> PreferenceModel | None:
        """None: pairs are given, and no oracle answers for new ones."""
        return None

    def factor_pieces(self, text: str) -> list[tuple[str, str]]:
        """Its sentences and list items, by what can be measured of them."""
        return pieces(text)

    def left_out(self) -> dict[str, int]:
        """Reason -> number of records that were not used, whatever the data seed."""
        return dict(self._data.left_out)

    def counts(self, data_seed: int) -> dict[str, int]:
        """What was found and how it was divided, for reports."""
        divided = self._divided(data_seed)
        prompts = {f"{share} prompts": len(divided[share]) for share in SHARES}
        pairs = {f"{share} pairs": sum(map(len, divided[share].values())) for share in SHARES}
        counts = {**self._data.counts, **prompts, **pairs}
        if self.demonstrations_path:
            taken = divided["heldout"].keys() | divided["gold"].keys()
            counts["demonstrations on held-out or gold prompts, left out"] = sum(
                prompt_key(prompt) in taken for prompt, _ in self._data.demonstrations
            )
        return counts

    def _demand(self, found: int, what: str, minimum: str, share: str, change: str) -> None:
        if found < (wanted := getattr(self, minimum)):
            left_out = sum(self._data.left_out.values())
            raise UserError(
                f"{self.path}: only {found} {what} of {self._data.counts['data records']} records ({left_out} left "
                f"out), fewer than world.{minimum}={wanted}; bring more data or make world.{share} {change}"
            )

    def _divided(self, data_seed: int) -> dict[str, dict[str, list[RawPreference]]]:
        """Share -> prompt key -> the pairs of this prompt, in the order of the file."""
        if data_seed not in self._divisions:
            divided: dict[str, dict[str, list[RawPreference]]] = {share: {} for share in SHARES}
            for item in self._data.heldout:
                divided["heldout"].setdefault(prompt_key(item.prompt), []).append(item)
            sizes = shares(vars(self))
            for item in self._data.preferences:
                key = prompt_key(item.prompt)
                share = share_of(point("split", data_seed, key), sizes, "pair")
                divided[share].setdefault(key, []).append(item)
            self._divisions[data_seed] = divided
        return self._divisions[data_seed]

    @cached_property
    def _divisions(self) -> dict[int, dict[str, dict[str, list[RawPreference]]]]:
        return {}

    @cached_property
    def _data(self) -> PreferenceData:
        if self.path is None:
            raise UserError(f"world.path is not set: give {KINDS}")
        source = PreferenceSource(self.path, self.subset, self.split, self.revision)
        data = read_data(
            source,
            self._other(self.heldout_path, self.heldout_split),
            self._other(self.demonstrations_path, self.demonstrations_split),
            Columns(self.prompt_column, self.chosen_column, self.rejected_column),
            self.turn_marker and _typed(self.turn_marker),
            refuse_bad=self.on_bad_record == "refuse",
            keep_duplicates=self.duplicate_pairs == "keep",
        )
        for reason, count in data.left_out.items():
            log.warning("%s: left out %d records: %s", self.path, count, reason)
        if data.preferences:
            self._prompt(data.preferences[0].prompt)
        return data

    def _other(self, path: str | None, split: str) -> PreferenceSource | None:
        if path is None:
            return None
        # Another split of the same dataset is taken at the same revision; another dataset has its own newest.
        return (
            PreferenceSource(path, self.subset, split, self.revision)
            if path == self.path
            else PreferenceSource(path, None, split, None)
        )

    def _pairs(self, groups: dict[str, list[RawPreference]], data_seed: int) -> list[Pair]:
        items = [item for group in groups.values() for item in group]
        items.sort(key=lambda p: point("pair", data_seed, prompt_id(p.prompt), p.chosen, p.rejected))
        return [Pair(self._prompt(p.prompt), p.chosen, p.rejected) for p in items]

    def _prompt(self, given: str | Messages) -> Prompt:
        """With the form that the settings ask for. Splits and ids go by the given prompt: no form moves them."""
        text = given
        if isinstance(text, str):
            text = text if self.prompt_template is None else _typed(self.prompt_template).replace("{prompt}", text)
            text = (("user", text),) if self.as_chat else text
        elif self.as_chat or self.prompt_template is not None:
            setting = "world.as_chat=true" if self.as_chat else "world.prompt_template"
            raise UserError(f"{setting} is for plain prompts, but those of {self.path} are messages: take it away")
        return Prompt(prompt_id(given), text)


def _typed(text: str) -> str:
    """A setting as it was meant: the command line hands \\n over as two characters, which nobody wants in a prompt."""
    return text.replace("\\n", "\n")
