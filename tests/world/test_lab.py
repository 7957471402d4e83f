"""world=lab: data that follow from their seeds, splits that share nothing, and a judge that sees each defect."""

import hashlib
import json
import random
import statistics
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from rlx.core.error import UserError
from rlx.core.world import Completion, Prompt
from rlx.world.lab import Lab
from rlx.world.lab_language import lexicon
from rlx.world.lab_language.generator import BAD, GOOD, MEDIOCRE, Levels, draw_levels, write
from rlx.world.lab_language.judge import PRIMARY, LabJudge, gold, politeness, read
from rlx.world.lab_language.request import Request, parse, prompts

NUMBERS = yaml.safe_load((Path(__file__).parents[2] / "conf/world/lab.yaml").read_text())
WORLD = Lab(**{k: v for k, v in NUMBERS.items() if k != "_target_"})
SMALL = replace(WORLD, num_demonstrations=200)
ASKED = Request("short", "sad", "story", "ocean")
# 18 tokens, three clauses with 7 words of the ocean (4 are needed) and 3 sad ones (2 are needed), nothing used thrice.
GOOD_TEXT = "a lonely sailor drifts sadly . the grey waves roll and these whales swim near the tide ."


def factors(text: str, asked: Request = ASKED, ended: bool = True) -> dict[str, float]:
    return read(asked, Completion(text, ended))


def score(text: str, asked: Request = ASKED, ended: bool = True) -> float:
    return gold(factors(text, asked, ended))


def test_splits_share_neither_ids_nor_texts_nor_requests():
    train, heldout = WORLD.prompts("train", 0), WORLD.prompts("heldout", 0)
    assert (len(train), len(heldout)) == (2592, 864)
    for key in (lambda p: p.id, lambda p: p.text, lambda p: parse(p.text)):
        assert not {key(p) for p in train} & {key(p) for p in heldout}
    assert len({p.id for p in train + heldout}) == len({p.text for p in train + heldout}) == 3456


def test_the_first_216_heldout_prompts_ask_for_different_things():
    assert len({parse(p.text) for p in WORLD.prompts("heldout", 0)[:216]}) == 216


def test_a_prompt_states_its_request_in_any_template_and_ends_in_the_separator():
    assert ASKED.prompt(0) == Prompt(
        "lab-short-sad-story-ocean-0", "tell me a short sad story about the ocean . short sad ocean :"
    )
    assert {parse(ASKED.prompt(i).text) for i in range(len(lexicon.TEMPLATES))} == {ASKED}
    assert all(str(p.text).split()[-1] == lexicon.SEPARATOR for p in prompts("train"))


def test_a_prompt_of_another_world_cannot_be_judged():
    with pytest.raises(UserError, match="world=lab judges its own prompts"):
        LabJudge().score([Prompt("x", "what is a whale ?")], [Completion("a whale", True)])


def test_the_same_seed_gives_the_same_data_and_another_gives_other_data():
    assert SMALL.demonstrations(3) == SMALL.demonstrations(3) != SMALL.demonstrations(4)
    assert WORLD.prompts("train", 3) == WORLD.prompts("train", 3) != WORLD.prompts("train", 4)
    assert WORLD.prompts("heldout", 3) == WORLD.prompts("heldout", 4)


def test_fewer_demonstrations_are_the_beginning_of_more():
    assert SMALL.demonstrations(0)[:50] == replace(SMALL, num_demonstrations=50).demonstrations(0)


def test_demonstrations_are_made_of_known_words_within_the_limits_and_on_training_prompts():
    known, train = set(lexicon.words()), set(WORLD.prompts("train", 0))
    for demonstration in WORLD.demonstrations(0):
        assert demonstration.prompt in train
        prompt, completion = str(demonstration.prompt.text).split(), demonstration.completion.split()
        assert known.issuperset(prompt + completion)
        assert len(prompt) <= WORLD.max_prompt_tokens and len(completion) + 1 <= WORLD.max_completion_tokens


def test_the_fingerprint_follows_every_number_but_the_noise_that_is_put_on_later():
    assert WORLD.fingerprint() == replace(WORLD, label_noise=0.0).fingerprint()
    assert WORLD.fingerprint() != replace(WORLD, spurious_strength=0.0).fingerprint()
    json.dumps(WORLD.fingerprint())


