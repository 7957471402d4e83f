"""The numbers that a verdict may rest on, each with its 95 % interval, read from a run's record."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from rlx.metric.interval import mean_interval
from rlx.run.record import RunRecord, Standardised

MIN_PAIRS = 20  # fewer common prompts than this are too few for an interval of their own


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % bounds; None where nothing in the run allows an interval."""

    value: float
    low: float | None
    high: float | None

    def above(self, line: float) -> bool:
        """The whole interval lies above `line`; False where there is no interval."""
        return self.low is not None and self.low > line

    def below(self, line: float) -> bool:
        """The whole interval lies below `line`; False where there is no interval."""
        return self.high is not None and self.high < line


@dataclass(frozen=True)
class LengthControlled:
    """Gold and win rate at no difference in length to the start's answers; None where the run does not have it."""

    longer_by: float  # tokens, mean over prompts
    longer_rate: float  # share of prompts with the longer answer
    gold: Estimate | None  # gain over the start
    win_rate: Estimate | None


@dataclass(frozen=True)
class CutOff:
    """Shares of answers that the length limit cut off, of the policy's and of the start's; None where that is not known."""

    policy: float
    start: float | None
    limit: int | None  # tokens


@dataclass(frozen=True)
class Kept:
    """The step that `checkpoint.keep_best` chose; gold, proxy and win rate of the evidence are then of its policy."""

    step: int
    selection: Estimate | None  # gold's gain on the half of prompts that chose: optimistic
    report: Estimate | None  # on the other half


@dataclass(frozen=True)
class Evidence:
    """Gold and proxy in standard deviations of the start policy's completions."""

    finished: bool
    best_of_n: bool  # steps are then values of n
    step: int  # the last one that was measured
    num_steps: int  # planned
    num_prompts: int | None  # of the final measurement
    gold: Estimate | None  # gain over the start
    proxy: Estimate | None  # gain over the start
    win_rate: Estimate | None  # share of 1
    peak_step: int | None  # where held-out gold was highest, 0 = never above the start
    since_peak_gold: Estimate | None  # end minus peak; bounds hold although the peak was picked from all evaluations
    since_peak_proxy: Estimate | None  # end minus the proxy at gold's peak
    kept: Kept | None = None
    length: LengthControlled | None = None  # runs measured before there was one have none
    kl: float | None = None  # to the start, nats per completion, of the same completions
    cut_off: CutOff | None = None
    # Gold is a reward model whose accuracy on held-out pairs is not shown to be above chance.
    gold_guesses: bool = False

    @property
    def highest_kl(self) -> float | None:
        """The largest KL K that could have come out as `kl` with probability .025 over this many prompts. Log-ratios of a small
        KL are nearly normal with a variance of 2 K, so that kl = K - 1.96 sqrt(2 K / num_prompts), solved for sqrt(K)."""
        if self.kl is None or not self.num_prompts:
            return None
        c = 1.96 * math.sqrt(2 / self.num_prompts)
        return ((c + math.sqrt(max(c**2 + 4 * self.kl, 0.0))) / 2) ** 2


def gather(record: RunRecord) -> Evidence | None:
    """The evidence in `record`; None if nothing was measured on held-out prompts."""
    if not record.heldout and not record.summary:
        return None
    last = record.heldout[-1] if record.heldout else {}
    final = record.summary or last
    num_prompts = final.get("evaluation/num_prompts") or last.get("evaluation/num_prompts")
    gold, proxy = record.standardised("gold"), record.standardised("proxy")
    num_steps = record.best_of or int(record.config.get("num_steps") or 0)
    peak, gold_change, proxy_change = _up_to_n(record) if record.bon else _since_peak(record, gold, proxy)
    proxy_change_over_all = None
    if proxy and len(proxy.steps) > 1:
        end = proxy.steps.tolist().index(record.end["step"]) if record.end["step"] in proxy.steps else -1
        proxy_change_over_all = _change(record, "proxy", proxy, 0, 0.95, end)
    if record.bon and not record.distilled:
        proxy_change_over_all = _estimate(record.bon[-1], "proxy/score_sd_units")
    return Evidence(
        finished=record.finished,
        best_of_n=bool(record.bon),
        step=num_steps if record.finished else int(last.get("step", 0)),
        num_steps=num_steps,
        num_prompts=int(num_prompts) if num_prompts else record.num_prompts,
        gold=_estimate(final, "gold/score_sd_units") or _at_end(gold),
        proxy=proxy_change_over_all,
        win_rate=_estimate(final, "gold/win_rate"),
        peak_step=peak,
        since_peak_gold=gold_change,
        since_peak_proxy=proxy_change,
        kept=_kept(record),
        length=_length(final),
        kl=None if record.bon else final.get("objective/kl_start"),
        cut_off=_cut_off(record, final),
        gold_guesses=guesses(record),
    )


