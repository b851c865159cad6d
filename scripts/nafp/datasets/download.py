"""Downloads into a partial file that the next call continues, checked against the length and hash that the server states."""

import base64
import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path

import google_crc32c
import requests
from tqdm import tqdm

from nafp.errors import UserError
from nafp.files import atomic_write

TIMEOUT_S = (15, 60)  # seconds to connect, and between bytes
ATTEMPTS = 5  # consecutive attempts without progress
WAIT_S = 1.0  # wait after the first of them; it doubles with each further one
LONGEST_WAIT_S = 60.0
BLOCK = 2**20
HASHES = {"md5": hashlib.md5, "crc32c": google_crc32c.Checksum}  # hashes that a server may state, the stronger first
TRANSIENT_STATUS = {408, 429, 500, 502, 503, 504}  # HTTP: worth another attempt

Locate = Callable[[], requests.PreparedRequest]


class TransientError(Exception):
    """A failure that another attempt may not meet; ``wait_s``: how long the server asks to wait."""

    def __init__(self, reason: str, wait_s: float = 0.0):
        super().__init__(reason)
        self.wait_s = wait_s


def plain(url: str) -> Locate:
    """The request for a public file."""
    return requests.Request("GET", url).prepare


def fetch(url: str, sha256: str, path: Path | str) -> None:
    """Download a small file; UserError if that fails or it is not the expected one, and nothing is left on disk then."""
    path = Path(path)
    if path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256:
        return
    try:
        download(plain(url), path, url)
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != sha256:
            raise UserError(f"{url}: is not the expected file (SHA-256 {found}, expected {sha256}); try again later")
    except UserError as error:
        for left in (path, *partial_files(path)):
            left.unlink(missing_ok=True)
        if "cannot be downloaded" in str(error):
            raise UserError(f"{error}; download it elsewhere and name the file instead") from error
        raise


