"""What a run has shown, in words that its intervals bear: a claim needs an interval that excludes "no change"."""

import math
from dataclasses import dataclass
from typing import Literal

from rlx.reporting.evidence import Estimate, Evidence

Tone = Literal["better", "worse", "caution", "unclear"]
MIN_PROMPTS = (
    32  # on fewer, intervals of skewed scores miss more than 7 of 100, and one prompt moves the win rate by 3 %
)
HARDLY_MOVED = 0.1  # nats to the start
MANY_CUT_OFF = 0.25  # of the answers: what gold says is then to a good part said of beginnings
SAME = "Not distinguishable from the start"
GUESSES = "by a gold that is not distinguishable from chance"


@dataclass(frozen=True)
class Verdict:
    headline: str
    sentences: tuple[str, ...]
    tone: Tone


def verdict(evidence: Evidence | None) -> Verdict:
    """The verdict that `evidence` allows."""
    if evidence is None or evidence.step == 0 or (evidence.gold is None and evidence.win_rate is None):
        return Verdict(
            "Nothing can be said yet", ("Gold was not measured on held-out prompts after the start.",), "unclear"
        )
    headline, tone = against_start(evidence)
    length, explains = length_sentence(evidence)
    moved, impossible = moved_sentence(evidence)
    if impossible:
        headline, tone = f"{headline} by more than so small a KL allows: measure on more prompts", "caution"
    elif explains and tone == "better":
        headline, tone = f"{headline}, which length may explain", "caution"
    story, overoptimised = since_peak(evidence)
    if evidence.kept is not None:
        story = f"Of the training as a whole: {story[0].lower()}{story[1:]}" if story else ""
    elif overoptimised:
        headline = f"{headline}, {'but' if headline.startswith('Better') else 'and'} over-optimised"
        tone = "worse" if tone == "worse" else "caution"
    if evidence.gold_guesses and headline != SAME:
        headline, tone = f"{headline}, {GUESSES}", "unclear"
    if evidence.num_prompts is not None and evidence.num_prompts < MIN_PROMPTS:
        setting = "final_num_prompts" if evidence.finished and not evidence.best_of_n else "num_prompts"
        headline = (
            f"Too few prompts for a verdict: {evidence.num_prompts} of at least {MIN_PROMPTS} (evaluation.{setting})"
        )
        tone = "unclear"
    if not evidence.finished:
        so_far = "" if evidence.best_of_n else f" (step {evidence.step} of {evidence.num_steps})"
        headline = f"So far{so_far}: {headline[0].lower()}{headline[1:]}"
    sentences = (
        gold_sentence(evidence),
        moved,
        kept_sentence(evidence),
        win_sentence(evidence),
        length,
        cut_off_sentence(evidence),
        proxy_sentence(evidence),
        story,
    )
    return Verdict(headline, tuple(sentence for sentence in sentences if sentence), tone)


def against_start(evidence: Evidence) -> tuple[str, Tone]:
    """The mean of gold and the win rate together; a claim that only one of them bears says which one."""
    gold, won = direction(evidence.gold, 0.0), direction(evidence.win_rate, 0.5)
    if gold * won < 0:
        return "Mixed: the mean of gold and the win rate point in opposite directions", "caution"
    if gold == 0 and won == 0:
        return SAME, "unclear"
    word, tone = ("Better", "better") if gold + won > 0 else ("Worse", "worse")
    if gold and (won or evidence.win_rate is None):
        return f"{word} than the start", tone
    if gold:
        return f"{word} than the start on average, not distinguishable prompt by prompt", tone
    return f"{word} than the start more often than not, not distinguishable on average", "unclear"


def direction(estimate: Estimate | None, line: float) -> int:
    """+1 or -1 where the whole interval is on that side of `line`, else 0."""
    return 0 if estimate is None else int(estimate.above(line)) - int(estimate.below(line))


def gold_sentence(evidence: Evidence) -> str:
    """Gold against the start, over how many prompts."""
    if evidence.gold is None:
        return "Gold has no spread over the start's completions, so its gain cannot be put in standard deviations."
    over = f" over {evidence.num_prompts} held-out prompts" if evidence.num_prompts else ""
    unsure = "" if direction(evidence.gold, 0.0) else ": not distinguishable from no change"
    return f"Gold {in_sd(evidence.gold)} against the start{over}{unsure}."


def moved_sentence(evidence: Evidence) -> tuple[str, bool]:
    """Whether the policy is nearly its start, and whether gold then changed by more than its KL allows: under a KL of K, the
    mean of a normal score moves by sqrt(2 K) of its standard deviations at most (Donsker and Varadhan 1975)."""
    highest = evidence.highest_kl
    if evidence.kl is None or highest is None or highest >= HARDLY_MOVED:
        return "", False
    most = math.sqrt(2 * highest)
    sentence = (
        f"The policy has hardly moved: its KL to the start is {evidence.kl:.3f} nats, {highest:.3f} at most on these prompts, "
        f"which lets the mean of gold move by about {number(most)} SD"
    ).replace("-", "−")
    impossible = evidence.gold is not None and direction(evidence.gold, 0.0) != 0 and abs(evidence.gold.value) > most
    return f"{sentence}{'; what gold shows beyond that is chance' if impossible else ''}.", impossible


def kept_sentence(evidence: Evidence) -> str:
    """Which step it is, and gold on the half of prompts that chose it beside gold on the half that did not."""
    if (kept := evidence.kept) is None:
        return ""
    chosen = f"This is the policy of step {kept.step} of {evidence.num_steps}, chosen by gold on half of the prompts"
    if kept.selection is None or kept.report is None:
        return f"{chosen}, none of which the numbers above are of."
    return (
        f"{chosen} ({in_sd(kept.selection)} there, optimistic because it was the highest); on the other half gold is "
        f"{in_sd(kept.report)}. The numbers above are of prompts that had no say in the choice."
    )


