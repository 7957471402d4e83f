import pytest
import torch
from made_of import made_of

from rlx.core.error import UserError
from rlx.core.world import Completion, Prompt
from rlx.model.lab import Lab
from rlx.reward.gold import Gold

TOKENIZER = Lab(sft_learning_rate=1e-3, reward_learning_rate=1e-3, policy_learning_rate=1e-4).tokenizer()
PROMPT = "tell me a short sad story about the ocean ."


class CountsWords:
    """One point a word, one more for an end, none for another prompt."""

    def score(self, prompts, completions):
        return [
            len(c.text.split()) + c.ended if p.text.startswith("tell me") else -9.0
            for p, c in zip(prompts, completions, strict=True)
        ]

    def factors(self, prompts, completions):
        return [{} for _ in completions]


def test_the_scorer_is_the_judge_on_texts_z_normalised_on_the_reference_set():
    reference = [Completion("a wave", True), Completion("a wave sings softly .", True)]  # 3 and 6: mean 4.5, sd 1.5
    scorer = Gold().scorer(made_of([], CountsWords(), TOKENIZER, ([Prompt("a", PROMPT)] * 2, reference)))
    assert scorer.raw_std == 1.5
    prompt = torch.tensor([TOKENIZER(PROMPT)["input_ids"]])
    ids = torch.tensor([[*TOKENIZER("a wave sings", add_special_tokens=False)["input_ids"], TOKENIZER.eos_token_id, 0]])
    mask = torch.tensor([[True, True, True, True, False]])
    scores = scorer.member_scores(prompt, torch.ones_like(prompt), ids, mask)
    assert scores.shape == (1, 1) and scores.item() == pytest.approx((4 - 4.5) / 1.5)
    cut = scorer.member_scores(prompt, torch.ones_like(prompt), ids[:, :3], mask[:, :3])
    assert cut.item() == pytest.approx((3 - 4.5) / 1.5)  # it did not end


def test_a_judge_without_an_opinion_is_refused():
    same = ([Prompt("a", PROMPT)] * 2, [Completion("a wave", True)] * 2)
    with pytest.raises(UserError, match="one score"):
        Gold().scorer(made_of([], CountsWords(), TOKENIZER, same))


def test_no_reward_model_is_asked_for():
    assert list(Gold().members) == []


def test_the_judge_sees_a_prompt_whose_template_closes_turns_with_the_end_of_sequence():
    class Keeps(CountsWords):
        def score(self, prompts, completions):
            self.prompts = [prompt.text for prompt in prompts]
            return [float(len(c.text)) for c in completions]

    judge = Keeps()
    reference = ([Prompt("a", PROMPT)] * 2, [Completion("a wave", True), Completion("a wave sings", True)])
    scorer = Gold().scorer(made_of([], judge, TOKENIZER, reference))
    first, second = (
        TOKENIZER(text, add_special_tokens=False)["input_ids"] for text in ("tell me", "about the ocean .")
    )
    ids = torch.tensor([[*first, TOKENIZER.eos_token_id, *second]])
    scorer.member_scores(ids, torch.ones_like(ids), ids[:, :1], torch.ones(1, 1))
    (seen,) = judge.prompts
    assert seen.startswith("tell me") and seen.endswith("about the ocean .") and TOKENIZER.eos_token in seen
