from rlx.reporting.sample import compare, place, plain, spans
from rlx.run.record import load_record
from tests.synthetic_run import write_run


def test_words_that_repeat_a_run_of_four_are_marked_and_nothing_is_lost():
    text = "a b c d  e a b c d f\n"
    parts = spans(text)
    assert "".join(part for part, _ in parts) == text
    assert parts == (("a b c d  e ", False), ("a b c d", True), (" f\n", False))


def test_the_bars_of_a_table_are_no_words_that_repeat():
    table = "| a | b |\n| - | - |\n| - | - |\n| c | d |"
    assert spans(table) == ((table, False),)
    assert spans("a | b c d - a b | c d !")[1] == ("a b | c d", True)


def test_a_text_without_repetition_is_one_span_and_an_empty_one_none():
    assert spans("a b c") == (("a b c", False),)
    assert spans("") == ()


def test_prompts_are_picked_by_rank_of_the_change_of_gold(tmp_path):
    record = load_record(write_run(tmp_path))
    shown = compare(record)
    changes = [(one.after.gold or 0) - (one.before.gold or 0) for one in shown]
    assert changes == sorted(changes) and len(shown) == 5
    before, after = record.samples_at(0), record.samples_at(80)
    everyone = sorted(after[pid]["gold"] - before[pid]["gold"] for pid in before)
    assert (changes[0], changes[-1]) == (everyone[0], everyone[-1])


def test_factors_that_changed_most_come_first(tmp_path):
    for one in compare(load_record(write_run(tmp_path))):
        moves = [abs(after - before) for _, before, after in one.factors]
        assert moves == sorted(moves, reverse=True) and len(moves) == 6


def test_fewer_samples_than_places_are_each_shown_once(tmp_path):
    assert len(compare(load_record(write_run(tmp_path, num_samples=3)))) == 3
    assert compare(load_record(write_run(tmp_path, done_steps=0))) == []


def test_a_lone_sample_is_called_so():
    assert place(0, 0) == "the only sample"


def test_messages_are_shown_with_their_roles():
    assert plain([["system", "be kind"], ["user", "hello"]]) == "system: be kind\nuser: hello"
    assert plain([{"role": "user", "content": "hello"}]) == plain([["user", "hello"]]) == "hello"
    assert plain([["assistant", "hello"]]) == "assistant: hello"
