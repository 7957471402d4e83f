"""Peak memory of learning from, and scoring, 8 completions of 256 tokens over 128,000 words, logits whole and in chunks.

python scripts/peak_of_logits.py      each case in a process of its own, on one core; a minute
"""

import resource
import subprocess
import sys
import time

WORDS = 128_000


def measure(chunk: int, learn: bool) -> str:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from rlx.model import output_head
    from rlx.model.actor_critic import with_critic

    def peak() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # kB on Linux, so GB

    def work(ids: torch.Tensor, new: int) -> None:
        with torch.set_grad_enabled(learn):
            asked = {"attention_mask": torch.ones_like(ids), "completion_length": new, "entropy": not learn}
            logps = model(input_ids=ids, **asked)["logps"]
        if learn:
            logps.sum().backward()

    torch.set_num_threads(1)
    output_head.CHUNK = chunk
    size = dict(vocab_size=WORDS, hidden_size=64, intermediate_size=128, num_hidden_layers=1, num_attention_heads=2)
    model = with_critic(LlamaForCausalLM(LlamaConfig(**size, pad_token_id=0, eos_token_id=1)), "none")
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    ids = torch.randint(2, WORDS, (8, 272))
    work(ids[:, :20], 4)
    before, start = peak(), time.perf_counter()
    work(ids, 256)
    return f"{peak() - before:.2f} GB, {time.perf_counter() - start:.1f} s"


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(measure(int(sys.argv[1]), sys.argv[2] == "learning"))
        sys.exit()
    for what in ("learning", "scoring"):
        for chunk in (10**12, 2**25):
            command = [sys.executable, __file__, str(chunk), what]
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
            print(f"{what}, {'whole' if chunk > 2**25 else 'in chunks'}: {said}", flush=True)
