"""A file of a Zenodo record: found by its checksum, downloaded so that a broken download goes on, and checked."""

from collections.abc import Mapping
from pathlib import Path

import requests

from nafp.datasets.download import TIMEOUT_S, download, hash_of, partial_files, plain
from nafp.disk import check_free_space
from nafp.errors import UserError

API = "https://zenodo.org/api/records"


def file_of_record(record: int, md5: str, api: str = API) -> Mapping:
    """The entry (key, size, links) of the file of a record with this MD5; UserError if there is none, or no answer."""
    address = f"{api}/{record}"
    elsewhere = f"download the file elsewhere (https://zenodo.org/records/{record}) and name it: archive"
    try:
        answer = requests.get(address, timeout=TIMEOUT_S)
        answer.raise_for_status()
        files = answer.json()["files"]
    except (requests.RequestException, KeyError, TypeError, ValueError) as error:
        reason = (
            f"{answer.status_code} {answer.reason}"
            if isinstance(error, requests.HTTPError)
            else "no answer that is one"
        )
        raise UserError(f"{address}: cannot be asked ({reason}); try again later, or {elsewhere}") from error
    found = [file for file in files if file.get("checksum") == f"md5:{md5}"]
    if not found:
        names = ", ".join(f"{file.get('key')} ({file.get('checksum')})" for file in files) or "no file"
        raise UserError(f"{address}: has no file with MD5 {md5}, but {names}; correct md5, or {elsewhere}")
    return found[0]


def fetch_from_zenodo(record: int, md5: str, path: Path, api: str = API) -> None:
    """Bring the file of a record with this MD5 to ``path``, unless it is there. UserError as ``file_of_record`` and ``download``
    raise it, and for a download with another MD5, which is removed."""
    if path.exists() and hash_of(path, "md5") == md5:
        return
    file = file_of_record(record, md5, api)

    def room(left: int) -> None:
        check_free_space({path.parent: left}, file["key"])

    path.parent.mkdir(parents=True, exist_ok=True)
    download(plain(file["links"]["self"]), path, file["key"], room)
    check_md5(path, md5)


def check_md5(path: Path, md5: str, remove: bool = True) -> None:
    """Refuse a file with another MD5; ``remove``: and delete it, since it was downloaded."""
    if (found := hash_of(path, "md5")) == md5:
        return
    if not remove:
        raise UserError(f"{path}: has MD5 {found}, not {md5}; it is another file, or damaged")
    for left in (path, *partial_files(path)):
        left.unlink(missing_ok=True)
    raise UserError(f"{path}: has MD5 {found}, not {md5}, and has been removed; run the same command again")
