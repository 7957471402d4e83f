"""What a sweep's figures show is looked at by people; this is about which panels and curves there are."""

import matplotlib as mpl
import numpy as np
import pytest

from rlx.comparison.sweep import GOLD, SweepComparison
from rlx.reporting.figure.style import STYLE
from rlx.reporting.figure.sweep import effects, fits, frontier, grid
from rlx.reporting.figure.sweep.gallery import draw_sweep
from rlx.reporting.figure.sweep.grid import _columns, _wrapped
from rlx.reporting.figure.sweep.look import Looks
from rlx.run.sweep_record import load_sweep
from tests.synthetic_sweep import write_sweep

AXES = {"reward": ["single", "warm"], "reference": ["frozen", "soup"], "optimizer": ["ppo", "bon"]}


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    return SweepComparison(load_sweep(write_sweep(tmp_path_factory.mktemp("runs"), AXES, seeds=[0, 1])))


def drawn(module, comparison):
    with mpl.rc_context(STYLE):
        found = module.draw(comparison)
    assert found is not None
    return found


def test_colour_is_the_first_axis_line_the_optimizer_and_the_rest_have_panels(comparison):
    looks = Looks(comparison)
    one, bon, warm = (
        looks.of(f"{label}") for label in ("single · soup · ppo", "single · soup · bon", "warm · soup · ppo")
    )
    assert one.colour == bon.colour != warm.colour and one.line == warm.line != bon.line
    facets = looks.facets(comparison.sweep.labels)
    assert [facet.title for facet in facets] == ["frozen", "soup"]
    assert facets[0].labels == [
        "single · frozen · ppo",
        "single · frozen · bon",
        "warm · frozen · ppo",
        "warm · frozen · bon",
    ]


def test_best_of_n_and_training_share_their_axes_at_the_measured_distances(comparison):
    figure, caption = drawn(frontier, comparison)
    assert len(figure.axes) == 4 and "Best-of-n has no training" in caption
    thick = [line for line in figure.axes[0].lines if line.get_linewidth() > 1 and np.size(line.get_xdata()) > 2]
    wanted = [comparison.mean_curves[label] for label in comparison.mean_curves if "frozen" in label]
    assert len(thick) == 4
    for line, mean in zip(thick, wanted, strict=True):
        assert np.allclose(line.get_xdata(), mean.distance_S) and np.allclose(line.get_ydata(), mean.gold_S)


def test_every_difference_of_gold_has_a_bar_as_wide_as_its_interval(comparison):
    figure, _ = drawn(effects, comparison)
    bars = [line.get_xdata() for line in figure.axes[0].lines if np.size(line.get_xdata()) == 2][1:]
    wanted = [[d.difference.low, d.difference.high] for d in comparison.differences if d.measure == GOLD]
    assert np.allclose(bars, wanted) and len(bars) == 3


def test_small_multiples_have_a_panel_for_each_combination_on_one_scale(comparison):
    figure, _ = drawn(grid, comparison)
    assert len(figure.axes) == 8
    assert len({axis.get_ylim() for axis in figure.axes}) == len({axis.get_xlim() for axis in figure.axes}) == 1


def test_a_combination_without_a_curve_leaves_no_empty_panel_and_is_named(tmp_path):
    broken = SweepComparison(
        load_sweep(write_sweep(tmp_path, {"reward": ["single", "warm", "ensemble_uwo"]}, [0], failed=[1]))
    )
    figure, caption = drawn(grid, broken)
    assert len(figure.axes) == 2 and "for want of two evaluations: warm." in caption


def test_a_fitted_peak_is_a_star_filled_where_it_was_reached(comparison):
    figure, _ = drawn(fits, comparison)
    stars = [line for axis in figure.axes for line in axis.lines if line.get_marker() == "*"]
    reached = [
        fit.peak[0] <= fit.furthest
        for fit in comparison.fits.values()
        if fit.peak and fit.peak[0] <= 1.15 * fit.furthest
    ]
    assert [line.get_markerfacecolor() != "white" for line in stars] == reached and len(stars) >= 4


@pytest.mark.parametrize(
    ("counts", "labels", "columns"),
    [
        ([4, 2, 2], 16, 4),
        ([4, 4], 16, 4),
        ([6], 6, 3),
        ([2], 2, 2),
        ([4, 5], 20, 3),
        ([3, 2], 6, 2),
        ([4, 2, 4, 2], 64, 4),
    ],
)
def test_columns_are_settings_of_the_last_axes_where_they_fit(counts, labels, columns):
    assert _columns(counts, labels) == columns


def test_titles_break_between_values():
    assert _wrapped("ensemble_wco · frozen · ppo", 17) == "ensemble_wco ·\nfrozen · ppo"
    assert _wrapped("a_name_longer_than_the_line · b", 10) == "a_name_longer_than_the_line ·\nb"


def test_the_same_sweep_gives_the_same_bytes_and_old_pictures_go(comparison, tmp_path):
    first = {one.name: one.path.read_bytes() for one in draw_sweep(comparison, tmp_path / "a") if one.path}
    second = {one.name: one.path.read_bytes() for one in draw_sweep(comparison, tmp_path / "a") if one.path}
    assert first == second and len(first) == 4
