import pytest
import torch

from rlx.bilevel.problem import ball, box, everywhere, simplex


def points(seed: int = 0, number: int = 50) -> torch.Tensor:
    return 2 * torch.randn(number, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("project", [everywhere, box(-0.5, 1.0), ball(0.7), simplex])
def test_a_projection_is_idempotent_and_the_angle_to_every_point_of_the_set_is_obtuse(project):
    """(x - Px) . (s - Px) <= 0 for all s of a closed convex set says that Px is the nearest point (Hilbert)."""
    inside = [project(s) for s in points(1)]
    for x in points():
        near = project(x)
        torch.testing.assert_close(project(near), near)
        assert max(float((x - near) @ (s - near)) for s in inside) <= 1e-12


def test_projections_are_what_they_are_called():
    x = torch.tensor([3.0, -4.0])
    assert torch.equal(everywhere(x), x)
    assert box(-1, 1)(x).tolist() == [1, -1]
    torch.testing.assert_close(ball(1.0)(x), torch.tensor([0.6, -0.8]))
    assert torch.equal(ball(5.0)(x), x)
    # max(x - t, 0) with t = .5 sums to 1: 1.2 - .5 + .8 - .5 + 0
    torch.testing.assert_close(simplex(torch.tensor([1.2, 0.8, -3.0])), torch.tensor([0.7, 0.3, 0.0]))
