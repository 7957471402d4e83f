from pathlib import Path

import yaml

from rlx.command.compose import compose
from rlx.core.settings import PlanSettings, Settings, SlurmSettings, SweepSettings, settings_of

TRAIN = yaml.safe_load((Path(__file__).parents[2] / "conf" / "train.yaml").read_text())


def test_the_settings_are_exactly_the_top_level_numbers_of_train_yaml():
    assert set(Settings.__dataclass_fields__) == set(TRAIN) - {"defaults", "hydra", "sweep", "slurm", "plan"}
    assert set(SweepSettings.__dataclass_fields__) == set(TRAIN["sweep"])
    assert set(SlurmSettings.__dataclass_fields__) == set(TRAIN["slurm"])
    assert set(PlanSettings.__dataclass_fields__) == set(TRAIN["plan"])
    for name in ("evaluation", "checkpoint", "torch_optimizer"):
        assert set(Settings.__dataclass_fields__[name].type.__dataclass_fields__) == set(TRAIN[name])


def test_settings_are_read_from_a_resolved_config_with_its_groups_left_aside():
    (cell,) = compose(["torch_optimizer.learning_rate=1e-4"])
    settings = settings_of(cell.config)
    assert settings.torch_optimizer.learning_rate == 1e-4
    assert settings.num_steps == cell.config["num_steps"]
    assert settings.evaluation.interval == TRAIN["evaluation"]["interval"]
