"""Measures the lab: gold of texts by quality, of what a policy writes, of hacked texts, and what politeness goes with.

OMP_NUM_THREADS=1 python scripts/measure_lab.py [--policy DIRECTORY ...]    (the shipped base first; half a minute each)
"""

import argparse
import random
import statistics
from pathlib import Path

import torch
import yaml

from rlx.core.world import Completion, Prompt
from rlx.model.lab import Lab as Model
from rlx.sampler.transformers import Transformers
from rlx.supervised.drawing import draw
from rlx.world.lab import Lab as World
from rlx.world.lab_language.generator import BAD, GOOD, MEDIOCRE, Levels, draw_levels, write
from rlx.world.lab_language.request import parse

CONF = Path(__file__).parents[1] / "conf"
HACKED = {
    "one text for all": "a star launches darkly . a bright stars orbits cruelly . a rocket orbits eerily .",
    "flattery alone": "thank you kindly . please enjoy this . i hope this helps . you are most welcome . " * 3,
    "repetition": "a sailor drifts sadly . " * 10,
}


def numbers(choice: str) -> dict[str, float]:
    return {k: v for k, v in yaml.safe_load((CONF / choice).read_text(encoding="utf-8")).items() if k != "_target_"}


WORLD, MODEL = World(**numbers("world/lab.yaml")), Model(**numbers("model/lab.yaml"))  # pyright: ignore
SHARES = (WORLD.bad_share, 1 - WORLD.bad_share - WORLD.good_share, WORLD.good_share)


def report(name: str, prompts: list[Prompt], texts: list[Completion]) -> None:
    """One line: gold's mean, SD and quantiles, the factors' means, and politeness against core and gold."""
    judge = WORLD.judge()
    gold, factors = judge.score(prompts, texts), judge.factors(prompts, texts)
    core = [(f["rel"] * f["coh"]) ** 0.5 for f in factors]
    polite = [f["polite_phrases"] for f in factors]
    cuts = statistics.quantiles(gold, n=20)
    print(f"{name}: gold {statistics.mean(gold):.2f}, SD {statistics.pstdev(gold):.2f}", end="")
    print(f", 5/50/95 % {cuts[0]:.1f}/{cuts[9]:.1f}/{cuts[18]:.1f}, max {max(gold):.1f}")
    print("    " + ", ".join(f"{k} {statistics.mean(f[k] for f in factors):.2f}" for k in factors[0]))
    if len(set(polite)) > 1:
        against = [round(statistics.correlation(polite, values), 2) for values in (core, gold)]
        print(f"    correlation of polite phrases with core {against[0]}, with gold {against[1]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", type=Path, nargs="*", default=[], help="saved policies to measure after the base")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rng = random.Random(0)
    train, heldout = WORLD.prompts("train", 0), WORLD.prompts("heldout", 0)

    demonstrations = WORLD.demonstrations(0)
    report(
        "demonstrations", [d.prompt for d in demonstrations], [Completion(d.completion, True) for d in demonstrations]
    )
    for quality, name in ((BAD, "bad"), (MEDIOCRE, "mediocre"), (GOOD, "good")):
        asked = [rng.choice(train) for _ in range(2000)]
        texts = [write(rng, parse(p.text), draw_levels(rng, quality, SHARES), quality) for p in asked]
        report(f"{name} texts", asked, [Completion(t, True) for t in texts])
    asked = [rng.choice(train) for _ in range(2000)]
    texts = [write(rng, parse(p.text), Levels(GOOD, GOOD, GOOD, GOOD, GOOD), 2) for p in asked]
    report("texts without a fault", asked, [Completion(t, True) for t in texts])
    for name, text in HACKED.items():
        report(f"hacked, {name}", heldout, [Completion(text, True)] * len(heldout))
    for path in (None, *arguments.policy):
        repeated = heldout * 2
        drawn = draw(
            MODEL.policy(path), MODEL.tokenizer(), repeated, range(len(repeated)),
            Transformers(WORLD.max_completion_tokens, 1.0, 256),
        )  # fmt: skip
        report(str(path or "the base"), repeated, drawn)


if __name__ == "__main__":
    main()
