import gzip
import json

import pyarrow as pa
import pytest
from pyarrow import parquet

from rlx.core.error import UserError
from rlx.world.bad_record import RecordError
from rlx.world.preference_file import PreferenceSource

ROWS = [
    {"prompt": "Sky?", "chosen": "Blue – of course.", "rejected": "Green."},
    {"prompt": "Sea?", "chosen": "Wet.", "rejected": "Dry."},
]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()


def source(path, split="train"):
    return PreferenceSource(str(path), subset=None, split=split, revision=None)


def written(path, content):
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", LINES),
        ("a.jsonl", b"\xef\xbb\xbf" + LINES),  # a byte-order mark, as some editors write it
        ("a.jsonl", LINES.replace(b"\n", b"\r\n")),
        ("a.ndjson", LINES),
        ("a.json", json.dumps(ROWS, indent=1).encode()),
        ("a.json", LINES),
        ("a.jsonl.gz", gzip.compress(LINES)),
        ("a.json.gz", gzip.compress(json.dumps(ROWS).encode())),
    ],
)
def test_every_json_form_gives_the_same_records(tmp_path, name, content):
    assert [r.fields for r in source(written(tmp_path / name, content)).records()] == ROWS


def test_parquet_gives_the_same_records_with_messages_as_dicts(tmp_path):
    rows = [
        {"chosen": [{"role": "user", "content": "Sky?"}], "n": 1},
        {"chosen": [{"role": "user", "content": "Sea?"}], "n": 2},
    ]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    found = list(source(tmp_path / "a.parquet").records())
    assert [r.fields for r in found] == rows
    assert [r.place for r in found] == [f"{tmp_path}/a.parquet, record 1", f"{tmp_path}/a.parquet, record 2"]


def test_a_folder_is_read_as_a_dataset_with_splits(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "train.jsonl").write_bytes(LINES)
    found = list(source(folder).records())
    assert [r.fields for r in found] == ROWS and found[1].place == f"{folder}[train], record 2"
    with pytest.raises(UserError) as caught:
        list(source(folder, split="test").records())
    assert str(caught.value) == (
        f"{folder}: cannot load this dataset (world.subset=None, world.split=test, world.revision=None): "
        "Unknown split \"test\". Should be one of ['train']."
    )


def test_places_count_lines_also_over_empty_ones(tmp_path):
    path = written(tmp_path / "a.jsonl", LINES.replace(b"\n", b"\n\n"))
    assert [r.place for r in source(path).records()] == [f"{path}:1", f"{path}:3"]


@pytest.mark.parametrize(
    ("line", "reason", "detail"),
    [
        (b'{"prompt": "a"', "not JSON", "not JSON: Expecting ',' delimiter at column 15"),
        (b"hello", "not JSON", "not JSON: Expecting value at column 1"),
        (b'["a"]', "not an object", "a list where an object with fields is needed"),
        (b'"a"', "not an object", "a text where an object with fields is needed"),
        (b'{"prompt": "\xff"}', "not UTF-8", "not UTF-8: byte 0xff at column 13"),
        (b'{"a": 1, "a": 2}', "a field twice", "field 'a' occurs twice in one object"),
    ],
)
def test_a_line_that_cannot_be_read_is_one_bad_record_among_good_ones(tmp_path, line, reason, detail):
    path = written(tmp_path / "a.jsonl", LINES + line + b"\n" + LINES)
    found = list(source(path).records())
    fault = found[2].fields
    assert isinstance(fault, RecordError) and (fault.reason, fault.detail) == (reason, detail)
    assert found[2].place == f"{path}:3" and [r.fields for r in (found[0], found[4])] == [ROWS[0], ROWS[1]]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.csv",
            b"prompt,chosen,rejected",
            "{path}: this kind of file is not read; give a file (.jsonl, .json, "
            "either with .gz, .parquet), a folder of them, or a dataset on the Hub (owner/name)",
        ),
        ("a.json", b'[{"a": 1},\n {"b": 2]', "{path}:2: not JSON: Expecting ',' delimiter at column 9"),
        ("a.json", b'[\n"\xff"]', "{path}:2: not UTF-8: byte 0xff; save the file as UTF-8"),
        (
            "a.jsonl.gz",
            gzip.compress(LINES * 50)[:-20],
            "{path}: the gzip stream is cut off or damaged "
            "(Compressed file ended before the end-of-stream marker was reached); fetch the file again",
        ),
        ("a.jsonl.gz", LINES, "{path}: not a gzip file (Not a gzipped file (b'{{\"')); rename it or fetch it again"),
        (
            "a.parquet",
            b"PAR1 no footer",
            "{path}: not a whole Parquet file: Parquet magic bytes not found in footer. "
            "Either the file is corrupted or this is not a parquet file.",
        ),
    ],
)
def test_a_file_that_cannot_be_read_as_a_whole_is_named(tmp_path, name, content, message):
    path = written(tmp_path / name, content)
    with pytest.raises(UserError) as caught:
        list(source(path).records())
    assert str(caught.value) == message.format(path=path)


def test_a_missing_file_names_its_nearest_neighbour(tmp_path):
    written(tmp_path / "pairs.jsonl", LINES)
    with pytest.raises(UserError) as caught:
        list(source(tmp_path / "pair.jsonl").records())
    assert str(caught.value) == f"{tmp_path}/pair.jsonl: no such file; did you mean {tmp_path}/pairs.jsonl?"


def test_a_dataset_that_cannot_be_fetched_says_so_in_one_line(monkeypatch):
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"^nobody/nothing: cannot load this dataset \(.*\): .+$"):
        list(source("nobody/nothing").records())


def test_the_content_hash_is_that_of_the_bytes(tmp_path):
    path = written(tmp_path / "a.jsonl", b"")
    assert source(path).content_hash() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
