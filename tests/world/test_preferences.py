import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from omegaconf import OmegaConf
from pyarrow import parquet

from rlx.artefact.store import canonical
from rlx.core.error import UserError
from rlx.world.preferences import Preferences
from rlx.world.split import prompt_key

YAML = Path(__file__).parents[2] / "conf/world/preferences.yaml"
LEAVE_OUT = ". Mend the data, or leave such records out and have them counted with world.on_bad_record=leave_out"


def world(path, **settings):
    """The choice as shipped, with `settings` and without minimum sizes unless asked for."""
    defaults = OmegaConf.to_container(OmegaConf.load(YAML))
    numbers = {k: v for k, v in defaults.items() if k != "_target_"} | {"min_pairs": 1, "min_heldout_prompts": 1}
    return Preferences(**{**numbers, "path": None if path is None else str(path), **settings})


def rows(num_prompts=100, pairs_each=2, name="question"):
    return [
        {"prompt": f"{name} {i}?", "chosen": f"good {i} {j}", "rejected": f"bad {i} {j}"}
        for i in range(num_prompts)
        for j in range(pairs_each)
    ]


def written(path, records):
    path.write_text("".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in records))
    return path


def as_messages(row):
    return {
        "prompt": [{"role": "user", "content": row["prompt"]}],
        "chosen": [{"role": "assistant", "content": row["chosen"]}],
        "rejected": [{"role": "assistant", "content": row["rejected"]}],
    }


def implicit(row):
    start = f"\n\nHuman: {row['prompt']}\n\nAssistant: "
    return {"chosen": start + row["chosen"], "rejected": start + row["rejected"]}


def everything(world, seed=0):
    return {
        "pairs": world.pairs(seed),
        "gold": world.gold_pairs(seed),
        "heldout": world.heldout_pairs(seed),
        "demonstrations": world.demonstrations(seed),
        "prompts": (world.prompts("train", seed), world.prompts("heldout", seed)),
    }


def test_no_prompt_is_in_two_splits_not_even_written_otherwise(tmp_path):
    again = [{**row, "prompt": row["prompt"].upper().replace(" ", "\n"), "chosen": "other"} for row in rows()]
    data = world(written(tmp_path / "a.jsonl", rows() + again))
    keys = {
        "train": {prompt_key(p.prompt.text) for p in data.pairs(0)},
        "gold": {prompt_key(p.prompt.text) for p in data.gold_pairs(0)},
        "heldout": {prompt_key(p.text) for p in data.prompts("heldout", 0)},
        "sft": {prompt_key(d.prompt.text) for d in data.demonstrations(0)},
    }
    assert sum(map(len, keys.values())) == len(set().union(*keys.values())) == 100
    assert {prompt_key(p.text) for p in data.prompts("train", 0)} == keys["train"] | keys["sft"]
    assert len(data.prompts("train", 0)) == len(keys["train"] | keys["sft"])
    assert data.counts(0)["prompts that differ in white space or case only"] == 100


def test_no_pair_is_lost_between_the_splits(tmp_path):
    counts = world(written(tmp_path / "a.jsonl", rows())).counts(0)
    assert sum(counts[f"{share} pairs"] for share in ("heldout", "gold", "demonstration", "pair")) == 200
    assert sum(counts[f"{share} prompts"] for share in ("heldout", "gold", "demonstration", "pair")) == 100


def test_the_same_numbers_give_the_same_world_whatever_the_order_of_the_file(tmp_path):
    one = world(written(tmp_path / "a.jsonl", rows()))
    other = world(written(tmp_path / "b.jsonl", rows()[::-1]))
    assert everything(one) == everything(other) == everything(world(one.path))


def test_another_data_seed_divides_the_prompts_anew(tmp_path):
    data = world(written(tmp_path / "a.jsonl", rows()))
    assert {p.id for p in data.prompts("heldout", 0)} != {p.id for p in data.prompts("heldout", 1)}


def test_held_out_prompts_stay_held_out_when_data_are_added_or_other_shares_change(tmp_path):
    few, many = written(tmp_path / "a.jsonl", rows(100)), written(tmp_path / "b.jsonl", rows(150))
    held_out = {p.id for p in world(few).prompts("heldout", 0)}
    assert held_out < {p.id for p in world(many).prompts("heldout", 0)}
    for change in ({"gold_share": 0.1}, {"prompt_template": "Q: {prompt}\nA: "}, {"as_chat": True}):
        assert held_out == {p.id for p in world(few, **change).prompts("heldout", 0)}