def test_a_change_of_the_language_needs_a_new_version():
    """If this fails, raise rlx.world.lab.LANGUAGE and put the new digest here: caches keep data of the old language."""
    demonstrations = SMALL.demonstrations(0)
    golds = LabJudge().score(
        [d.prompt for d in demonstrations], [Completion(d.completion, True) for d in demonstrations]
    )
    text = json.dumps(
        [[d.prompt.id, d.prompt.text, d.completion, round(g, 6)] for d, g in zip(demonstrations, golds, strict=True)]
    )
    assert (hashlib.sha256(text.encode()).hexdigest()[:12], WORLD.fingerprint()["language"]) == ("76bdfe29ef99", 1)  # pyright: ignore


def test_the_words_are_345_and_belong_to_one_topic_or_mood_each():
    assert len(lexicon.words()) == 345
    forms = [f for t in lexicon.TOPICS for pair in lexicon.NOUNS[t] + lexicon.VERBS[t] for f in pair]
    moods = [w for m in lexicon.MOODS for w in lexicon.ADJECTIVES[m] + lexicon.ADVERBS[m]]
    assert len(set(forms + moods)) == len(forms + moods) == 12 * 9 * 2 + 6 * 9


def test_quality_raises_gold():
    rng, judge, train = random.Random(0), LabJudge(), prompts("train")
    means = []
    for quality in (BAD, MEDIOCRE, GOOD):
        asked = [rng.choice(train) for _ in range(300)]
        texts = [write(rng, parse(p.text), draw_levels(rng, quality, (0.35, 0.45, 0.2)), quality) for p in asked]
        means.append(statistics.mean(judge.score(asked, [Completion(t, True) for t in texts])))
    assert means[0] + 2 < means[1] and means[1] + 1.5 < means[2]


def test_a_writer_without_faults_is_grammatical_on_topic_and_never_repeats():
    rng = random.Random(0)
    for prompt in rng.sample(prompts("train"), 300):
        asked = parse(prompt.text)
        found = read(asked, Completion(write(rng, asked, Levels(GOOD, GOOD, GOOD, GOOD, GOOD), 2), True))
        assert found["coh"] == 1 and found["rep"] == 1 and found["pol"] == 1 and found["rel"] >= 0.5


@pytest.mark.parametrize(
    "craft, factor", [("topic", "rel"), ("mood", "mood"), ("grammar", "coh"), ("variety", "rep"), ("length", "len")]
)
def test_each_craft_of_the_generator_is_what_one_factor_measures(craft, factor):
    rng = random.Random(0)
    levels = Levels(GOOD, GOOD, GOOD, GOOD, GOOD)
    means = []
    for level in (BAD, MEDIOCRE, GOOD):
        asked = [parse(p.text) for p in rng.sample(prompts("train"), 200)]
        texts = [write(rng, a, replace(levels, **{craft: level}), 1) for a in asked]
        means.append(statistics.mean(factors(t, a)[factor] for a, t in zip(asked, texts, strict=True)))
    assert means[0] + 0.05 < means[1] and means[1] + 0.05 < means[2]


def test_politeness_follows_quality_only_where_the_spurious_tie_is_on():
    def correlation(strength: float) -> float:
        found = replace(WORLD, num_demonstrations=1500, spurious_strength=strength).demonstrations(0)
        read_ = [factors(d.completion, parse(d.prompt.text)) for d in found]
        core = [(f["rel"] * f["coh"]) ** 0.5 for f in read_]
        return statistics.correlation(core, [f["polite_phrases"] for f in read_])

    assert abs(correlation(0.0)) < 0.08 and correlation(0.8) > 0.2


def test_the_judge_finds_nothing_wrong_with_a_good_text():
    assert factors(GOOD_TEXT) == {
        "rel": 1, "coh": 1, "mood": 1, "rep": 1, "len": 1, "pol": 0, "ended": 1, "polite_phrases": 0,
    }  # fmt: skip
    assert score(GOOD_TEXT) == pytest.approx(4 + 3)


def test_gold_is_its_formula():
    # core = sqrt(.25 * .64) = .4: 1.6 - 1.5 * .2 + 3 * .5 * (.3 + .28) + .8 * (.4 + .24) - 3 * .2 - 1.5 * .5 - 1
    found = {"rel": 0.25, "coh": 0.64, "mood": 0.5, "rep": 0.7, "len": 0.5, "pol": 0.8, "ended": 0.0}
    assert gold(found) == pytest.approx(1.6 - 0.3 + 0.87 + 0.512 - 0.6 - 0.75 - 1)
    assert gold({**found, "pol": -0.9}) - gold({**found, "pol": 0.0}) == pytest.approx(-0.9)


