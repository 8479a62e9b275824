"""Texts of the user's, written so that Hydra's grammar leaves them alone."""

import re
from typing import Any

from hydra.core.override_parser.types import Quote, QuotedString


def quoted(text: str) -> str:
    """Quote a text such that Hydra and OmegaConf hand it on unchanged, whatever is in it."""
    # ${ would be looked up; OmegaConf wants it escaped, and backslashes just before it doubled.
    escaped = re.sub(r"(\\*)\$\{", lambda match: match.group(1) * 2 + r"\${", text)
    return QuotedString(escaped, Quote.double).with_quotes()


def written(value: Any) -> str:
    """A setting's value as one types it for Hydra."""
    if isinstance(value, list):
        return f"[{','.join(written(each) for each in value)}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return quoted(value) if isinstance(value, str) else repr(value)