@pytest.mark.parametrize("form", [as_messages, implicit])
def test_every_form_divides_the_same_pairs(tmp_path, form):
    path = written(tmp_path / "a.jsonl", [form(row) for row in rows()])
    pairs = world(path).pairs(0) + world(path).gold_pairs(0) + world(path).heldout_pairs(0)
    assert len(pairs) > 150
    if form is as_messages:
        assert pairs[0].prompt.text[0][0] == "user" and pairs[0].chosen.startswith("good")
    else:
        assert pairs[0].prompt.text.endswith("\n\nAssistant:") and pairs[0].chosen.startswith(" good")


def test_parquet_and_json_lines_are_one_world(tmp_path):
    parquet.write_table(pa.Table.from_pylist([as_messages(row) for row in rows()]), tmp_path / "a.parquet")
    lines = world(written(tmp_path / "a.jsonl", [as_messages(row) for row in rows()]))
    assert everything(world(tmp_path / "a.parquet")) == everything(lines)


def test_columns_may_have_other_names(tmp_path):
    renamed = [{"ask": r["prompt"], "better": r["chosen"], "worse": r["rejected"]} for r in rows()]
    path = written(tmp_path / "b.jsonl", renamed)
    columns = {"prompt_column": "ask", "chosen_column": "better", "rejected_column": "worse"}
    assert everything(world(path, **columns)) == everything(world(written(tmp_path / "a.jsonl", rows())))
    path = written(tmp_path / "c.jsonl", [*renamed, {**renamed[0], "worse": ""}])
    assert said(world(path, **columns)) == f"{path}:201: 'worse' is empty{LEAVE_OUT}"


def test_label_noise_is_left_to_those_who_train(tmp_path):
    path = written(tmp_path / "a.jsonl", rows())
    assert all(p.chosen.startswith("good") and not p.flipped for p in world(path, label_noise=0.35).pairs(0))
    assert world(path, label_noise=0.35).fingerprint() == world(path).fingerprint()


def test_fewer_pairs_are_a_part_of_more(tmp_path):
    path = written(tmp_path / "a.jsonl", rows())
    pairs = world(path).pairs(0)
    assert world(path, max_pairs=20).to_train_on("proxies", pairs) == pairs[:20]
    assert world(path, max_gold_pairs=5).to_train_on("gold", pairs) == pairs[:5]
    few, demonstrations = world(path, max_demonstrations=5), world(path).demonstrations(0)
    assert few.demonstrations(0) == demonstrations  # nobody has a tokenizer yet
    assert few.to_train_on("demonstrations", demonstrations[1::2]) == demonstrations[1::2][:5]
    assert few.to_train_on("demonstrations", demonstrations[:3]) == demonstrations[:3]  # min_pairs is of pairs


def test_demonstrations_are_what_was_chosen_once_each(tmp_path):
    more = [{**row, "rejected": "worse"} for row in rows()]
    data = world(written(tmp_path / "a.jsonl", rows() + more))
    found = [(d.prompt.text, d.completion) for d in data.demonstrations(0)]
    assert len(found) == len(set(found)) > 0 and all(text.startswith("good") for _, text in found)
    assert not {d.prompt.id for d in data.demonstrations(0)} & {p.prompt.id for p in data.pairs(0)}


def test_without_a_share_of_their_own_demonstrations_are_those_of_the_proxies_prompts(tmp_path):
    data = world(written(tmp_path / "a.jsonl", rows()), demonstration_share=None)
    assert {d.prompt.id for d in data.demonstrations(0)} == {p.prompt.id for p in data.pairs(0)}


def test_own_demonstrations_never_have_a_held_out_or_gold_prompt(tmp_path):
    own = [{"prompt": row["prompt"], "completion": "mine"} for row in rows(pairs_each=1)]
    data = world(written(tmp_path / "a.jsonl", rows()), demonstrations_path=str(written(tmp_path / "sft.jsonl", own)))
    found = {d.prompt.id for d in data.demonstrations(0)}
    assert found == {p.prompt.id for p in data.pairs(0)} and data.demonstrations(0)[0].completion == "mine"
    assert data.counts(0)["demonstrations on held-out or gold prompts, left out"] == 100 - len(found)


def test_demonstrations_may_be_whole_conversations(tmp_path):
    own = [{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}]
    data = world(
        written(tmp_path / "a.jsonl", map(as_messages, rows())),
        demonstrations_path=str(written(tmp_path / "sft.jsonl", own)),
    )
    assert [(d.prompt.text, d.completion) for d in data.demonstrations(0)] == [((("user", "Hi"),), "Hello")]