def win_sentence(evidence: Evidence) -> str:
    """How often gold prefers the policy to the start."""
    if evidence.win_rate is None:
        return ""
    unsure = "" if direction(evidence.win_rate, 0.5) else ": not distinguishable from a coin"
    return f"It wins {percent(evidence.win_rate)} of prompts against the start, by gold{unsure}."


def length_sentence(evidence: Evidence) -> tuple[str, bool]:
    """How much of gold's gain remains at the start's length, and whether length may be all of it: the gain excludes no
    change, and what remains of it does not."""
    found, gold = evidence.length, evidence.gold
    if found is None or gold is None or found.gold is None:
        return "", False
    way = direction(gold, 0.0)
    word = "loss" if way < 0 else "gain"
    explains = way != 0 and direction(found.gold, 0.0) != way
    share = found.gold.value / gold.value if way else 0.0
    remains = f", {100 * share:.0f} % of it" if share > 0 else ""
    won = f", and the win rate {percent(found.win_rate)}" if found.win_rate else ""
    more = "longer" if found.longer_by >= 0 else "shorter"
    question, what = (f"Is the {word} length? ", f"gold's {word}") if way else ("", "gold's difference")
    sentence = (
        f"{question}Answers are {number(abs(found.longer_by))} tokens {more} than the start's on average. "
        f"With the difference in length taken out, {what} is {in_sd(found.gold)}{remains}{won}"
    )
    if explains:
        sentence += f": not distinguishable from no change, so length may be the whole {word}"
    if not 0.05 < found.longer_rate < 0.95:
        sentence += f". Nearly every answer is {more}, so an answer of equal length is an extrapolation"
    return f"{sentence}.", explains


def cut_off_sentence(evidence: Evidence) -> str:
    """How many answers the length limit cut off, where they are many; "" elsewhere."""
    cut = evidence.cut_off
    if cut is None or max(cut.policy, cut.start or 0.0) < MANY_CUT_OFF:
        return ""
    limit = f" of {cut.limit} tokens" if cut.limit else ""
    start = "" if cut.start is None else f" and {100 * cut.start:.0f} % of the start's"
    said = f"The length limit{limit} cuts off {100 * cut.policy:.0f} % of its answers{start}"
    if cut.start is not None and cut.start < MANY_CUT_OFF:
        return f"{said}: it writes longer answers than the start, or no longer ends them."
    return (
        f"{said}: gold judges beginnings, and a difference in length does not show. A higher world.max_completion_tokens lets "
        "them end."
    )


def proxy_sentence(evidence: Evidence) -> str:
    """What was optimised."""
    return f"The proxy, which was optimised: {in_sd(evidence.proxy)}." if evidence.proxy else ""


def since_peak(evidence: Evidence) -> tuple[str, bool]:
    """What became of gold after its highest evaluation, and whether that is over-optimisation: gold has fallen from its
    peak (or below the start) while the proxy rose, both beyond their intervals (Gao et al. 2022's overoptimisation)."""
    step, fall, rise = evidence.peak_step, evidence.since_peak_gold, evidence.since_peak_proxy
    if step is None:
        return "", False
    if fall is None:
        end = "the end" if evidence.finished else "the last evaluation"
        more = "longer training"
        if evidence.best_of_n:
            end, more = f"the best of {step}", "a larger n"
        return f"Gold is highest at {end}: no over-optimisation so far, which says nothing about {more}.", False
    at = f"the best of {step}" if evidence.best_of_n else f"step {step}"
    since = f"up to the best of {evidence.num_steps}" if evidence.best_of_n else "since"
    where = "Gold was never above the start" if step == 0 else f"Gold was highest at {at}"
    if not fall.below(0.0):
        change = f"{in_sd(fall)} {since}, which is within the noise of having picked the highest of all evaluations"
        return f"{where} ({change}): no over-optimisation is shown.", False
    fallen = f"{where} and has fallen by {size(fall)} {since}"
    if rise is not None and rise.above(0.0):
        return f"{fallen}, while the proxy rose by {size(rise)}: over-optimisation.", True
    return (
        f"{fallen}, but the proxy did not measurably rise in that time: the fall is not shown to be over-optimisation.",
        False,
    )


def in_sd(estimate: Estimate) -> str:
    """+0.62 SD [0.50, 0.74]."""
    return f"{number(estimate.value, plus=True)} SD{bounds(estimate.low, estimate.high)}"


def size(estimate: Estimate) -> str:
    """A change as an amount without its sign: 0.30 SD [0.11, 0.49]."""
    if estimate.value >= 0:
        return in_sd(estimate).removeprefix("+")
    low, high = (None if bound is None else -bound for bound in (estimate.high, estimate.low))
    return f"{number(-estimate.value)} SD{bounds(low, high)}"


def percent(estimate: Estimate) -> str:
    """68 % [61, 74]."""
    return f"{100 * estimate.value:.0f} %" + (
        ""
        if estimate.low is None or estimate.high is None
        else f" [{100 * estimate.low:.0f}, {100 * estimate.high:.0f}]"
    )


def bounds(low: float | None, high: float | None) -> str:
    """[0.50, 0.74] after a space, or a plain admission."""
    return " (no interval)" if low is None or high is None else f" [{number(low)}, {number(high)}]"


def number(value: float, plus: bool = False) -> str:
    """Two decimals below 100, thousands separated above; a real minus sign, never "-0.00"."""
    rounded, sign = round(value, 2) + 0.0, "+" if plus else ""
    text = f"{rounded:{sign}.2f}" if abs(value) < 100 else f"{value:{sign},.0f}"
    return text.replace("-", "−")
