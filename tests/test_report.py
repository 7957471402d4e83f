import json
import re
import subprocess
import sys
import tracemalloc
from html.parser import HTMLParser

import pytest

import rlx.report
from rlx.core.error import UserError
from rlx.reporting.figure.gallery import FIGURES
from rlx.reporting.figure.thinned import MOST
from rlx.run.record import load_record
from tests.synthetic_run import NASTY, write_long_run, write_run

UNFINISHED = {"state": "interrupted", "done_steps": 30, "factors": False, "num_members": 1, "num_samples": 6}


class Page(HTMLParser):
    """The tags, their attributes, and the text between them."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source, self.tags, self.text, self.attributes = source, [], "", []
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text += data


def page_of(run_dir) -> Page:
    assert rlx.report.run(run_dir) == 0
    return Page((run_dir / "report.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Page:
    return page_of(write_run(tmp_path_factory.mktemp("finished")))


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory) -> Page:
    return page_of(write_run(tmp_path_factory.mktemp("unfinished"), **UNFINISHED))


def test_the_page_needs_no_file_and_no_script_beside_it(finished):
    assert "script" not in finished.tags and "link" not in finished.tags
    sources = [value for name, value in finished.attributes if name in ("src", "href")]
    assert len(sources) == 7 and all(source.startswith("data:image/png;base64,") for source in sources)
    assert not re.search(r"https?://", re.sub(r"base64,[\w+/=]+", "", finished.source))


def test_the_page_tells_what_was_run_what_it_showed_and_how_to_do_it_again(finished):
    for words in (
        "PPO against 5 reward models averaged into one (WARM)",
        "Worse than the start, and over-optimised",
        "It wins 21 % [15, 29] of prompts",
        "rlx train reward=warm reference=soup regularizer.beta=0.05",
        "0123456789abcdef0123456789abcdef01234567 with uncommitted changes",
        "transformers 5.23.0",
        "RewardMember-0000000000000004",
        "prompts left out as too long: 3",
        "5 min 05 s",
    ):
        assert words in finished.text, words
    assert finished.tags.count("article") == 5


def test_what_models_and_users_wrote_is_shown_and_never_run(unfinished):
    # with six samples, five are shown: all of the nasty ones but one
    shown = [text for text in NASTY if text and re.sub(r"\s", "", text) in re.sub(r"\s", "", unfinished.text)]
    assert len(shown) >= 4
    assert "<script>alert" not in unfinished.source and "onerror=alert(1)>" not in unfinished.source
    assert "{{ 7 * 7 }}" in unfinished.text and "<and> were left out" in unfinished.text
    assert not any(name.startswith("on") for name, _ in unfinished.attributes)


def test_an_unfinished_run_says_so_and_names_the_figures_that_it_has_not(unfinished):
    assert "This run is not finished: 30 of 80 steps" in unfinished.text
    assert "stopped by SIGINT" in unfinished.text
    assert "So far (step 30 of 80)" in unfinished.text
    assert "a judge that names the factors of its score" in unfinished.text
    assert unfinished.tags.count("img") == 5


def test_a_run_that_failed_before_its_first_step_has_a_page(tmp_path):
    page = page_of(write_run(tmp_path, state="failed", done_steps=0))
    assert "UserError: the reward of step 41 is NaN" in page.text
    assert "Nothing can be said yet" in page.text
    assert "img" not in page.tags


def test_a_bare_run_directory_has_a_page(tmp_path):
    (tmp_path / "config.yaml").write_text("seed: 0\n")
    page = page_of(tmp_path)
    assert "Nothing can be said yet" in page.text


def test_the_page_is_the_same_each_time(tmp_path):
    write_run(tmp_path, state="failed", done_steps=0)
    assert page_of(tmp_path).source == page_of(tmp_path).source


def test_what_is_not_a_run_directory_is_refused_by_name(tmp_path):
    with pytest.raises(UserError, match=r"nowhere is not a run directory: it has no config\.yaml"):
        rlx.report.run(tmp_path / "nowhere")


def test_a_damaged_file_is_refused_by_name(tmp_path):
    write_run(tmp_path, state="failed", done_steps=0)
    (tmp_path / "summary.json").write_text("{")
    with pytest.raises(UserError, match=r"summary\.json is not JSON"):
        rlx.report.run(tmp_path)


def test_a_last_line_that_a_kill_cut_off_is_counted_and_passed_over(tmp_path):
    write_run(tmp_path, state="failed", done_steps=0)
    with (tmp_path / "samples.jsonl").open("a") as file:
        file.write(json.dumps({"step": 10})[:5])
    assert "lines of samples.jsonl that cannot be read, and are not in this report: 1" in page_of(tmp_path).text


@pytest.mark.slow
def test_a_run_of_a_hundred_thousand_rows_takes_little_memory_and_draws_few_points(tmp_path):
    write_long_run(tmp_path, 100_000)
    tracemalloc.start()
    record = load_record(tmp_path)
    list(record.series("heldout", "gold/score"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(record.series("train", "lr")[0]) == 90_909 and len(record.heldout) == 9_091
    # 19 numbers of 8 bytes a training row, 15 MB in all, and as much again for 9,091 held-out rows as objects.
    assert peak < 60e6, f"{peak / 1e6:.0f} MB"
    drawn = {module.TITLE: module.draw(record) for module in FIGURES}
    points = [
        max((len(line.get_xdata()) for axis in figure.axes for line in axis.lines), default=0)
        for figure, _ in (found for found in drawn.values() if found is not None)
    ]
    assert len(points) == 7 and all(2 < number <= MOST for number in points), dict(zip(drawn, points, strict=False))


def test_a_report_needs_no_torch():
    code = "import sys, rlx.report; sys.exit('torch' in sys.modules)"  # it would take 170 MB and two seconds
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
