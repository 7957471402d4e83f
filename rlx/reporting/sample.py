"""Prompts with what the policy wrote before and after: hacking is easier to read than to measure."""

from dataclasses import dataclass
from itertools import groupby
from typing import Any

from rlx.run.record import RunRecord

NUM_SHOWN = 5
REPEATED = 4  # words


@dataclass(frozen=True)
class Text:
    """One completion in spans; a span is marked where its words repeat a run of four words said before."""

    spans: tuple[tuple[str, bool], ...]
    ended: bool
    gold: float | None
    proxy: float | None


@dataclass(frozen=True)
class BeforeAfter:
    place: str  # where it stands among all samples by change of gold
    prompt: str
    before: Text
    after: Text
    step: int
    factors: tuple[tuple[str, float, float], ...]  # name, before, after; the largest change first


def compare(record: RunRecord) -> list[BeforeAfter]:
    """Five prompts by how much gold changed from the first sampled step to the last (or the kept one): worst, quartiles and best,
    so that nobody's taste picked them. Fewer where fewer were sampled; none before the second evaluation."""
    steps = record.sampled_steps
    if len(steps) < 2:
        return []
    end = record.kept_step if record.kept_step in steps else steps[-1]
    before, after = record.samples_at(steps[0]), record.samples_at(end)
    ids = sorted(before.keys() & after.keys(), key=lambda pid: (_gain(before[pid], after[pid]), pid))
    last = len(ids) - 1
    ranks = sorted({round(i * last / (NUM_SHOWN - 1)) for i in range(NUM_SHOWN)}) if ids else []
    return [_comparison(before[ids[rank]], after[ids[rank]], end, place(rank, last)) for rank in ranks]


def place(rank: int, last: int) -> str:
    """Where a sample stands among last + 1 samples, worst first."""
    if last == 0:
        return "the only sample"
    named = {0: "gold fell most, or rose least", last: "gold rose most, or fell least"}
    middle = (
        "median change of gold" if rank * 2 == last or rank == round(last / 2) else f"change {rank + 1} of {last + 1}"
    )
    return named.get(rank, middle)


def spans(text: str, n: int = REPEATED) -> tuple[tuple[str, bool], ...]:
    """`text` cut into (part, repeated); the parts joined are `text`."""
    words = text.split()
    repeated = [False] * len(words)
    seen: set[tuple[str, ...]] = set()
    # The bars and dashes of a Markdown table are no words: every row would repeat those of the row before.
    spoken = [i for i, word in enumerate(words) if any(map(str.isalnum, word))]
    for start in range(len(spoken) - n + 1):
        places = spoken[start : start + n]
        gram = tuple(words[i] for i in places)
        if gram in seen:
            repeated[places[0] : places[-1] + 1] = [True] * (places[-1] + 1 - places[0])
        seen.add(gram)
    parts: list[tuple[str, bool]] = []
    position = 0
    for i, word in enumerate(words):
        start = text.index(word, position)
        inside = i > 0 and repeated[i] and repeated[i - 1]  # the space between two marked words is marked too
        parts += [(text[position:start], inside), (word, repeated[i])]
        position = start + len(word)
    parts.append((text[position:], False))
    joined = [(mark, "".join(part for part, _ in run)) for mark, run in groupby(parts, key=lambda part: part[1])]
    return tuple((part, mark) for mark, part in joined if part)


def plain(prompt: Any) -> str:
    """A prompt as text: messages as "role: content" lines, a single question as it is."""
    if isinstance(prompt, str):
        return prompt
    pairs = [(turn["role"], turn["content"]) if isinstance(turn, dict) else tuple(turn) for turn in prompt]
    if len(pairs) == 1 and pairs[0][0] == "user":  # a question, and no conversation
        return str(pairs[0][1])
    return "\n".join(f"{role}: {content}" for role, content in pairs)


def _gain(before: dict[str, Any], after: dict[str, Any]) -> float:
    return (after.get("gold") or 0.0) - (before.get("gold") or 0.0)


def _comparison(before: dict[str, Any], after: dict[str, Any], step: int, where: str) -> BeforeAfter:
    was, now = before.get("factors") or {}, after.get("factors") or {}
    both = [(name, was[name], now[name]) for name in was if name in now]
    ordered = tuple(sorted(both, key=lambda factor: (-abs(factor[2] - factor[1]), factor[0])))
    return BeforeAfter(where, plain(before["prompt"]), _text(before), _text(after), step, ordered)


def _text(sample: dict[str, Any]) -> Text:
    return Text(spans(sample["completion"]), bool(sample.get("ended", True)), sample.get("gold"), sample.get("proxy"))
