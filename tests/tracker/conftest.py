import pytest


@pytest.fixture(autouse=True)
def nothing_known_about_wandb(monkeypatch, tmp_path):
    """No key, no mode and no netrc of whoever runs the tests."""
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_RUN_ID", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
