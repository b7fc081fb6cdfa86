"""Models on the Hugging Face hub: `hf:owner/name` fetched into the hub's own cache, and models put there."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from unveil.errors import InvalidModel, InvalidRequest, MissingExtra, ModelError, ModelNotFound
from unveil.models.card import Card
from unveil.models.file import KEY, LARGEST_FILE, Model, read_card, write
from unveil.models.page import write_page

if TYPE_CHECKING:
    from huggingface_hub import HfApi

PREFIX = "hf:"
FILE = "model.safetensors"
SUFFIX = ".safetensors"
PATIENCE = 20.0
"""Seconds to wait for an answer of the hub before the copy in the cache is used."""

# The hub's own rule for names: no two dots or dashes in a row.
_NAME = r"(?![^/@]*(?:--|\.\.))\w[\w.-]*"
_ADDRESS = re.compile(
    rf"(?P<repository>{_NAME}/{_NAME})"
    r"(?:/(?P<file>[^@]+))?(?:@(?P<revision>[^@\s]+))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a model lies on the hub. `file` is None where the repository's own name for it is to be used."""

    repository: str
    file: str | None = None
    revision: str | None = None

    @property
    def candidates(self) -> tuple[str, ...]:
        """Files that may be the model, the likeliest first."""
        if self.file is not None:
            return (self.file,)
        return (FILE, self.repository.partition("/")[2] + SUFFIX)

    def __str__(self) -> str:
        file = f"/{self.file}" if self.file else ""
        return f"{PREFIX}{self.repository}{file}{f'@{self.revision}' if self.revision else ''}"


def is_address(text: str) -> bool:
    """Whether the text names a model on the hub."""
    return text.startswith(PREFIX)


def parse(text: str) -> Address:
    """`hf:owner/name`, `hf:owner/name@revision` or `hf:owner/name/folder/file.safetensors`.

    Raises:
        InvalidRequest: of another form, or a file that is not .safetensors.
    """
    match = _ADDRESS.fullmatch(text.removeprefix(PREFIX))
    if not is_address(text) or match is None:
        raise InvalidRequest(f"{text!r} is no address on the hub; write hf:owner/name, or hf:owner/name@revision.")
    file = match["file"]
    if file is not None and not (file.endswith(SUFFIX) and _stays_inside(file)):
        raise InvalidRequest(f"{text}: only model files ending in {SUFFIX} are fetched, they cannot hold code.")
    revision = match["revision"]
    if revision is not None and not _stays_inside(revision):
        raise InvalidRequest(f"{text}: {revision!r} is no name of a branch, a tag or a commit.")
    return Address(match["repository"], file, revision)


def _stays_inside(name: str) -> bool:
    """Whether a name with slashes lies below the folder it is joined to, on every system: the hub's cache does so."""
    return name.isprintable() and not {"", ".", ".."} & set(name.split("/")) and not set("\\:") & set(name)


@lru_cache(maxsize=32)
def fetch(text: str) -> Path:
    """The model file of an address, downloaded once into the hub's cache; a process asks the hub once.

    The header is looked at first: a file without unveil's card, or larger than a model file may be, is not downloaded.
    Where the hub is out of reach (`HF_HUB_OFFLINE=1` says so on purpose), the copy in the cache is used.

    Raises:
        MissingExtra: huggingface_hub is not installed.
        ModelNotFound: no such repository, revision or file, no right to it, or out of reach and not in the cache.
        InvalidModel, ModelTooNew: the file is not a model file that this version can use.
    """
    address = parse(text)
    api = _api(None)
    # Its stub speaks of a progress bar's type that has none.
    from huggingface_hub import hf_hub_download, try_to_load_from_cache  # pyright: ignore[reportUnknownVariableType]
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        info = api.model_info(address.repository, revision=address.revision, files_metadata=True, timeout=PATIENCE)
    except GatedRepoError as error:
        raise ModelNotFound(f"{address}: its owner must grant access first; ask for it on the model's page.") from error
    except RepositoryNotFoundError as error:
        raise ModelNotFound(
            f"{address}: the hub has no such repository, or it is private; for those set HF_TOKEN."
        ) from error
    except RevisionNotFoundError as error:
        raise ModelNotFound(f"{address}: the repository has no branch, tag or commit of this name.") from error
    # Which class a failed connection has depends on huggingface_hub's version; none of them is a bug of ours.
    except Exception as error:
        return _cached(address, error)
    sizes = {entry.rfilename: entry.size for entry in info.siblings or ()}
    name = _choose(address, sizes)
    there = try_to_load_from_cache(address.repository, name, revision=info.sha)
    if not isinstance(there, str):
        _check_size(address, name, sizes[name])
        _check_header(api, address, name)
    try:
        path = Path(hf_hub_download(address.repository, name, revision=address.revision, library_name="unveil"))
    except Exception as error:
        raise ModelError(f"{address}: the download of {name} failed ({_reason(error)}); try again.") from error
    read_card(path)
    return path


