"""What preference files hold before any split: read and checked whole, so that faults show before anything is built."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import NamedTuple

from rlx.core.error import UserError
from rlx.core.world import Messages
from rlx.world.bad_record import BadRecords, RecordError
from rlx.world.conversation import RawPreference, messages, preference, text
from rlx.world.preference_file import PreferenceSource
from rlx.world.split import prompt_key


class Columns(NamedTuple):
    """The names of the three fields. `prompt` None: "prompt" if any record has it, else the prompt is implicit."""

    prompt: str | None
    chosen: str
    rejected: str


class Placed(NamedTuple):
    place: str  # "pairs.jsonl:12"
    item: RawPreference


@dataclass
class PreferenceData:
    """`counts` says what was found, `left_out` how many records were not used and why, `hashes` (by role of the source)
    what the content is: of a file's bytes, or of a folder's or Hub dataset's records."""

    preferences: list[RawPreference] = field(default_factory=list)
    heldout: list[RawPreference] = field(default_factory=list)
    demonstrations: list[tuple[str | Messages, str]] = field(default_factory=list)
    hashes: dict[str, str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)


def read_data(
    source: PreferenceSource,
    heldout: PreferenceSource | None,
    demonstrations: PreferenceSource | None,
    columns: Columns,
    turn_marker: str | None,
    refuse_bad: bool,
    keep_duplicates: bool,
) -> PreferenceData:
    """Read and check everything.

    Raises: UserError for what cannot be read as a whole, and for single bad records where `refuse_bad`.
    """
    data, bad = PreferenceData(), BadRecords()
    read = {"data": _preferences(source, columns, turn_marker, bad, data, "data")}
    if heldout:
        read["heldout"] = _preferences(heldout, columns, turn_marker, bad, data, "heldout")
        read["data"] = _apart(read["data"], read["heldout"], bad)
    if demonstrations:
        data.demonstrations = _demonstrations(demonstrations, bad, data)
    _one_kind(read, data.demonstrations, demonstrations)
    if refuse_bad:
        bad.refuse()
    data.left_out.update(bad.reasons)
    data.preferences = _distinct(read["data"], keep_duplicates, data)
    data.heldout = _distinct(read.get("heldout", []), keep_duplicates, data)
    _count_prompts(data)
    return data


def _preferences(
    source: PreferenceSource,
    columns: Columns,
    turn_marker: str | None,
    bad: BadRecords,
    data: PreferenceData,
    role: str,
) -> list[Placed]:
    names = [columns.prompt or "prompt", columns.chosen, columns.rejected]
    rows, seen = _rows(source, names, bad, data, role)
    settings = {name: f"world.{field}_column" for name, field in zip(names, Columns._fields, strict=True)}
    _demand_columns(source, [n for n in names if n != "prompt" or columns.prompt], seen, settings)
    has_prompt = names[0] in seen
    placed, kind = [], None
    for place, (prompt, chosen, rejected) in rows:
        try:
            item = preference(prompt, chosen, rejected, turn_marker, has_prompt)
            kind = kind or type(item.prompt)
            if type(item.prompt) is not kind:
                forms = ("texts", "lists of messages") if kind is str else ("lists of messages", "texts")
                raise RecordError("plain mixed with messages", f"the fields are {forms[1]}, those before it {forms[0]}")
        except RecordError as fault:
            bad.add(place, _renamed(fault, columns))
        else:
            placed.append(Placed(place, item))
    return placed


def _renamed(fault: RecordError, columns: Columns) -> RecordError:
    # The user knows the fields by the names in the file.
    detail = fault.detail
    for name, column in zip(("prompt", "chosen", "rejected"), columns, strict=True):
        detail = detail.replace(repr(name), repr(column or name))
    return RecordError(fault.reason, detail)


def _demonstrations(
    source: PreferenceSource, bad: BadRecords, data: PreferenceData
) -> list[tuple[str | Messages, str]]:
    rows, seen = _rows(source, ["prompt", "completion", "messages"], bad, data, "demonstrations")
    if "messages" not in seen:
        _demand_columns(source, ["prompt", "completion"], seen, {})
    found = []
    for place, (prompt, completion, turns) in rows:
        try:
            if prompt is None and completion is None and turns is not None:
                whole = turns if isinstance(turns, list) else []
                prompt, completion = whole[:-1], whole[-1:]
            found.append(_demonstration(prompt, completion))
        except RecordError as fault:
            bad.add(place, fault)
    return found


