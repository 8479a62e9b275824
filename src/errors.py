"""The one exception that users see as a sentence instead of a traceback."""


class UserError(Exception):
    """Something the user can put right: one sentence naming setting, value and remedy; exit code 2."""
