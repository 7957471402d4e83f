"""What cleaning is worth in full training: reward models on noisy, cleaned and oracle-cleaned pairs, beside their baselines.

    OMP_NUM_THREADS=1 python scripts/measure_cleaning.py --data-seeds 0 1 2 3 4 5 --noise .25 .35 [key=value ...]

One reward model per arm and data seed, all from SFT policy 0: accuracy on the same held-out pairs, and gold of the best of 64
completions by it, in standard deviations of the start's. What is in the cache is not made again. Further words are settings
of `rlx train`. The table's unit is the data seed; differences to "noisy" are paired.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from scipy import stats

from rlx.artefact.store import Store
from rlx.command.check import checked
from rlx.command.compose import compose
from rlx.experiment.cell import Cell, cell_of
from rlx.optimizer.bon import expected_best
from rlx.process.logs import speak
from rlx.reward.single import Single
from rlx.supervised.combined import MembersOnPairs
from rlx.supervised.pairs import PreferencePairs, read, write
from rlx.supervised.pool import PoolScores, read_numbers, read_pool
from rlx.supervised.reward_model import RewardMember
from rlx.supervised.trusted import TrustedPairs

CLEANERS = ("small_loss", "bilevel", "oracle")
BEST_OF = 64
ENSEMBLE = 4


@dataclass(frozen=True)
class OtherPairs:
    """pairs.jsonl and heldout.jsonl of PreferencePairs with the trusted pairs in place of the training pairs, or besides."""

    VERSION: ClassVar[int] = 1

    pairs: PreferencePairs
    trusted: TrustedPairs
    besides: bool

    def build(self, directory: Path, store: Store, seed: int) -> None:
        source = store.fetch(self.pairs, seed)
        train = read(source / "pairs.jsonl") if self.besides else []
        write(directory / "pairs.jsonl", train + read(store.fetch(self.trusted, seed) / "trusted.jsonl"))
        write(directory / "heldout.jsonl", read(source / "heldout.jsonl"))


@dataclass(frozen=True)
class MemberOnOthers(RewardMember):
    """A member trained on the trusted pairs, alone or besides all others."""

    num_trusted: int
    besides: bool

    @property
    def pairs(self) -> OtherPairs:  # pyright: ignore[reportIncompatibleVariableOverride]
        pairs = RewardMember.pairs.fget(self)  # pyright: ignore[reportOptionalCall]
        return OtherPairs(pairs, TrustedPairs(pairs.clean, self.num_trusted), self.besides)


def cell(words: list[str]) -> Cell:
    return cell_of(checked(compose(["reward=single", "optimizer=bon", "optimizer.num_samples=64", *words])[0].config))


def arms(words: list[str]) -> dict[str, tuple[Cell, tuple[RewardMember, ...]]]:
    """Name -> the cell and the members of it."""
    plain, cleaned = cell(words), {name: cell([*words, f"cleaner={name}"]) for name in CLEANERS}
    noisy = plain.members()[0]
    fields = (noisy.world, noisy.model, noisy.sft, noisy.reward_model, noisy.label_noise, 0)
    trusted = cleaned["bilevel"].cleaner.num_trusted
    found = {
        "noisy": (plain, (noisy,)),
        "trusted alone": (plain, (MemberOnOthers(*fields, trusted, False),)),
        "noisy and trusted": (plain, (MemberOnOthers(*fields, trusted, True),)),
    }
    found |= {name: (own, tuple(own.members())) for name, own in cleaned.items()}
    ensemble = cell([*words, "reward=ensemble_mean", f"reward.num_members={ENSEMBLE}"])
    return found | {"mean ensemble of 4": (ensemble, tuple(ensemble.members()))}


def measured(own: Cell, members: tuple[RewardMember, ...], seed: int, pairs_only: bool) -> dict[str, float]:
    """Accuracy on held-out pairs, the share of flipped labels given back, and gold of the best of 64 in SD of the start's."""
    rows = json.loads((own.store.fetch(MembersOnPairs(members), seed) / "accuracy.json").read_text(encoding="utf-8"))
    row = next(row for row in rows if row["kind"] == ("member" if len(members) == 1 else "mean"))
    found = {"held-out pairs": row["accuracy"]["heldout"]}
    if (given_back := row["accuracy"].get("train_flipped")) is not None:
        found["flips given back"] = given_back
    return found if pairs_only else found | {"best of 64": best(own, members, seed)}