def push(model: Model, repository: str, *, token: str | None = None, private: bool = False) -> str:
    """Put a model and its page (README.md) on the hub in one commit; make the repository if there is none.

    Args:
        repository: `owner/name`.
        token: of an account that may write there; None takes that of `HF_TOKEN` or of `hf auth login`.
        private: whether a repository that is made now is private.

    Returns:
        The address of the repository's page.

    Raises:
        InvalidRequest: `repository` is of another form.
        ModelError: the hub refuses, or is out of reach; nothing was changed there.
    """
    address = parse(PREFIX + repository.removeprefix(PREFIX))
    if address.file is not None or address.revision is not None:
        raise InvalidRequest(f"{repository!r}: expected owner/name and nothing after it.")
    api = _api(token)
    from huggingface_hub import CommitOperationAdd

    page = write_page(model.card, address.repository)
    with tempfile.TemporaryDirectory(prefix="unveil-") as folder:
        path = write(model, Path(folder) / FILE)
        files = [CommitOperationAdd(FILE, str(path)), CommitOperationAdd("README.md", page.encode())]
        try:
            place = api.create_repo(address.repository, private=private, exist_ok=True)
            api.create_commit(address.repository, files, commit_message=f"{model.card.name}, a model file of unveil")
        except Exception as error:
            _refuse(address, error)
    return str(place)


def _api(token: str | None) -> HfApi:
    try:
        from huggingface_hub import HfApi
    except ModuleNotFoundError as missing:
        raise MissingExtra("Models on the Hugging Face hub", "hub") from missing
    from unveil import __version__

    return HfApi(token=token, library_name="unveil", library_version=__version__)


def _choose(address: Address, sizes: dict[str, int | None]) -> str:
    for name in address.candidates:
        if name in sizes:
            return name
    models = [name for name in sizes if name.endswith(SUFFIX)]
    if models:
        found = f"it has {', '.join(models[:8])}; name one: {PREFIX}{address.repository}/{models[0]}"
    else:
        found = f"it has no file ending in {SUFFIX} at all, so it is no model of unveil"
    raise ModelNotFound(f"{address}: the repository has no {' or '.join(address.candidates)}; {found}")


def _check_size(address: Address, name: str, size: int | None) -> None:
    if size is None or size > LARGEST_FILE:
        found = "of unknown size" if size is None else f"{size / 1e9:.1f} GB"
        raise InvalidModel(
            f"{address}: {name} is {found}, the limit is {LARGEST_FILE / 1e9:.1f} GB; "
            "download it yourself and give its path if that is meant."
        )


def _check_header(api: HfApi, address: Address, name: str) -> None:
    """Read the card from the file's first bytes, so that a foreign file of gigabytes is not fetched in vain."""
    try:
        header = api.parse_safetensors_file_metadata(address.repository, name, revision=address.revision)
    except Exception as error:
        raise InvalidModel(f"{address}: {name} is not a safetensors file ({_reason(error)}).") from error
    if KEY not in header.metadata:
        raise InvalidModel(
            f"{address}: {name} is a safetensors file, but without unveil's card; "
            "download it and make a model file of it with `unveil convert`."
        )
    try:
        Card.from_json(header.metadata[KEY])
    except ModelError as error:
        raise type(error)(f"{address}: {error}") from error


def _cached(address: Address, error: Exception) -> Path:
    from huggingface_hub import try_to_load_from_cache

    for name in address.candidates:
        there = try_to_load_from_cache(address.repository, name, revision=address.revision)
        if isinstance(there, str):
            read_card(there)
            return Path(there)
    raise ModelNotFound(
        f"{address}: the hub is out of reach ({_reason(error)}) and the model is not in the cache; "
        "fetch it once while online, or give the path of a model file."
    ) from error


def _refuse(address: Address, error: Exception) -> NoReturn:
    status: Any = getattr(getattr(error, "response", None), "status_code", None)
    advice = {
        401: "the token is missing or wrong: run `hf auth login`, or set HF_TOKEN",
        403: "the token may not write there: it needs the right to write, and the owner must be yours",
    }.get(status, _reason(error))
    raise ModelError(f"{address}: the hub did not take the model; {advice}.") from error


def _reason(error: Exception) -> str:
    """The first line of what huggingface_hub says, which may go on for a page."""
    lines: Callable[[str], list[str]] = str.splitlines
    with suppress(IndexError):
        return lines(str(error).strip())[0].rstrip(".:")
    return type(error).__name__