def guesses(record: RunRecord) -> bool:
    """Whether gold is a reward model whose 95 % interval of accuracy on held-out pairs reaches down to one half."""
    row = next((row for row in record.judges if row["kind"] == "gold"), {})
    low = (row.get("interval") or {}).get("heldout", [None])[0]
    return low is not None and low <= 0.5


def _cut_off(record: RunRecord, final: dict) -> CutOff | None:
    if (ended := final.get("completions/eos_rate")) is None:
        return None
    row = record.heldout[0] if record.heldout else {}
    start = row.get("completions/eos_rate") if row.get("step") == 0 else None
    limit = (record.config.get("sampler") or {}).get("max_new_tokens")
    return CutOff(1 - ended, None if start is None else 1 - start, limit)


def _kept(record: RunRecord) -> Kept | None:
    if record.kept_step is None:
        return None
    selection, report = (_estimate(record.summary, f"keep_best/{half}_sd_units") for half in ("selection", "report"))
    return Kept(record.kept_step, selection, report)


def _length(final: dict) -> LengthControlled | None:
    longer_by, rate = final.get("completions/longer_by"), final.get("completions/longer_rate")
    if longer_by is None or rate is None:
        return None
    controlled = (_estimate(final, f"gold/{name}_length_controlled") for name in ("score_sd_units", "win_rate"))
    return LengthControlled(longer_by, rate, *controlled)


def _up_to_n(record: RunRecord) -> tuple[int | None, Estimate | None, Estimate | None]:
    """As `_since_peak`, along n: the run has the differences on the same completions, gold's widened for the choice."""
    gold = record.standardised_by_n("gold")
    if gold is None:
        return None, None, None
    peak = int(np.argmax(gold.values))
    if peak == len(gold.steps) - 1:
        return int(gold.steps[peak]), None, None
    changes = [_estimate(record.bon[peak], f"{which}/to_end_sd_units") for which in ("gold", "proxy")]
    return 0 if peak == 0 else int(gold.steps[peak]), changes[0], changes[1]


def _since_peak(
    record: RunRecord, gold: Standardised | None, proxy: Standardised | None
) -> tuple[int | None, Estimate | None, Estimate | None]:
    if gold is None or len(gold.steps) < 2:
        return None, None, None
    peak = int(np.argmax(gold.values))
    if peak == len(gold.steps) - 1:
        return int(gold.steps[peak]), None, None
    # The highest of S - 1 noisy evaluations is partly luck: Bonferroni over those it was picked from.
    confidence = 1 - 0.05 / (len(gold.steps) - 1)
    proxy_change = None
    if proxy is not None and np.array_equal(proxy.steps, gold.steps):
        proxy_change = _change(record, "proxy", proxy, peak, 0.95)
    return int(gold.steps[peak]), _change(record, "gold", gold, peak, confidence), proxy_change


def _change(
    record: RunRecord, which: str, score: Standardised, since: int, confidence: float, end: int = -1
) -> Estimate:
    """The value at index `end` minus the one at index `since`. The interval is that of the differences on the same prompts where
    the run kept all their scores, else the wider one of two means taken as independent."""
    value = float(score.values[end] - score.values[since])
    before, after = (record.samples_at(int(score.steps[i])) for i in (since, end))
    common = [pid for pid in before if pid in after and before[pid].get(which) is not None]
    common = [pid for pid in common if after[pid].get(which) is not None]
    if len(common) >= max(MIN_PAIRS, record.num_prompts or 0):
        differences = np.array([after[pid][which] - before[pid][which] for pid in common]) / score.unit
        return Estimate(value, *mean_interval(differences, confidence))
    error = float(np.hypot(score.errors[since], score.errors[end]))
    if not np.isfinite(error):
        return Estimate(value, None, None)
    half = float(stats.norm.ppf(0.5 + confidence / 2)) * error
    return Estimate(value, value - half, value + half)


def _estimate(row: dict, name: str) -> Estimate | None:
    return Estimate(row[name], row.get(f"{name}_low"), row.get(f"{name}_high")) if row.get(name) is not None else None


def _at_end(score: Standardised | None) -> Estimate | None:
    if score is None or len(score.steps) < 2:
        return None
    low, high = float(score.low[-1]), float(score.high[-1])
    known = np.isfinite(low) and np.isfinite(high)
    return Estimate(float(score.values[-1]), low if known else None, high if known else None)