def test_a_held_out_file_of_its_own_is_all_held_out(tmp_path):
    held_out = written(tmp_path / "h.jsonl", rows(10, name="exam"))
    data = world(written(tmp_path / "a.jsonl", rows()), heldout_path=str(held_out))
    assert {p.text for p in data.prompts("heldout", 0)} == {f"exam {i}?" for i in range(10)}
    assert data.counts(0)["heldout pairs"] == 20 and data.counts(0)["data records"] == 200


def test_a_prompt_in_both_files_is_refused_or_leaves_the_training_side(tmp_path):
    path = written(tmp_path / "a.jsonl", rows())
    held_out = written(tmp_path / "h.jsonl", [*rows(10, name="exam"), {**rows()[6], "prompt": "Question  3?"}])
    assert said(world(path, heldout_path=str(held_out))) == (
        f"{path}:7: its 'prompt' is also held out, by {held_out}:21 and 1 more bad record ({path}:8){LEAVE_OUT}"
    )
    data = world(path, heldout_path=str(held_out), on_bad_record="leave_out")
    assert data.left_out() == {"prompt is held out": 2}
    assert "question 3?" not in {prompt_key(p.text) for p in data.prompts("train", 0)}


def test_a_given_gold_needs_no_prompts_of_its_own(tmp_path):
    data = world(written(tmp_path / "a.jsonl", rows()), gold="a/checkpoint")
    assert data.gold_pairs(0) is None and data.judge() is None
    assert data.counts(0)["gold prompts"] == 0


def test_a_template_surrounds_plain_prompts_and_a_chat_makes_them_messages(tmp_path):
    path = written(tmp_path / "a.jsonl", rows())
    assert world(path, prompt_template="Q: {prompt}\nA: ").pairs(0)[0].prompt.text.startswith("Q: question ")
    typed = world(path, prompt_template="Q: {prompt}\\nA: ")  # as a command line hands it over
    assert everything(typed) == everything(world(path, prompt_template="Q: {prompt}\nA: "))
    ((role, content),) = world(path, as_chat=True).prompts("heldout", 0)[0].text
    assert role == "user" and content.startswith("question ")


def test_duplicate_pairs_are_left_out_and_counted_or_kept(tmp_path):
    path = written(tmp_path / "a.jsonl", rows() + rows()[:7])
    assert world(path).left_out() == {"duplicate pair": 7}
    kept = world(path, duplicate_pairs="keep")
    assert kept.left_out() == {} and kept.counts(0)["duplicate pairs"] == 7
    shares = ("heldout", "gold", "demonstration", "pair")
    assert sum(kept.counts(0)[f"{share} pairs"] for share in shares) == 207


def test_contradictions_are_counted_not_resolved(tmp_path):
    first = rows()[0]
    against = {**first, "chosen": first["rejected"], "rejected": first["chosen"]}
    counts = world(written(tmp_path / "a.jsonl", [*rows(), against])).counts(0)
    assert counts["pairs that another contradicts"] == 2


def test_pairs_that_differ_in_outer_white_space_are_counted_not_refused(tmp_path):
    alike = {**rows()[0], "rejected": rows()[0]["chosen"] + "\n"}
    data = world(written(tmp_path / "a.jsonl", [*rows(), alike]))
    assert data.counts(0)["pairs that differ in outer white space only"] == 1 and data.left_out() == {}


def test_the_fingerprint_is_the_content_not_the_path(tmp_path):
    one, other = written(tmp_path / "a.jsonl", rows()), written(tmp_path / "b.jsonl", rows())
    assert canonical(world(one)) == canonical(world(other))
    changed = written(tmp_path / "c.jsonl", rows()[:-1])
    prints = [world(one), world(changed), world(one, gold_share=0.2), world(one, gold="x"), world(one, as_chat=True)]
    assert len({json.dumps(w.fingerprint()) for w in prints}) == 5


def test_bad_records_are_left_out_by_reason_where_asked(tmp_path):
    bad = ["not json\n", {"prompt": "a", "chosen": "b"}, {**rows()[0], "chosen": ""}, {**rows()[0], "rejected": ""}]
    data = world(written(tmp_path / "a.jsonl", [*bad, *rows()]), on_bad_record="leave_out")
    assert data.left_out() == {"not JSON": 1, "no rejected": 1, "empty chosen": 1, "empty rejected": 1}
    assert data.counts(0)["data records"] == 204


