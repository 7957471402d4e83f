"""The one exception that is the user's to mend: its message is a single line naming the key, file:line or field, and what to do."""


class UserError(ValueError):
    """A mistake in the command, the config or the data. The command line prints it as one line and exits with code 2."""


class WorkerError(Exception):
    """One of several processes ended in an error that is not the user's; the message says which, of what, and where its
    output lies."""