def download(locate: Locate, path: Path, name: str, check_room: Callable[[int], None] = lambda left: None) -> None:
    """Download the file of the request that ``locate`` returns (called for each attempt: addresses expire) to ``path``.

    Continues the partial file beside ``path`` as long as the server has the same object (ETag or date, and length).
    ``name``: the file's name in messages. ``check_room`` gets the number of bytes still to come and raises UserError if the
    disk has no room for them. The hash that a server states is checked. Raises UserError; the partial file is then kept,
    unless its content is wrong.
    """
    part, _ = partial_files(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    failures = 0
    while True:
        before = size_of(part)
        try:
            stated = attempt(locate, path, check_room)
            break
        except (TransientError, requests.RequestException) as error:
            failures = 1 if size_of(part) > before else failures + 1
            if failures == ATTEMPTS:
                kept = f"; {size_of(part):,} bytes are kept, run the same command to go on" if size_of(part) else ""
                raise UserError(f"{name}: cannot be downloaded ({reason_of(error)}){kept}") from error
            wait = min(max(getattr(error, "wait_s", 0.0), WAIT_S * 2 ** (failures - 1)), LONGEST_WAIT_S)
            print(f"{name}: {reason_of(error)}; trying again in {wait:.0f} s")
            time.sleep(wait)
        except PermanentError as error:
            raise UserError(f"{name}: cannot be downloaded ({error})") from error
    finish(path, name, stated)


class PermanentError(Exception):
    """A failure that another attempt would meet again."""


def attempt(locate: Locate, path: Path, check_room: Callable[[int], None]) -> tuple[str, str] | None:
    """Download until the connection breaks; returns the hash that the server states, once the partial file is complete."""
    part, record = partial_files(path)
    with requests.Session() as session:
        answer = ask(session, locate(), {})
        identity = {
            "tag": answer.headers.get("ETag") or answer.headers.get("Last-Modified"),
            "bytes": length_of(answer),
        }
        have = size_of(part) if same_object(record, identity) else 0
        if 0 < have < identity["bytes"]:
            answer.close()
            answer = ask(session, locate(), {"Range": f"bytes={have}-", "If-Range": identity["tag"]})
            if answer.status_code != 206:  # the object just changed, or the server does not support ranges
                have = 0
        stated = stated_hash(answer.headers)
        if have != identity["bytes"]:
            check_room((identity["bytes"] or have) - have)
            with atomic_write(record) as new:
                new.write_text(json.dumps(identity), encoding="utf-8")
            receive(answer, part, have, identity["bytes"], path.name)
        answer.close()
    if identity["bytes"] is not None and size_of(part) != identity["bytes"]:
        raise TransientError(f"{size_of(part):,} bytes came, not the {identity['bytes']:,} that the server stated")
    return stated


def ask(session: requests.Session, request: requests.PreparedRequest, headers: dict[str, str]) -> requests.Response:
    """The response to a request, its body unread; PermanentError or TransientError for an HTTP error."""
    request = request.copy()
    request.headers.update({"Accept-Encoding": "identity", **headers})
    settings = session.merge_environment_settings(request.url, {}, True, None, None)
    answer = session.send(request, timeout=TIMEOUT_S, **settings)
    check_status(answer)
    return answer


def check_status(answer: requests.Response) -> None:
    """Raise TransientError for HTTP errors of TRANSIENT_STATUS, PermanentError for others."""
    if answer.status_code < 400:
        return
    reason = f"{answer.status_code} {answer.reason}"
    if answer.status_code in TRANSIENT_STATUS:
        asked = answer.headers.get("Retry-After", "")
        raise TransientError(reason, float(asked) if asked.isdecimal() else 0.0)
    raise PermanentError(reason)


def receive(answer: requests.Response, part: Path, have: int, total: int | None, name: str) -> None:
    """Write the body behind the first ``have`` bytes of the partial file."""
    bar = tqdm(total=total, initial=have, unit="B", unit_scale=True, desc=f"downloading {name}")
    with open(part, "r+b" if have else "wb") as file, bar:
        file.seek(have)
        for block in answer.iter_content(BLOCK):
            file.write(block)
            bar.update(len(block))


def finish(path: Path, name: str, stated: tuple[str, str] | None) -> None:
    """Check the complete partial file and rename it."""
    part, record = partial_files(path)
    if stated:
        kind, expected = stated
        found = hash_of(part, kind)
        if found != expected:
            part.unlink()
            record.unlink(missing_ok=True)
            raise UserError(
                f"{name}: checksum mismatch after download ({kind.upper()} {found}, the server states {expected}); it was "
                "removed, run the same command again"
            )
    part.replace(path)
    record.unlink(missing_ok=True)


def hash_of(path: Path, kind: str) -> str:
    """One of HASHES of a file, in hex."""
    digest = HASHES[kind]()
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.digest().hex()


def partial_files(path: Path) -> tuple[Path, Path]:
    """Paths of an incomplete download, and of the record of the server's object that it is a part of."""
    return path.with_name(f"{path.name}.partial"), path.with_name(f"{path.name}.partial.json")


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def length_of(answer: requests.Response) -> int | None:
    stated = answer.headers.get("Content-Length", "")
    return int(stated) if stated.isdecimal() else None


def same_object(record: Path, identity: dict) -> bool:
    """Whether the partial file is known to be a part of the object that the server has now."""
    if None in identity.values() or not record.exists():
        return False
    return json.loads(record.read_text(encoding="utf-8")) == identity


def stated_hash(headers: requests.structures.CaseInsensitiveDict) -> tuple[str, str] | None:
    """Kind and hex of the hash in the header of Google's storage, ``x-goog-hash: crc32c=<base64>, md5=<base64>``.

    Objects that were uploaded in parts have no MD5 there.
    """
    known = dict(one.strip().partition("=")[::2] for one in headers.get("x-goog-hash", "").split(","))
    return next(((kind, base64.b64decode(known[kind]).hex()) for kind in HASHES if kind in known), None)


def reason_of(error: Exception) -> str:
    """Why a connection failed, without the address, which may hold a key."""
    if isinstance(error, TransientError):
        return str(error)
    if isinstance(error, requests.Timeout):
        return "the server does not answer"
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(cause)
    known = [e for e in chain if isinstance(e, OSError) and e.strerror]
    return known[-1].strerror if known else "the connection was cut"
