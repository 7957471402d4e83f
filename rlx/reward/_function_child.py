"""The process of reward=function: it calls the user's function for every line of JSON that comes in, and answers with one.

It runs as a script and imports nothing of rlx: the function finds what it would find if its author ran the file.
"""

import importlib.util
import json
import math
import os
import queue
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, TextIO


def main(file: str, name: str) -> None:
    """Load the function `name` of `file`, say that it is there, and answer requests until there are no more."""
    replies = os.fdopen(os.dup(1), "w", encoding="ascii")
    requests = os.fdopen(os.dup(0), encoding="ascii")
    os.dup2(2, 1)  # what the function prints is no answer
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_read, args=(requests, lines), daemon=True).start()
    try:
        function = _load(file, name)
    except BaseException as error:  # a file may do anything, sys.exit() among it
        _reply(replies, {"error": f"{os.path.basename(file)} cannot be loaded: {_worded(error, file)}"})
        return
    _reply(replies, {"ready": True})
    while True:
        _reply(replies, _answer(function, json.loads(lines.get()), file))


def _read(requests: TextIO, lines: "queue.Queue[str]") -> None:
    for line in requests:
        lines.put(line)
    os._exit(0)  # whoever asks is gone, however it ended; a call that never returns must not outlive it


def _load(file: str, name: str) -> Callable[..., Any]:
    sys.path.insert(0, os.path.dirname(file))
    module_name = os.path.basename(file).removesuffix(".py")
    spec = importlib.util.spec_from_file_location(module_name, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    spec.loader.exec_module(module)
    function = getattr(module, name)
    if not callable(function):
        raise TypeError(f"{name} is a {type(function).__name__} and no function")
    return function


def _answer(function: Callable[..., Any], request: dict[str, list[str]], file: str) -> dict[str, Any]:
    try:
        returned = function(prompts=request["prompts"], completions=request["completions"])
        if isinstance(returned, str | bytes | dict) or not hasattr(returned, "__iter__"):
            return {"error": f"it returned {_short(returned)}, not a list with a number for each completion"}
        return {"scores": [_number(score) for score in returned]}
    except BaseException as error:
        return {"error": f"it raised {_worded(error, file)}"}


def _number(score: Any) -> float | str:
    """A finite float, or what stands in its place. Numbers of numpy and torch are numbers."""
    if not isinstance(score, str | bytes):
        try:
            number = float(score)
        except (TypeError, ValueError, OverflowError):
            return _short(score)
        return number if math.isfinite(number) else str(number)
    return _short(score)


def _short(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def _worded(error: BaseException, file: str) -> str:
    """The error in one line, with the last line of the user's file that led to it."""
    said = " ".join(str(error).split())
    where = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    place = f" ({os.path.basename(file)}:{where[-1]})" if where else ""
    return f"{type(error).__name__}{': ' if said else ''}{said[:300]}{place}"


def _reply(replies: TextIO, content: dict[str, Any]) -> None:
    replies.write(json.dumps(content, allow_nan=False) + "\n")
    replies.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
