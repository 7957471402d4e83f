import copy

import pytest
import torch
from peft import LoraConfig
from word_world import ARCHITECTURES, small_causal_lm

from rlx.model.actor_critic import with_adapters, with_critic
from rlx.model.whole import blank_of, filled


@pytest.mark.parametrize("kind", ARCHITECTURES)
@pytest.mark.parametrize("rank", [0, 4])
def test_a_blank_takes_no_memory_and_filled_is_the_model_that_it_was_made_of(kind, rank):
    lora = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM") if rank else None
    model = with_adapters(with_critic(small_causal_lm(kind), "separate"), lora)
    blank = blank_of(model)
    assert all(x.is_meta for x in blank.parameters())
    state = {name: x.clone().bfloat16() for name, x in model.state_dict().items()}
    plain = filled(blank, state)
    assert type(plain) is type(model) and not any(x.is_meta for x in (*plain.parameters(), *plain.buffers()))
    wanted = copy.deepcopy(model)
    wanted.load_state_dict(state)
    found = dict(plain.named_parameters())
    for name, x in wanted.named_parameters():  # tied ones once
        assert torch.equal(found.pop(name), x) and x.dtype == torch.float32, name
    assert not found
    assert [x.requires_grad for x in plain.parameters()] == [x.requires_grad for x in model.parameters()]
    ids = torch.tensor([[2, 3, 4]])
    assert torch.equal(plain.eval()(input_ids=ids).logits, wanted.eval()(input_ids=ids).logits)
    assert all(x.is_meta for x in blank.parameters())  # to be filled again
