"""SuperHF: what it keeps, what its loss is, and what the engine makes of both."""

import re

import pytest
import torch
import yaml
from bandit import play
from transformers import LlamaForCausalLM

from rlx.command.compose import conf_dir
from rlx.core.rollout import Batch, PolicyOutput, ScoredRollout
from rlx.engine.forward import inputs_of, reference_logits
from rlx.engine.minibatch import minibatches
from rlx.model.actor_critic import with_critic
from rlx.optimizer.superhf import SuperHF, best, superhf_loss
from rlx.regularizer.chi2 import Chi2
from rlx.regularizer.kl import KL

KL_BETA = KL(beta=0.3, target=None, horizon=1e4)
CHI2 = Chi2(beta=0.3, root=False, max_log_ratio=10, floor=1e-4, target=None, horizon=1e4)
LENGTHS = ((5, 3), (1, 4), (2, 2), (4, 5))  # tokens of two kept completions for each of four prompts


def superhf(num_samples=4, num_kept=1, direction="forward", num_minibatches=1) -> SuperHF:
    return SuperHF(num_samples, num_kept, 1, num_minibatches, direction)


def scored(scores: list[list[float]]) -> ScoredRollout:
    """Completion i of prompt n consists of the tokens 10 n + i."""
    values = torch.tensor(scores)
    num, drawn = values.shape
    ids = (10 * torch.arange(num)[:, None] + torch.arange(drawn))[..., None].expand(-1, -1, 3)
    mask = (torch.arange(3) < 1 + torch.arange(drawn)[:, None] % 3).expand(num, -1, -1)
    return ScoredRollout(
        prompts=[], prompt_ids_NP=torch.zeros(num, 1), prompt_mask_NP=torch.ones(num, 1), ids_NGT=ids, mask_NGT=mask,
        ended_NG=mask[..., 0], logps_NGT=ids * 0.0, ref_logps_NGT=ids * 0.0, scores_NG=values, proxy_NG=values, raw_std=1.0,
        member_scores_MNG=values[None], values_NGT=None, preferences_NGG=None, seed=0,
    )  # fmt: skip


def test_the_best_is_the_argmax_and_of_equals_the_one_drawn_first():
    scores = torch.tensor([[0.0, 3.0, 1.0, 3.0], [2.0, 2.0, 2.0, 2.0], [-1.0, -3.0, -2.0, 0.5]])
    assert best(scores, 1).tolist() == [[1], [0], [3]]
    assert best(scores, 3).tolist() == [[1, 3, 2], [0, 1, 2], [3, 0, 2]]


def test_what_is_kept_keeps_its_tokens_and_its_mask():
    selection = superhf(num_kept=2).select(scored([[0.0, 3.0, 1.0, 2.0], [9.0, 8.0, 7.0, 6.0]]), KL_BETA, 0.3)
    assert selection.ids_NKT[..., 0].tolist() == [[1, 3], [10, 11]]
    assert selection.mask_NKT.sum(-1).tolist() == [[2, 1], [1, 2]]  # completion i has 1 + i mod 3 tokens
    assert selection.metrics["superhf/kept_scores"] == (3 + 2 + 9 + 8) / 4


@pytest.mark.parametrize("num_kept", [1, 3, 4])
def test_what_is_kept_never_scores_less_than_what_was_drawn(num_kept):
    rollout = scored(torch.randn(50, 4, generator=torch.Generator().manual_seed(0)).tolist())
    kept = superhf(num_kept=num_kept).select(rollout, KL_BETA, 0.3).metrics["superhf/kept_scores"]
    assert kept >= rollout.scores_NG.mean().item() - 1e-6
    assert (kept == pytest.approx(rollout.scores_NG.mean().item())) == (num_kept == 4)


def test_of_one_completion_that_one_is_kept():
    selection = superhf(num_samples=1).select(scored([[-5.0], [2.0]]), KL_BETA, 0.3)
    assert selection.ids_NKT[..., 0].tolist() == [[0], [10]]


def test_the_loss_is_the_cross_entropy_plus_beta_times_the_divergence_per_token():
    # two tokens: (1 + 3) / 2 of cross-entropy and 0.5 (0.2 + 0.6) / 2 of divergence; the third is masked
    logps, divergence = torch.tensor([[-1.0, -3.0, -9.0]]), torch.tensor([[0.2, 0.6, 9.0]])
    loss = superhf_loss(logps, divergence, torch.tensor([[True, True, False]]), 0.5, 2)
    torch.testing.assert_close(loss, torch.tensor(2.0 + 0.2))


def random_distributions(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, Batch]:
    """Four prompts, two completions each, seven words: log-probabilities of policy and reference, and the batch."""
    generator = torch.Generator().manual_seed(seed)
    mine, ref = (torch.randn(4, 2, 5, 7, generator=generator).log_softmax(-1) for _ in range(2))
    ids = torch.randint(0, 7, (4, 2, 5), generator=generator)
    mask = torch.arange(5) < torch.tensor(LENGTHS)[..., None]
    return mine, ref, Batch(ids[:, 0], mask[:, 0], ids, mask, {}, int(mask.sum()), 4)


