"""Reward models on the policy's own frozen weights: one copy in memory, the same scores, before and after the export."""

from typing import Any

import torch
from peft import LoraConfig, PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer
from word_world import WordWorld, pretrained, reward_model, sft

from rlx.engine.export import export_policy
from rlx.model.actor_critic import with_adapters, with_critic
from rlx.model.lent_weights import lend
from rlx.model.score_head import load_reward_model, score_rows
from rlx.supervised.reward_model import RewardMember

ROWS = [[5, 6, 7, 8], [9, 5], [6, 6, 8, 9, 7, 5], [7]]


def test_reward_models_use_the_policys_weights_and_score_as_before_also_after_its_export(base, store, tmp_path):
    recipe = RewardMember(
        WordWorld(), pretrained(base, lora_rank=2), sft(), reward_model(num_epochs=4.0, num_pairs=16), 0.25, 0
    )
    path, start = store.fetch(recipe, 0), store.fetch(recipe.trunk()[0], 0)
    alone = score_rows(load_reward_model(path), ROWS)
    lora = LoraConfig(r=4, lora_alpha=64, target_modules="all-linear", task_type="CAUSAL_LM")
    policy = with_adapters(with_critic(AutoModelForCausalLM.from_pretrained(start), "shared"), lora)
    assert isinstance(policy, PeftModel)
    for name, x in policy.named_parameters():
        if x.requires_grad:
            torch.nn.init.normal_(x, std=0.1, generator=torch.Generator().manual_seed(len(name)))
    lend(policy, start)
    member: Any = load_reward_model(path)
    lent = {x.data_ptr() for x in policy.parameters()}
    trunk = member.base.model
    own = {name for name, x in trunk.named_parameters() if x.data_ptr() not in lent}
    assert all("lora_" in name or "score" in name for name in own)  # everything else is the policy's memory
    assert len(own) < len(list(trunk.parameters()))
    assert torch.equal(score_rows(member, ROWS), alone)
    export_policy(policy, AutoTokenizer.from_pretrained(start), tmp_path / "model", "card", torch.float32)
    changed = load_file(tmp_path / "model" / "model.safetensors")
    before = load_file(start / "model.safetensors")
    assert any(not torch.equal(changed[name], before[name]) for name in before)  # the merge moved the policy
    assert torch.equal(score_rows(member, ROWS), alone)  # and nothing else