def said(data):
    with pytest.raises(UserError) as caught:
        data.pairs(0)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([*rows(), "?\n"], "{path}:201: not JSON: Expecting value at column 1" + LEAVE_OUT),
        ([*rows(), "7\n"], "{path}:201: a number where an object with fields is needed" + LEAVE_OUT),
        ([*rows(), {"prompt": "a", "chosen": "b"}], "{path}:201: 'rejected' is missing or null" + LEAVE_OUT),
        (
            [*rows(), {**rows()[0], "rejected": ""}] * 2,
            "{path}:201: 'rejected' is empty and 1 more bad record ({path}:402)" + LEAVE_OUT,
        ),
        (
            [{**rows()[0], "prompt": " "}] * 7 + rows(),
            "{path}:1: 'prompt' is empty and 6 more bad records ({path}:2, {path}:3, {path}:4, {path}:5, ...)"
            + LEAVE_OUT,
        ),
        (
            [*rows(), as_messages(rows()[0])],
            "{path}:201: the fields are lists of messages, those before it texts" + LEAVE_OUT,
        ),
        (
            [{"question": "a", "chosen": "b", "rejected_response": "c"}],
            "{path}: no record has a field 'rejected'; found question, chosen, rejected_response; "
            "nearest: rejected_response (set world.rejected_column)",
        ),
        (
            [{"prompt": "a", "completion": "b", "label": True}],
            "{path}: no record has a field 'chosen', 'rejected'; found prompt, completion, label; "
            "these are single judgements (completion, label), but pairs are needed",
        ),
        ([], "{path}: holds no records; one JSON object a line is expected, or a list of them"),
        (["oops\n"], "{path}:1: not JSON: Expecting value at column 1. Mend the data"),
    ],
)
def test_bad_data_are_refused_in_one_line_with_file_line_and_field(tmp_path, records, message):
    path = written(tmp_path / "a.jsonl", records)
    assert said(world(path)) == message.format(path=path)


def test_the_largest_number_of_pairs_is_taken_from_those_within_the_length_limits(tmp_path):
    path = written(tmp_path / "a.jsonl", rows())
    few = world(path, max_pairs=5)
    assert few.pairs(0) == world(path).pairs(0)  # nobody has a tokenizer yet
    long_ones_gone = few.pairs(0)[1::2]
    assert few.to_train_on("proxies", long_ones_gone) == long_ones_gone[:5]


@pytest.mark.parametrize(("whose", "named"), [("proxies", "the proxies"), ("gold", "the gold model")])
def test_the_least_number_of_pairs_holds_for_what_the_length_limits_leave(tmp_path, whose, named):
    path = written(tmp_path / "a.jsonl", rows())
    asking = world(path, min_pairs=10)
    assert asking.to_train_on(whose, range(10)) == range(10)
    with pytest.raises(UserError, match=rf"only 9 pairs for {named} are within the length limits, .*min_pairs=10"):
        asking.to_train_on(whose, range(9))


def test_too_few_pairs_of_a_kind_say_what_to_change(tmp_path):
    path = written(tmp_path / "a.jsonl", rows(4))
    found = len(world(path, gold_share=0.0).pairs(0))
    assert said(world(path, gold_share=0.0, min_pairs=32)) == (
        f"{path}: only {found} pairs for the proxies of 8 records (0 left out), fewer than world.min_pairs=32; "
        "bring more data or make world.gold_share smaller"
    )
    with pytest.raises(UserError, match=r"only 0 pairs for the gold model .* make world\.gold_share larger$"):
        world(path, gold_share=0.0).gold_pairs(0)
    with pytest.raises(UserError, match=r"only 0 held-out prompts .* make world\.heldout_share larger$"):
        world(path, heldout_share=0.0).prompts("heldout", 0)


def test_a_check_finds_what_would_end_a_run_later_without_importing_torch(tmp_path):
    path = written(tmp_path / "a.jsonl", rows(40))
    with pytest.raises(UserError, match=r"pairs for the gold model .* fewer than world\.min_pairs=30"):
        world(path, gold_share=0.1, min_pairs=30).check(0)
    code = (
        "import sys, rlx.world.preferences; sys.exit(any(m in sys.modules for m in ('torch', 'datasets', 'pyarrow')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_path_says_what_may_be_given():
    assert said(world(None)) == (
        "world.path is not set: give a file (.jsonl, .json, either with .gz, .parquet), a folder of them, or a "
        "dataset on the Hub (owner/name)"
    )


def test_forms_for_plain_prompts_are_refused_for_messages(tmp_path):
    path = written(tmp_path / "a.jsonl", map(as_messages, rows()))
    assert said(world(path, as_chat=True)) == (
        f"world.as_chat=true is for plain prompts, but those of {path} are messages: take it away"
    )


def test_plain_pairs_and_conversational_demonstrations_do_not_mix(tmp_path):
    own = [{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}]
    data = world(written(tmp_path / "a.jsonl", rows()), demonstrations_path=str(written(tmp_path / "sft.jsonl", own)))
    assert said(data) == (
        "the files must all be plain or all conversational (data: texts, demonstrations: lists of messages)"
    )
