"""`python -m rlx.compute.worker MODULE CONFIG`: what a launcher starts. Runs MODULE.work(CONFIG) and leaves, for the
launcher to word, why it ended."""

import importlib
import json
import os
import signal
import sys
import time
import traceback
import warnings
from pathlib import Path

from rlx.compute.hang import worded
from rlx.core.error import UserError
from rlx.process.parent import end_with_parent
from rlx.process.stop import Stopped


def main() -> int:
    module, config = sys.argv[1:]
    end_with_parent()  # a launcher that is killed would leave its workers behind
    warnings.simplefilter("ignore", FutureWarning)  # what DeepSpeed and TRL will have to change
    try:
        importlib.import_module(module).work(Path(config))
    except Stopped as stopped:
        for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT):  # more of them may come while we leave
            signal.signal(number, signal.SIG_IGN)
        return stopped.code
    except UserError as error:
        leave(str(error), user_error=True)
        return 2
    except Exception as error:
        traceback.print_exc()
        leave(worded(error), user_error=False)
        return 1
    return 0


def leave(message: str, user_error: bool) -> None:
    """Write why this process ends, in the file and the form that torch's elastic agent reads."""
    if path := os.environ.get("TORCHELASTIC_ERROR_FILE"):
        more = {"py_callstack": traceback.format_exc(), "timestamp": str(int(time.time())), "user_error": user_error}
        Path(path).write_text(json.dumps({"message": {"message": message, "extraInfo": more}}), encoding="utf-8")


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # not through the destructors of process groups whose other ends may be gone