def random_output(seed: int = 0, regularizer=KL_BETA, direction="forward") -> tuple[PolicyOutput, Batch]:
    mine, ref, batch = random_distributions(seed)
    logps = mine.gather(-1, batch.ids_NKT[..., None]).squeeze(-1)
    return PolicyOutput(logps, None, None, superhf(direction=direction).comparison(regularizer)(mine, ref)), batch


def test_forward_is_the_divergence_of_the_reference_and_reverse_that_of_the_policy():
    mine, ref, batch = random_distributions()
    p, q = mine.exp()[batch.mask_NKT], ref.exp()[batch.mask_NKT]
    for regularizer, formula in (
        (KL_BETA, lambda a, b: (a * (a / b).log()).sum(-1).mean()),
        (CHI2, lambda a, b: (b * (a / b - 1).square()).sum(-1).mean()),
    ):
        for direction, pair in (("forward", (q, p)), ("reverse", (p, q))):
            output, _ = random_output(0, regularizer, direction)
            cross_entropy = -output.logps_NKT[batch.mask_NKT].mean()
            loss, metrics = superhf(direction=direction).loss(output, batch, regularizer, 0.7)
            torch.testing.assert_close(metrics["loss/divergence"], formula(*pair))
            torch.testing.assert_close(metrics["loss/cross_entropy"], cross_entropy)
            torch.testing.assert_close(loss, cross_entropy + 0.7 * formula(*pair))


def test_masked_tokens_count_nothing():
    output, batch = random_output()
    changed = {name: x.where(batch.mask_NKT, -77.0) for name, x in vars(output).items() if x is not None}
    one = superhf().loss(output, batch, KL_BETA, 0.7)[0]
    other = superhf().loss(PolicyOutput(**{**vars(output), **changed}), batch, KL_BETA, 0.7)[0]
    torch.testing.assert_close(one, other)


def rows_of(output: PolicyOutput, batch: Batch, rows: list[int]) -> tuple[PolicyOutput, Batch]:
    """Some prompts of a batch; the counts stay those of the whole minibatch."""
    part = PolicyOutput(**{name: None if x is None else x[rows] for name, x in vars(output).items()})
    fields = {name: x[rows] if isinstance(x, torch.Tensor) else x for name, x in vars(batch).items()}
    return part, Batch(**fields)


def test_micro_batches_of_a_minibatch_add_up_to_its_loss_and_its_metrics():
    output, batch = random_output()
    whole, metrics = superhf().loss(output, batch, KL_BETA, 0.7)
    parts = [superhf().loss(*rows_of(output, batch, rows), KL_BETA, 0.7) for rows in ([0], [1, 3], [2])]
    torch.testing.assert_close(sum(loss for loss, _ in parts), whole)
    for name, value in metrics.items():
        torch.testing.assert_close(sum(found[name] for _, found in parts), value)


def test_beta_does_not_grow_with_the_minibatch():
    """The same prompts twice as often are the same loss; the paper's code would count the divergence twice."""
    output, batch = random_output()
    one = superhf().loss(output, batch, KL_BETA, 0.7)[0]
    twice_output, twice = rows_of(output, batch, [0, 1, 2, 3, 0, 1, 2, 3])
    twice = Batch(**{**vars(twice), "num_tokens": 2 * batch.num_tokens, "num_prompts": 8})
    torch.testing.assert_close(superhf().loss(twice_output, twice, KL_BETA, 0.7)[0], one)


def test_the_papers_beta_in_our_unit_is_the_one_that_the_yaml_names():
    """The authors' code: the mean of CE plus .35 times the sum over the minibatch of 2 of each completion's mean divergence."""
    generator = torch.Generator().manual_seed(0)
    logps, divergence = -torch.rand(2, 5, generator=generator), torch.rand(2, 5, generator=generator)
    authors = -logps.mean() + 0.35 * divergence.mean(1).sum()
    text = (conf_dir() / "optimizer" / "superhf.yaml").read_text()
    ours, times, other = (float(number) for number in re.search(
        r"regularizer\.beta=([\d.]+) here, (\d+) times the default of .05 \((\d+) times", text
    ).groups())  # fmt: skip # pyright: ignore[reportOptionalMemberAccess]
    torch.testing.assert_close(superhf_loss(logps, divergence, torch.ones(2, 5), ours, 10), authors)
    default = yaml.safe_load((conf_dir() / "regularizer" / "kl.yaml").read_text())["beta"]
    assert (times, other) == pytest.approx((ours / default, 0.35 / default))