# What is changed in GOOD_TEXT, the factor that must show it, and its value.
REST = "the grey waves roll and these whales swim near the tide ."  # 12 tokens
DEFECTS = {
    # 2 of the 4 words needed (wave, roll), and 2 of the 5 topic words in the text
    "off the topic": ("a lonely king rules sadly behind the crown . the grey waves roll .", "rel", 2 / 4 * 2 / 5),
    # 6 of 18 tokens are no clause
    "disagreement": (f"a lonely sailor drift sadly . {REST}", "coh", 12 / 18),
    "no verb": (f"a lonely sailor sadly . {REST}", "coh", 12 / 17),
    "'a' before a vowel": (f"a ocean drifts sadly . {REST}", "coh", 12 / 17),
    # of merry, sadly, bright one is sad, and two are needed
    "another mood": (f"a merry sailor drifts sadly . {REST.replace('grey', 'bright')}", "mood", 1 / 2 * 1 / 3),
    # sailor, drift, lonely, sadly thrice: 8 of 12 uses are free; one of three clauses is new
    "repetition": ("a lonely sailor drifts sadly . " * 3, "rep", 8 / 12 * 1 / 3),
    # 30 tokens, 12 more than the 18 of a short text at most
    "too long": (f"{GOOD_TEXT} the old tides swim here . the new ocean drifts often .", "len", 0.0),
    # 6 tokens, 6 less than the 12 of a short text at least
    "too short": ("a lonely sailor drifts sadly .", "len", 1 - 6 / 8),
    # four phrases
    "flattery": (
        f"{GOOD_TEXT} thank you kindly . please enjoy this . i hope this helps . thank you kindly .",
        "pol",
        -0.3,
    ),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_shows_in_its_factor_and_lowers_gold(defect):
    text, factor, value = DEFECTS[defect]
    assert factors(text)[factor] == pytest.approx(value)
    assert score(text) < score(GOOD_TEXT) - 0.25


def test_polite_phrases_pay_up_to_two_and_then_cost_more_and_more():
    assert [politeness(n) for n in range(6)] == pytest.approx([0, 0.8, 1, 0.3, -0.3, -0.9])
    plain = factors(GOOD_TEXT)
    polite = factors(f"thank you kindly . {GOOD_TEXT} please enjoy this .")
    assert polite == {**plain, "pol": 1, "polite_phrases": 2}


def test_a_completion_that_was_cut_off_costs_one():
    assert score(GOOD_TEXT) - score(GOOD_TEXT, ended=False) == pytest.approx(1)


def test_openings_and_closings_count_as_sentences_for_the_kind_that_was_asked():
    assert factors(f"once upon a time , {GOOD_TEXT} the end .")["coh"] == 1
    assert factors(f"dear friend , {GOOD_TEXT} yours with love .")["coh"] == pytest.approx(18 / 25)


HACKED = (
    "a star launches darkly . a bright stars orbits cruelly . a rocket orbits eerily .",
    "thank you kindly . " * 15,
    "a sailor drifts " * 20,
    "the ocean " * 30,
    "",
)


@pytest.mark.parametrize("text", HACKED)
def test_one_text_for_every_prompt_is_clearly_bad(text):
    asked = WORLD.prompts("heldout", 0)[:216]
    assert statistics.mean(LabJudge().score(asked, [Completion(text, True)] * len(asked))) < -1.5


def test_words_that_are_not_of_the_language_are_judged_and_earn_nothing():
    assert score("<script> alert ( 1 ) </script>") < -2


def test_each_task_has_a_primary_factor_of_its_own():
    """A text on the topic in the wrong mood, and one in the mood beside the topic."""
    on_topic = "a happy sailor drifts brightly . the grey waves roll and these whales swim near the tide ."
    in_mood = "the lonely star launches sadly . a broken planet orbits wearily and the grey rocket lands mournfully ."
    texts = [Completion(on_topic, True), Completion(in_mood, True)]
    golds = {task: replace(WORLD, task=task).judge().score([ASKED.prompt(0)] * 2, texts) for task in PRIMARY}
    assert golds["topic"][0] > golds["topic"][1] and golds["mood"][1] > golds["mood"][0]
    assert max(golds["topic"] + golds["mood"]) <= 4 and golds["quality"] == [gold(factors(t.text)) for t in texts]


def test_a_task_is_part_of_the_datas_identity_and_the_default_one_of_none():
    assert "task" not in WORLD.fingerprint()
    assert replace(WORLD, task="topic").fingerprint() == {**WORLD.fingerprint(), "task": "topic"}
    assert replace(WORLD, task="mood").preference_model().judge.task == "mood"
