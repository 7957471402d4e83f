"""Whatever text the world holds: it comes back as it was written, or one line says why it cannot be used."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlx.core.error import UserError
from rlx.core.jsonl import write_rows
from rlx.core.world import Completion, Prompt
from rlx.process import atomic
from rlx.reporting.card import model_card
from rlx.reporting.page import storable
from rlx.reporting.rendering import render
from rlx.run.directory import SAMPLES, RunDirectory
from rlx.run.record import load_record
from rlx.supervised.pairs import Preference, read, write
from rlx.supervised.reference_set import read_reference_set
from rlx.world.preference_data import Columns, read_data
from rlx.world.preference_file import PreferenceSource
from tests.synthetic_run import write_json, write_run

ODD = (
    "a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg", "a\x00b\x7f", "half of a pair \ud83c", "\udfff", "🌊👩‍👩‍👧", "\u202eالبحر\u202c",
    "\ufeff", "\r\n\r", "<script>alert(1)</script>", "</pre></td><b onclick=x>", "{{ 7 * 7 }}{% raw %}", "]]>--><!--",
    "&lt;b&gt; &amp;", "$\\frac{1}{", "| a | b |\n---\n# x", "\U0010ffff", "\\u2028", '"', "", "```", "`\n```\n", "x" * 3,
)  # fmt: skip
ANY = st.lists(
    st.one_of(st.sampled_from(ODD), st.text(st.characters(categories=None), max_size=8)), min_size=1, max_size=4
).map("".join)
FEW = settings(max_examples=60, deadline=None, database=None, derandomize=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("texts")


@FEW
@given(prompt=ANY, chosen=ANY, rejected=ANY, escaped=st.booleans(), as_list=st.booleans())
def test_a_data_file_gives_the_text_that_it_holds_or_one_line(folder, prompt, chosen, rejected, escaped, as_list):
    row = {"prompt": prompt, "chosen": chosen, "rejected": rejected}
    written = json.dumps([row] if as_list else row, ensure_ascii=escaped) + "\n"
    path = folder / ("data.json" if as_list else "data.jsonl")
    path.write_bytes(written.encode("utf-8", "surrogatepass"))
    try:
        source = PreferenceSource(str(path), None, "train", None)
        data = read_data(source, None, None, Columns(None, "chosen", "rejected"), None, True, False)
    except UserError as error:
        assert "\n" not in str(error).strip() and path.name in str(error)
        usable = all(text.strip() and text.encode("utf-8", "ignore").decode() == text for text in row.values())
        assert not usable or chosen == rejected, error
    else:
        (found,) = data.preferences
        assert (found.prompt, found.chosen, found.rejected) == (prompt, chosen, rejected)


@FEW
@given(texts=st.lists(st.tuples(ANY, ANY), min_size=1, max_size=5))
def test_artefacts_give_back_the_text_that_was_put_into_them(folder, texts):
    rows = [{"prompt_id": f"{i}", "prompt": p, "completion": c, "ended": True} for i, (p, c) in enumerate(texts)]
    write_rows(folder / "reference.jsonl", rows)
    prompts, completions = read_reference_set(folder)
    assert [(p.text, c.text) for p, c in zip(prompts, completions, strict=True)] == texts
    pairs = [
        Preference(Prompt(p, (("user", p), ("assistant", c))), Completion(c, True), Completion(p, False), False)
        for p, c in texts
    ]
    write(folder / "pairs.jsonl", pairs)
    assert read(folder / "pairs.jsonl") == pairs


class Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: set[tuple[str, tuple[str, ...]]] = set()
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found.add((tag, tuple(name for name, _ in attrs)))


def filled(folder: Path, text: str) -> Path:
    """A run that has `text` wherever a user or a model may have put one."""
    directory = RunDirectory(folder)
    values = {"ended": True, "proxy": 0.5, "gold": 0.25, "factors": {text: 1.0}, "member_scores": [0.5]}
    rows = [
        {"step": step, "prompt_id": text, "prompt": text, "completion": f"{step} {text}", **values} for step in (0, 10)
    ]
    directory.write_rows(SAMPLES, rows)
    assert directory.rows(SAMPLES) == rows
    provenance = {
        "command": text,
        "warnings": [text],
        "counts": {text: 2},
        "artefacts": {text: text},
        "packages": {text: text},
    }
    write_json(folder / "provenance.json", provenance)
    write_json(folder / "members.json", [{"address": text, "accuracy": {"heldout": 0.5}, "trunk": text}])
    write_json(folder / "status.json", {"state": "failed", "reason": text, "pid": 1})
    record = load_record(folder)
    assert record.samples == rows and not record.unreadable
    return folder


@pytest.fixture(scope="module")
def run(folder) -> Path:
    return write_run(folder / "run", state="interrupted", num_members=1, num_steps=10, num_prompts=8)


@pytest.fixture(scope="module")
def tags(run) -> set[tuple[str, tuple[str, ...]]]:
    """Those of a page without any odd text, and of a word that is said again."""
    return Tags(render(load_record(filled(run, "plain")), [])).found | {("mark", ())}


@settings(FEW, max_examples=25)
@given(text=ANY)
def test_pages_and_cards_show_any_text_and_none_of_it_as_a_tag(folder, run, tags, text):
    record = load_record(filled(run, text))
    atomic.write(folder / "report.html", render(record, []))
    assert Tags((folder / "report.html").read_text(encoding="utf-8")).found <= tags
    card, shown = model_card(record), storable(text)
    atomic.write(folder / "README.md", card)
    if text:
        fenced = re.search(rf"\n(`{{3,}})\n{re.escape(shown)}\n\1\n", card)
        assert fenced is not None and fenced[1] not in shown
        card = card.replace(fenced[0], "")
    assert "<" not in card
