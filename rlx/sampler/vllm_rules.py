"""Several processes may share one vLLM engine."""

from rlx.core.rules import Config


def engines_share_processes(config: Config) -> str | None:
    """vLLM beside the policy: as many processes as hold a part of one engine."""
    sampler, processes = config["sampler"], config["compute"].get("num_processes") or 1
    each = sampler["tensor_parallel_size"]
    if sampler["mode"] != "colocate" or processes % each == 0:
        return None
    return (
        f"sampler.tensor_parallel_size={each}: so many processes share one vLLM, and compute.num_processes={processes} is "
        f"no multiple of it; choose a compute with compute.num_processes={-(-processes // each) * each}"
    )


RULES = (engines_share_processes,)
