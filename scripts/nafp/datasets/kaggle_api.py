"""Data sets on Kaggle, by the client of Kaggle's own package."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import requests

from nafp.datasets.download import Locate, TransientError, check_status
from nafp.errors import UserError

NO_CREDENTIALS = (
    "Kaggle: missing or rejected credentials; make a token at "
    "https://www.kaggle.com/settings, then put kaggle.json into ~/.kaggle/, or set KAGGLE_USERNAME and KAGGLE_KEY, or "
    "KAGGLE_API_TOKEN"
)


def locate(handle: str) -> Locate:
    """A function that returns the request for the archive of a data set, ``owner/name``."""
    owner, _, name = handle.partition("/")

    def ask() -> requests.PreparedRequest:
        from kagglesdk.datasets.types.dataset_api_service import ApiDownloadDatasetRequest

        wanted = ApiDownloadDatasetRequest()
        wanted.owner_slug, wanted.dataset_slug = owner, name
        with one_sentence_for(handle), client() as kaggle:
            answer = kaggle.datasets.dataset_api_client.download_dataset(wanted)
            answer.close()  # the client sets no timeout: download() repeats the redirected request with one
        return answer.request

    return ask


def client():
    """Kaggle's client with the user's credentials: a token, a key, or a stored ``kaggle auth login``."""
    from kagglesdk.kaggle_client import KaggleClient
    from kagglesdk.kaggle_creds import KaggleCredentials
    from kagglesdk.kaggle_env import get_access_token_from_env

    username, key = key_of_user()
    token = get_access_token_from_env()[0]
    if not token and not key and (login := KaggleCredentials.load(KaggleClient())):
        token = login.get_access_token()
    return KaggleClient(username=username, password=key, api_token=token)


def key_of_user() -> tuple[str | None, str | None]:
    """User name and key from the environment, else from ``kaggle.json``; None where there are none."""
    config = Path(os.environ.get("XDG_CONFIG_HOME", Path.home() / ".config"))
    folders = [Path.home() / ".kaggle", config / "kaggle"]
    if named := os.environ.get("KAGGLE_CONFIG_DIR"):
        folders = [Path(named)]
    files = [folder / "kaggle.json" for folder in folders]
    found = {}
    for file in [file for file in files if file.is_file()][:1]:
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            found = {"username": found["username"], "key": found["key"]}
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{file}: is not a kaggle.json as Kaggle makes it; {NO_CREDENTIALS}") from error
    return os.environ.get("KAGGLE_USERNAME", found.get("username")), os.environ.get("KAGGLE_KEY", found.get("key"))


@contextlib.contextmanager
def one_sentence_for(handle: str) -> Iterator[None]:
    """Turn HTTP errors of Kaggle's client into UserErrors without keys or addresses."""
    try:
        yield
    except requests.HTTPError as error:
        match error.response.status_code:
            case 401:
                raise UserError(NO_CREDENTIALS) from None
            case 403:
                raise UserError(
                    f"Kaggle: no permission to download {handle} (403); accept its terms, if it has any, at "
                    f"https://www.kaggle.com/datasets/{handle}, and check your token"
                ) from None
            case 404:
                raise UserError(f"Kaggle: there is no data set {handle!r} (404)") from None
        check_status(error.response)
        raise TransientError(str(error.response.status_code)) from None
