import dataclasses

from rlx.reporting.judges import table
from rlx.reporting.table import artefacts, costs, duration, left_out, percent, provenance
from rlx.run.columns import Columns
from rlx.run.record import load_record
from tests.synthetic_run import write_run


def test_costs_are_sorted_and_add_up(tmp_path):
    rows = costs(load_record(write_run(tmp_path)))
    assert [name for name, _, _ in rows] == ["policy", "members", "evaluation", "report", "total"]
    assert rows[-1] == ("total", "5 min 05 s", 100.0)


def test_durations_are_for_people():
    assert [duration(seconds) for seconds in (3.21, 128.4, 7500)] == ["3.2 s", "2 min 08 s", "2 h 05 min"]


def test_what_was_left_out_is_counted_the_unreadable_lines_included(tmp_path):
    write_run(tmp_path)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 81, "spl')
    lines = left_out(load_record(tmp_path))
    assert "prompts left out as too long: 3" in lines
    assert "lines of metrics.jsonl that cannot be read, and are not in this report: 1" in lines
    assert any(line.startswith("χ² is an underestimate: in up to 50 % ") for line in lines)


def test_rollouts_in_which_the_penalty_hides_the_proxy_are_counted(tmp_path):
    record = load_record(write_run(tmp_path, num_steps=4))
    shares = [0.2, 0.91, 0.99, 0.9]
    rows = Columns([{"step": i, "objective/penalty_share": share} for i, share in enumerate(shares, 1)])
    said = "the penalty made more than 90 % of the reward's variance in 2 of 4 rollouts"
    assert any(line.startswith(said) for line in left_out(dataclasses.replace(record, train=rows)))
    assert not any("the reward's variance" in line for line in left_out(record))


def test_a_share_that_is_not_none_is_not_called_zero():
    assert (percent(0.001), percent(0.5)) == ("less than 1 %", "50 %")


def test_members_show_the_columns_that_they_have(tmp_path):
    record = load_record(write_run(tmp_path, num_members=2))
    headings, rows = table(record)
    assert headings[:2] == ["judge", "held-out pairs"] and len(headings) == len(rows[0])
    assert rows[1][1] == "67.5 %"
    bare = dataclasses.replace(record, members=[{"address": "RewardMember-0"}])
    assert table(bare) == (["judge"], [["member 0"]])


def test_addresses_are_listed_once(tmp_path):
    record = load_record(write_run(tmp_path, num_members=1))
    assert [name for name, _ in artefacts(record)] == ["sft policy 0", "pairs", "reward member 0"]


def test_a_run_without_provenance_still_has_its_seed(tmp_path):
    write_run(tmp_path)
    (tmp_path / "provenance.json").unlink()
    assert ("seed, data seed", "0, 0") in provenance(load_record(tmp_path))
