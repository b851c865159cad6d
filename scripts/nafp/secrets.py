"""Removal of secrets from texts and configs: passwords and tokens in URLs, config keys and environment variables."""

import os
import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "***"
_NAMED = r"token|secret|passw|pwd|credential|signature|\bsig\b|auth|api[-_]?key|access[-_]?key|\bkey\b"
_SECRET = re.compile(_NAMED, re.IGNORECASE)
_USER = re.compile(r"(\b[a-z][\w+.-]*://)(?:[^\s/?#@'\"<>]+|[^\s/?#:@'\"<>]+:[^\s@'\"<>]+)@", re.IGNORECASE)
_VALUE = re.compile(rf"([?&;#](?:[^\s=&;#'\"]*?(?:{_NAMED})[^\s=&;#'\"]*)=)[^\s&;#'\"<>]+", re.IGNORECASE)
_ENVIRONMENT = ("MILVUS_TOKEN", "KAGGLE_KEY", "KAGGLE_API_TOKEN")


def hidden(text: str) -> str:
    """Text without secrets: user and password of URLs, and URL parameters named token, key, ...

    Secrets from the environment variables for servers are replaced anywhere in the text.
    """
    for name in _ENVIRONMENT:
        if secret := os.environ.get(name):
            text = text.replace(secret, HIDDEN)
    if "://" not in text:
        return text
    return _VALUE.sub(rf"\g<1>{HIDDEN}", _USER.sub(rf"\g<1>{HIDDEN}@", text))


def without_secrets(value: Any) -> Any:
    """A config, or a part of it, that may be shown and stored: without secrets in texts, or under keys named like secrets."""
    if isinstance(value, Mapping):
        named = {
            key: HIDDEN if one and _SECRET.search(str(key)) else without_secrets(one) for key, one in value.items()
        }
        return {hidden(key) if isinstance(key, str) else key: one for key, one in named.items()}
    if isinstance(value, (list, tuple)):
        return [without_secrets(one) for one in value]
    return hidden(value) if isinstance(value, str) else value
