"""Weights and optimizer spread over the nodes of a real Slurm: a job leaves in parts, and goes on from them."""

import pytest

from tests.slurm.jobs import (
    LONGER,
    ZERO2,
    ZERO3,
    asked_to_leave_and_requeued,
    at_step,
    demand_same_numbers,
    ended,
    log_of,
    on_two_nodes,
    submit,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.mark.parametrize("compute", [ZERO2, ZERO3])
def test_a_job_asked_to_leave_goes_on_from_a_checkpoint_in_parts(compute, here, trained_here):
    line = [*LONGER, *compute]
    run, job = submit(here, *on_two_nodes(*line))
    at_step(run, 3)
    asked_to_leave_and_requeued(run, job)
    parts = [path.relative_to(run) for path in (run / "checkpoints").rglob("*_optim_states.pt")]
    assert len(parts) == 2, parts
    told = ended(job)
    assert (told["JobState"], told["Restarts"]) == ("COMPLETED", "1"), log_of(run)[-3000:]
    assert f"rlx: job {job} goes back into the queue" in log_of(run) and "going on after step" in log_of(run)
    demand_same_numbers(run, trained_here(*line))
