"""Rewards as users write them, good ones and bad ones."""

import json
import os
import signal
import subprocess
import time

CALLS = []


def length(prompts, completions, **_):
    return [len(completion.split()) for completion in completions]


def echo(prompts, completions):
    """A score that each text carries in itself."""
    return [float(completion.split()[-1]) for completion in completions]


def shown(prompts, completions):
    """What came in goes into a file."""
    with open(os.environ["SHOWN"], "w", encoding="utf-8") as file:
        json.dump([prompts, completions], file)
    return [float(i) for i in range(len(prompts))]


def of_numpy(prompts, completions):
    import numpy as np

    return np.arange(len(completions), dtype=np.float32)


def chatty(prompts, completions):
    print('{"scores": [9, 9, 9]}', flush=True)
    return length(prompts, completions)


def sized_calls(prompts, completions):
    return [float(len(completions))] * len(completions)


def depends_on_calls(prompts, completions):
    CALLS.append(1)
    return [float(len(CALLS))] * len(completions)


def nan(prompts, completions):
    return [float("nan") if "bad" in completion else 1.0 for completion in completions]


def missing(prompts, completions):
    return [None if "bad" in completion else 1.0 for completion in completions]


def text(prompts, completions):
    return ["1.5"] * len(completions)


def one_short(prompts, completions):
    return [1.0] * (len(completions) - 1)


def one_number(prompts, completions):
    return 1.0


def raises(prompts, completions):
    raise ValueError("no\nopinion")


def leaves(prompts, completions):
    raise SystemExit(3)


def dies(prompts, completions):
    os.kill(os.getpid(), signal.SIGKILL)


def late(prompts, completions):
    if any("bad" in completion for completion in completions):
        time.sleep(60)
    return [1.0] * len(completions)


def with_a_child(prompts, completions):
    child = subprocess.Popen(["sleep", "60"])
    return [float(child.pid)] * len(completions)


def same(prompts, completions):
    return [1.0] * len(completions)


def three(prompts):
    return [1.0] * len(prompts)


number = 3
