"""A one-token world for the real engine: eight moves, of which a policy plays one, so that everything can be enumerated."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, TrainingArguments

from rlx.core.policy_optimizer import PolicyOptimizer
from rlx.core.regularizer import Regularizer
from rlx.core.scorer import Scorer
from rlx.core.settings import ProxySettings
from rlx.core.world import PreferenceModel, Prompt
from rlx.engine.experience import RolloutModels
from rlx.engine.prompts import EncodedPrompts
from rlx.engine.proxy import Proxy
from rlx.engine.trainer import OnPolicyTrainer, TrainingPlan
from rlx.model.actor_critic import with_critic
from rlx.sampler.transformers import Transformers

MOVES = tuple(f"move{i}" for i in range(8))  # token ids; 0 pads and 1 ends, which a single token may be as well


class Table:
    """The score of a completion is its token's."""

    raw_std = 1.0

    def __init__(self, scores: list[float]) -> None:
        self.scores_V = torch.tensor(scores)

    def member_scores(self, prompt_ids_BP: Tensor, prompt_mask_BP: Tensor, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        return self.scores_V[ids_BT[:, 0]][None]

    def aggregate(self, member_scores_MB: Tensor) -> Tensor:
        return member_scores_MB.mean(0)


def as_it_is(scorer: Scorer) -> Proxy:
    """Neither clipped nor penalised."""
    return Proxy(scorer, ProxySettings(clip=None, missing_eos_penalty=0.0))


def bandit_model(start: list[float]) -> LlamaForCausalLM:
    """A Llama that plays the eight moves with the probabilities `start` after the prompt."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=8, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=1, pad_token_id=0,
        eos_token_id=1, bos_token_id=None, max_position_embeddings=8,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        hidden = model.base_model(torch.tensor([[2]])).last_hidden_state[0, -1]
        wanted = torch.tensor(start).log() - model.lm_head(hidden)
        model.lm_head.weight += wanted[:, None] * hidden / hidden.square().sum()
    return model


def policy_after(model: LlamaForCausalLM) -> Tensor:
    """The probabilities of the eight moves."""
    with torch.no_grad():
        return model(torch.tensor([[2]])).logits[0, -1].double().softmax(-1)


def play(
    algorithm: PolicyOptimizer,
    regularizer: Regularizer,
    start: list[float],
    folder: Path,
    steps: int,
    lr: float,
    scores: list[float] | None = None,
    preference_model: PreferenceModel | None = None,
    num_prompts: int = 128,
    micro: int = 1,
) -> Tensor:
    """Train a bandit policy through the engine, with `start` as its reference; the probabilities that it ends with."""
    model = bandit_model(start)
    args = TrainingArguments(
        output_dir=str(folder), num_train_epochs=steps, learning_rate=lr, per_device_train_batch_size=1, use_cpu=True,
        report_to=[], logging_strategy="no", save_strategy="no", eval_strategy="no", disable_tqdm=True,
        remove_unused_columns=False, ignore_data_skip=True, gradient_accumulation_steps=micro, max_grad_norm=1.0,
        lr_scheduler_type="linear", adam_epsilon=1e-5, adam_beta2=0.95,
    )  # fmt: skip
    sampler, reference = Transformers(1, 1.0, 4096), with_critic(bandit_model(start), "none")
    actors = RolloutModels(
        reference, as_it_is(Table(scores or [0.0] * 8)), sampler, 4096, move_tokenizer(), preference_model
    )
    prompts = EncodedPrompts([Prompt("the only one", "move2")], [[2]], 0, 0)
    plan = TrainingPlan(num_steps=steps, num_prompts=num_prompts, num_micro=micro, checkpoint_interval=10**6, seed=0)
    policy = with_critic(model, algorithm.needs.critic)
    OnPolicyTrainer(policy, args, algorithm, regularizer, actors, prompts, plan, lambda *row: None).train()
    return policy_after(model)


def move_tokenizer() -> PreTrainedTokenizerFast:
    """Every move is a word; none is special, so that texts say which token was drawn."""
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(MOVES)}, unk_token=MOVES[0]))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)
