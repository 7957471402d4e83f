from hypothesis import given, settings
from hypothesis import strategies as st

from rlx.core.jsonl import read_rows, write_rows

ENDS = ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1e", "\r", "\n", "\r\n", "\0", "\ud800", "😀", "\u202e"]


def test_characters_that_end_lines_elsewhere_end_none_here(tmp_path):
    rows = [{"text": f"before{end}after", end: [end]} for end in ENDS]
    write_rows(tmp_path / "a.jsonl", rows)
    assert read_rows(tmp_path / "a.jsonl") == rows
    assert (tmp_path / "a.jsonl").read_bytes().count(b"\n") == len(rows)


def test_lines_that_others_wrote_unescaped_are_read(tmp_path):
    (tmp_path / "a.jsonl").write_bytes('{"text": "x\u2028y\x85z"}\n\n{"text": "é"}\n'.encode())
    assert read_rows(tmp_path / "a.jsonl") == [{"text": "x\u2028y\x85z"}, {"text": "é"}]


@settings(deadline=None, database=None)
@given(st.lists(st.dictionaries(st.text(st.characters()), st.text(st.characters()), max_size=3), max_size=5))
def test_any_text_comes_back(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("rows") / "a.jsonl"
    write_rows(path, rows)
    assert read_rows(path) == rows
