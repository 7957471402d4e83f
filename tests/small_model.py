"""Model directories of real text for tests, made in a second by the script that users have."""

import importlib.util
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "scripts/make_small_model.py"


def make_small_model(directory: Path, texts: Path, **options: object) -> Path:
    """A random model with its tokenizer in `directory`, learnt from a text file; `options` are the script's, e.g.
    architecture="gemma", chat_template=True."""
    spec = importlib.util.spec_from_file_location("make_small_model", SCRIPT)
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    words = ["--out", str(directory), *(() if "preferences" in options else ("--texts", str(texts)))]
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        words += [flag] if value is True else [flag, str(value)]
    script.main(words)
    return directory