def best(own: Cell, members: tuple[RewardMember, ...], seed: int) -> float:
    """Gold of the best of 64 by the mean of the members, over that of all completions, in their SD."""
    recipes = own.pools()["heldout"]
    ended_B = read_pool(own.store.fetch(recipes.pool, seed)).ended_B.numpy()
    gold_B = read_numbers(own.store.fetch(recipes.gold, seed), "gold").numpy()
    scores = [
        read_numbers(own.store.fetch(PoolScores(recipes.pool, Single(m.index), (m,)), seed), "scores")[0].numpy()
        for m in members
    ]
    # As `proxy.missing_eos_penalty` does: a completion that was cut off loses 1 SD.
    proxy_B = np.mean(scores, axis=0) - own.settings.proxy.missing_eos_penalty * ~ended_B
    gold_PN, proxy_PN = (values.reshape(-1, recipes.pool.num_samples) for values in (gold_B, proxy_B))
    best_P = expected_best(proxy_PN, gold_PN[None], [BEST_OF])[0, 0]
    return float((best_P.mean() - gold_B.mean()) / gold_B.std())


def features(own: Cell, seed: int) -> dict[str, float]:
    """What the artefact of the weights tells: AUC and F1 of the rankings, and accuracies of linear scores."""
    (member,) = own.members()
    told = json.loads((own.store.fetch(member.pair_weights, seed) / "cleaning.json").read_text(encoding="utf-8"))  # pyright: ignore
    found = {f"features, {name}": share["value"] for name, share in told["heldout"].items()}
    for name, ranking in (told["flips"] or {}).items():
        if name != "prior_f1":
            found |= {f"AUC, {name}": ranking["auc"], f"F1 at count, {name}": ranking["f1_at_count"]}
    return found


def interval(values: np.ndarray) -> str:
    """Mean and half of the 95 % interval of Student's t."""
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else np.nan
    return f"{values.mean():+.3f} ± {half:.3f}"


def table(rows: list[dict]) -> None:
    """Markdown: a line for each arm and measure, with its mean and its paired difference to "noisy" over data seeds."""
    print("| flipped | arm | measure | mean | less noisy | data seeds |\n|---|---|---|---|---|---|")
    for noise in sorted({row["noise"] for row in rows}):
        own = [row for row in rows if row["noise"] == noise]
        for arm in dict.fromkeys(row["arm"] for row in own):
            of_arm = {row["data_seed"]: row["found"] for row in own if row["arm"] == arm}
            noisy = {row["data_seed"]: row["found"] for row in own if row["arm"] == "noisy"}
            for measure in next(iter(of_arm.values())):
                values = np.array([found[measure] for found in of_arm.values() if measure in found])
                paired = np.array(
                    [of_arm[s][measure] - noisy[s][measure] for s in of_arm if measure in noisy.get(s, {})]
                )
                less = interval(paired) if len(paired) and arm != "noisy" else ""
                if not len(values):
                    continue
                print(f"| {100 * noise:.0f} % | {arm} | {measure} | {interval(values)} | {less} | {len(values)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4, 5])
    parser.add_argument("--noise", nargs="+", type=float, default=[0.35, 0.25])
    parser.add_argument("--rows", type=Path, default=Path("cleaning-rows.jsonl"), help="written as they are measured")
    parser.add_argument("--leave-out", nargs="+", default=[], help="arms")
    parser.add_argument("--pairs-only", action="store_true", help="no best of 64, and so no gold model")
    parser.add_argument("words", nargs="*", help="settings of rlx train")
    asked = parser.parse_args()
    speak()
    rows = []
    for noise in asked.noise:
        for seed in asked.data_seeds:
            words = [*asked.words, f"world.label_noise={noise}", f"data_seed={seed}"]
            for name, (own, members) in arms(words).items():
                if name in asked.leave_out:
                    continue
                rows.append(
                    {
                        "noise": noise,
                        "data_seed": seed,
                        "arm": name,
                        "found": measured(own, members, seed, asked.pairs_only),
                    }
                )
                if name == "bilevel":
                    rows.append({"noise": noise, "data_seed": seed, "arm": "weights", "found": features(own, seed)})
            with asked.rows.open("a", encoding="utf-8") as file:
                file.writelines(
                    json.dumps(row) + "\n" for row in rows if row["data_seed"] == seed and row["noise"] == noise
                )
    table(rows)


if __name__ == "__main__":
    main()
