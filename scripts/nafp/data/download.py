"""Small files from the web, checked against a known checksum."""

import hashlib
import http.client
import urllib.error
import urllib.request
from pathlib import Path

from nafp.errors import UserError
from nafp.files import written_whole

TIMEOUT_S = 60


def fetch(url: str, sha256: str, path: Path | str) -> None:
    """Download a file whole; UserError if it cannot be had or is not the expected one, and nothing is written then."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            data = answer.read()
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", None) or error
        raise UserError(
            f"{url}: cannot be downloaded ({reason}); download it elsewhere and name the file instead"
        ) from error
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise UserError(f"{url}: is not the expected file (SHA-256 {found}, expected {sha256}); try again later")
    with written_whole(path) as part:
        part.write_bytes(data)