def _demonstration(prompt: object, completion: object) -> tuple[str | Messages, str]:
    if isinstance(prompt, list) != isinstance(completion, list):
        raise RecordError(
            "plain mixed with messages", "of 'prompt' and 'completion' one is a text, one a list of messages"
        )
    if not isinstance(prompt, list) or not isinstance(completion, list):
        return text(prompt, "prompt"), text(completion, "completion")
    turns = messages([*prompt, *completion], "messages")
    if len(turns) < 2 or turns[-1][0] != "assistant" or turns[-2][0] == "assistant":
        raise RecordError("last role not assistant", "the last message must be the assistant's, after one that is not")
    return turns[:-1], turns[-1][1]


def _rows(
    source: PreferenceSource, names: Sequence[str], bad: BadRecords, data: PreferenceData, role: str
) -> tuple[list[tuple[str, list[object]]], dict[str, None]]:
    """(place, the values of `names`, None where missing) of every record with fields, and all field names seen."""
    rows: list[tuple[str, list[object]]] = []
    seen: dict[str, None] = {}
    num_records = 0
    for record in source.records():
        num_records += 1
        if isinstance(record.fields, RecordError):
            bad.add(record.place, record.fields)
        else:
            seen.update(dict.fromkeys(record.fields))
            rows.append((record.place, [record.fields.get(name) for name in names]))
    if num_records == 0:
        raise UserError(f"{source.path}: holds no records; one JSON object a line is expected, or a list of them")
    if not rows:
        bad.refuse(all_of_them=True)
    data.counts[f"{role} records"] = num_records
    digest = source.content_hash()
    if digest is None:
        values = json.dumps([values for _, values in rows], ensure_ascii=True, sort_keys=True, default=str)
        digest = hashlib.sha256(values.encode()).hexdigest()
    data.hashes[role] = digest
    return rows, seen


def _demand_columns(
    source: PreferenceSource, names: Sequence[str], seen: dict[str, None], settings: Mapping[str, str]
) -> None:
    """`settings`: the setting that gave each of `names`, where one did."""
    missing = [name for name in names if name not in seen]
    if not missing:
        return
    near = get_close_matches(missing[0], list(seen), n=2)
    setting = settings.get(missing[0])
    hint = f"; nearest: {', '.join(near)}" if near else ""
    hint += f" (set {setting})" if setting else ""
    if {"completion", "label"} <= seen.keys():
        hint = "; these are single judgements (completion, label), but pairs are needed"
    raise UserError(
        f"{source.path}: no record has a field {', '.join(map(repr, missing))}; found {', '.join(seen)}{hint}"
    )


def _apart(placed: list[Placed], heldout: list[Placed], bad: BadRecords) -> list[Placed]:
    """Only what shares no prompt with the held-out file; what does is a fault of the training record."""
    places = {prompt_key(h.item.prompt): h.place for h in reversed(heldout)}
    kept = []
    for one in placed:
        if (place := places.get(prompt_key(one.item.prompt))) is None:
            kept.append(one)
        else:
            bad.add(one.place, RecordError("prompt is held out", f"its 'prompt' is also held out, by {place}"))
    return kept


def _one_kind(
    read: dict[str, list[Placed]], demonstrations: list[tuple[str | Messages, str]], source: PreferenceSource | None
) -> None:
    kinds = {role: type(placed[0].item.prompt) for role, placed in read.items() if placed}
    if demonstrations and source:
        kinds["demonstrations"] = type(demonstrations[0][0])
    if len(set(kinds.values())) > 1:
        said = ", ".join(f"{role}: {'texts' if kind is str else 'lists of messages'}" for role, kind in kinds.items())
        raise UserError(f"the files must all be plain or all conversational ({said})")


def _distinct(placed: list[Placed], keep_duplicates: bool, data: PreferenceData) -> list[RawPreference]:
    distinct = dict.fromkeys(p.item for p in placed)
    duplicates = len(placed) - len(distinct)
    data.counts["duplicate pairs"] += duplicates
    alike = sum(p.chosen.strip() == p.rejected.strip() for p in distinct)
    data.counts["pairs that differ in outer white space only"] += alike
    data.counts["pairs that another contradicts"] += sum(
        RawPreference(p.prompt, p.rejected, p.chosen) in distinct for p in distinct
    )
    if keep_duplicates:
        return [p.item for p in placed]
    if duplicates:
        data.left_out["duplicate pair"] += duplicates
    return list(distinct)


def _count_prompts(data: PreferenceData) -> None:
    texts = {p.prompt for p in [*data.preferences, *data.heldout]}
    keys = {prompt_key(prompt) for prompt in texts}
    data.counts["prompts"] = len(keys)
    data.counts["prompts that differ in white space or case only"] = len(texts) - len(keys)