def test_distributions_are_compared_where_they_predict_the_completions_tokens(tiny_llama):
    """What is measured of token t is measured of the plain models' distributions one position earlier, whatever the padding."""
    other = with_critic(LlamaForCausalLM(tiny_llama.config), "none")
    plain = [LlamaForCausalLM(tiny_llama.config) for _ in range(2)]
    for one, model in zip(plain, (tiny_llama, other), strict=True):
        one.load_state_dict(model.state_dict())
    prompts, prompt_mask = torch.tensor([[0, 4, 7], [3, 5, 9]]), torch.tensor([[False, True, True], [True] * 3])
    ids, mask = torch.tensor([[6, 8, 1], [2, 1, 0]]), torch.tensor([[True] * 3, [True, True, False]])
    inputs, asked = inputs_of(prompts, prompt_mask, ids, mask), {"completion_length": 3, "temperature": 0.7}
    against = reference_logits(other, inputs, superhf().comparison(KL_BETA), **asked)
    out = with_critic(tiny_llama, "none")(**inputs, **asked, against=against)
    for row, text in enumerate(([4, 7, 6, 8, 1], [3, 5, 9, 2, 1])):
        length = int(mask[row].sum())
        p, q = (
            (model(torch.tensor([text])).logits[0, len(text) - length - 1 : -1] / 0.7).log_softmax(-1)
            for model in plain
        )
        torch.testing.assert_close(out["compared"][row, :length], (q.exp() * (q - p)).sum(-1), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(out["logps"][row, :length], p.gather(-1, ids[row, :length, None]).squeeze(-1))


def test_a_minibatch_counts_the_tokens_of_what_was_kept_alone():
    selection = superhf(num_kept=2).select(scored([[0.0, 3.0, 1.0, 2.0], [9.0, 8.0, 7.0, 6.0]]), KL_BETA, 0.3)
    (batch,) = minibatches(selection, 1, 1, 1, seed=0, step=0)
    assert batch.num_tokens == 6 and batch.num_prompts == 2  # 2 + 1 and 1 + 2 tokens


REF = [0.05, 0.05, 0.1, 0.1, 0.15, 0.15, 0.2, 0.2]
REWARDS = [0.2, -0.4, 1.0, 0.0, 0.6, -0.2, 0.3, -1.0]


def balanced(beta: float) -> torch.Tensor:
    """The policy that learning from its own best of four leaves where it is. Cross-entropy to the winners w plus
    beta KL(ref || pi) is least at pi = (w + beta ref) / (1 + beta), and w follows from pi."""
    ref, order = torch.tensor(REF).double(), torch.tensor(REWARDS).argsort()
    policy = ref.clone()
    for _ in range(2000):
        up_to = policy[order].cumsum(0)
        winners = torch.zeros(8).double()
        winners[order] = up_to**4 - (up_to - policy[order]) ** 4
        policy = (winners + beta * ref) / (1 + beta)
        policy = policy / policy.sum()
    return policy


def test_the_engine_reaches_the_policy_whose_best_of_four_and_reference_balance(tmp_path):
    wanted = balanced(1.0)
    policy = play(
        superhf(num_samples=4, num_minibatches=4), KL(beta=1.0, target=None, horizon=1e4), REF, tmp_path, steps=40,
        lr=1e-2, scores=REWARDS, num_prompts=128,
    )  # fmt: skip
    assert (wanted - torch.tensor(REF)).abs().sum() / 2 > 0.4
    assert (policy - wanted).abs().sum() / 2 < 0.03


def test_the_best_of_one_teaches_nothing_and_a_huge_beta_holds_the_policy_at_its_reference(tmp_path):
    ref = torch.tensor(REF).double()
    for name, algorithm, beta in (("one", superhf(num_samples=1), 1.0), ("held", superhf(), 1e3)):
        policy = play(
            algorithm, KL(beta=beta, target=None, horizon=1e4), REF, tmp_path / name, steps=20, lr=1e-3, scores=REWARDS,
            num_prompts=256,
        )  # fmt: skip
        assert (ref * (ref / policy).log()).sum() < 1e-3, name


def test_without_a_divergence_it_collapses_on_the_best(tmp_path):
    policy = play(
        superhf(num_minibatches=4), KL(beta=0.0, target=None, horizon=1e4), REF, tmp_path, steps=40, lr=1e-2,
        scores=REWARDS,
    )  # fmt: skip
    assert policy.argmax() == 2 and policy[2] > 0.95


def test_micro_batches_change_no_number_beyond_rounding(tmp_path):
    def run(name: str, micro: int) -> torch.Tensor:
        return play(
            superhf(num_minibatches=2), KL_BETA, REF, tmp_path / name, steps=5, lr=1e-2, scores=REWARDS, num_prompts=16,
            micro=micro,
        )  # fmt: skip

    torch.testing.assert_close(run("a", 1), run("b", 4), atol=1e-5, rtol=1e-4)
