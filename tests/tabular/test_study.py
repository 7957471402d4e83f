import json
from dataclasses import replace

import numpy as np
import pytest

from rlx.artefact.store import Store, address
from rlx.command.survey import settings_of
from rlx.tabular.fit import SurveyFit, quality, read
from rlx.tabular.study import Study, label, references_of, source_of
from rlx.tabular.synthetic import Synthetic

WORDS = ["weights=[0.1,3]", "seeds=[0,1]", "choosing_seeds=[100]", "synthetic.num_rows=60", "synthetic.num_test_rows=80",
         "mlp.num_epochs=30", "mlp.learning_rate=0.02"]  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def done(store):
    """A small study with its rows and findings."""
    settings = settings_of(WORDS)
    study = Study(settings, source_of(settings), store)
    rows = study.run()
    return study, rows, study.findings(rows)


def test_every_model_is_fitted_on_every_seed_once(done):
    study, rows, _ = done
    # linear, GAM, network, and three references with two weights each; three seeds.
    assert len(study.recipes()) == 9 and len(rows) == 27
    assert all(row["efficiency"] < 1e-6 for row in rows)


def test_a_weight_of_zero_is_the_plain_network_with_its_address(done):
    study, _, _ = done
    assert address(study.recipe("mlp", "truth", 0.0), 0) == address(study.recipe("mlp"), 0)


def test_a_second_study_finds_what_the_first_has_fitted(done, store):
    study, rows, _ = done
    assert all(store.has(recipe, seed) for recipe in study.recipes() for seed in (0, 1, 100))
    assert study.run() == rows


def test_differences_are_paired_with_the_plain_network_by_seed(done):
    _, rows, found = done
    entry = found["models"]["mlp, truth 3"]
    by_seed = {(row["seed"], row["reference"], row["weight"]): row["r2"] for row in rows if row["model"] == "mlp"}
    differences = [by_seed[seed, "truth", 3.0] - by_seed[seed, None, 0.0] for seed in (0, 1)]
    assert entry["r2_over_plain"]["value"] == pytest.approx(np.mean(differences))


def test_the_weight_is_chosen_on_the_choosing_seeds_alone(done):
    study, rows, _ = done
    other = [row | ({"r2": -9.0} if row["seed"] in (0, 1) and row["weight"] == 0.1 else {}) for row in rows]
    chosen = {key: entry["chosen"] for key, entry in study.findings(rows)["models"].items()}
    assert chosen == {key: entry["chosen"] for key, entry in study.findings(other)["models"].items()}
    turned = [row | ({"r2": float(row["weight"])} if row["seed"] == 100 else {}) for row in rows]
    assert study.findings(turned)["models"]["mlp, wrong 3"]["chosen"]


def test_the_truth_draws_the_order_nearer_and_a_wrong_order_draws_it_away(done):
    models = done[2]["models"]
    taus = [models[key]["tau_truth"]["value"] for key in ("mlp, wrong 3", "mlp", "mlp, truth 3")]
    assert taus[0] < taus[1] < taus[2]


def test_a_given_prior_is_in_the_order_of_the_groups(store):
    settings = settings_of([*WORDS, "prior={income: 3, health: 1}", "references=[given]"])
    study = Study(settings, source_of(settings), store)
    recipe = study.recipe("mlp", "given", 0.1)
    assert recipe.prior == (1, 3, 0, 0, 0, 0, 0, 0) and recipe.reference_of(store, 0) == recipe.prior
    assert references_of(settings_of([*WORDS, "prior={income: 3}"])) == ("models", "truth", "wrong", "given")


def test_models_are_the_reference_of_the_training_rows(done, store):
    study, _, _ = done
    plain = [read(store.fetch(study.recipe(kind), 0))["train"] for kind in ("linear", "gam")]
    found = study.recipe("mlp", "models", 0.1).reference_of(store, 0)
    assert found == pytest.approx([(a + b) / 2 for a, b in zip(*plain, strict=True)])


def test_quality_is_r2_and_the_share_of_levels_that_are_met():
    y = np.array([1.0, 2.0, 3.0, 2.0])
    # The squared errors sum to .16 + .36 + 0 + 4; those of the mean (2) to 2. Rounded: 1, 3, 3, and 4 cut to 3.
    found = quality(np.array([1.4, 2.6, 3.0, 4.0]), y, y)
    assert found == pytest.approx({"r2": 1 - 4.52 / 2, "accuracy": 0.5})
    assert quality(y, y, np.array([0.5, 1.5]))["accuracy"] is None


def test_splits_of_one_file_have_a_wider_interval_than_draws(done):
    study, _, _ = done
    values = {0: 0.5, 1: 0.6, 2: 0.7}
    own, cut = study.settings, replace(study.settings, path="a.csv", target="y")
    drawn = study.estimate(values)
    split = Study(cut, study.source, study.store).estimate(values)
    # sqrt((1/3 + .3/.7) / (1/3)) times as wide (Nadeau and Bengio 2003).
    assert (split.high - split.value) / (drawn.high - drawn.value) == pytest.approx((1 + 3 * 0.3 / 0.7) ** 0.5)  # pyright: ignore
    assert own.test_share == 0.3 and study.estimate({0: 0.5}).low is None


def test_the_names_of_fits_tell_their_reference_and_weight():
    assert label({"model": "mlp", "reference": "truth", "weight": 0.5}) == "mlp, truth 0.5"
    assert label({"model": "gam", "reference": None, "weight": 0.0}) == "gam"


def test_the_recipe_of_a_fit_is_told_by_its_numbers():
    base = SurveyFit(Synthetic(60, 80, 0.5, 1.0), "linear", None, None, None, 0.0)
    assert address(base, 0) != address(replace(base, source=Synthetic(61, 80, 0.5, 1.0)), 0)
    assert json.dumps(base.source.fingerprint())
