"""model=lab_large: the shipped base is the one that was made, has the small one's words and more parameters."""

from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from rlx.core.error import UserError
from rlx.model.lab import Lab
from rlx.model.lab_large import BASE, SHA256, LabLarge

NUMBERS = yaml.safe_load((Path(__file__).parents[2] / "conf/model/lab_large.yaml").read_text())
MODEL = LabLarge(**{k: v for k, v in NUMBERS.items() if k != "_target_"})


def test_the_base_is_whole_and_several_times_the_small_one():
    assert sorted(SHA256) == sorted(p.name for p in BASE.iterdir())
    assert sum(p.numel() for p in MODEL.policy(None).parameters()) == 843_904 > 6 * 139_072
    assert sum(p.stat().st_size for p in BASE.iterdir()) < 4_000_000


def test_both_models_have_the_same_tokens_and_another_identity():
    small = Lab(**asdict(MODEL))
    assert MODEL.tokenizer().get_vocab() == small.tokenizer().get_vocab()
    assert MODEL.fingerprint() != small.fingerprint()


def test_a_damaged_base_is_refused_by_its_name(tmp_path, monkeypatch):
    (tmp_path / "lab_large_base").mkdir()
    monkeypatch.setattr(LabLarge, "base", tmp_path / "lab_large_base")
    with pytest.raises(UserError, match=r"model=lab_large: .* cannot be read"):
        MODEL.tokenizer()
