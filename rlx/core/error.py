"""The one exception that is the user's to mend: its message is a single line naming the key, file:line or field, and what to do."""


class UserError(ValueError):
    """A mistake in the command, the config or the data. The command line prints it as one line and exits with code 2."""
