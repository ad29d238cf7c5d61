"""Trained models on the Hugging Face hub: downloaded into its own cache, and written there on request.

Only the files that a model's manifest lists are downloaded, and weights are safetensors: nothing is unpickled.
"""

from __future__ import annotations

import glob
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataset.storage.files import read_json
from problems.engine.checkpoints import store
from problems.engine.runtime.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

SCHEME = "hf://"
_NAME = re.compile(r"(?P<repository>\w[\w.-]*/\w[\w.-]*)(?:@(?P<revision>[\w./-]+))?")


def is_name(place: str) -> bool:
    """True for ``user/name``, or ``user/name@revision``, if there is no such path and no folder ``user`` here."""
    return bool(_NAME.fullmatch(place)) and not Path(place).exists() and not Path(place.split("/")[0]).exists()


def download(name: str) -> Path:
    """The folder of a model in the hub's cache. What is there and whole is not asked for again.

    Args:
        name: ``user/name``, or ``user/name@revision``: a branch, tag or commit.

    Raises:
        ConfigError: huggingface_hub is missing, or the name is not one.
        CheckpointError: the model is not there, or is not one that ``export`` wrote.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise ConfigError(f"{SCHEME}{name} is not a name on the hub: expected {SCHEME}user/name")
    api = _api(name)
    source = {"repo_id": match["repository"], "revision": match["revision"]}
    try:
        folder = _listed_files(api, source, local_files_only=True)
    except (OSError, ValueError):  # not in the cache
        folder = None
    if folder is not None and store.damage(folder) is None:
        return folder
    try:
        return _listed_files(api, source)
    except Exception as error:  # those of the connection have no class that all versions of the library share
        raise CheckpointError(
            f"there is no folder {name}, and as a model on the hub it cannot be loaded: {_reason(error)}"
        ) from error


def _listed_files(api: HfApi, source: dict[str, Any], **options: Any) -> Path:
    """The folder with the files that a model's manifest lists.

    Raises:
        OSError, ValueError: they are not there.
    """
    manifest = Path(api.hf_hub_download(filename=store.MANIFEST, **source, **options))
    try:
        names = [own for own in read_json(manifest)["files"] if store.is_inside(own)]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"its {store.MANIFEST} is not that of a model that export wrote") from error
    wanted = [glob.escape(own) for own in (store.MANIFEST, *names)]
    return Path(api.snapshot_download(allow_patterns=wanted, **source, **options))


def checked_name(name: str) -> str:
    """The name of a repository to write to.

    Raises:
        ConfigError: it is not one, or huggingface_hub is missing.
    """
    name = name.removeprefix(SCHEME)
    if not _NAME.fullmatch(name) or "@" in name:
        raise ConfigError(f"push: {name!r} is not a name on the hub: expected user/name")
    _api(name)
    return name


def push(folder: Path, name: str, private: bool = False) -> str:
    """Write an exported folder to the hub, in one commit; return its URL. The repository is made if it is not there.

    Args:
        name: as :func:`checked_name` gives it.

    Raises:
        CheckpointError: the hub refuses, or cannot be reached.
    """
    api = _api(name)
    try:
        repository = api.create_repo(name, private=private, exist_ok=True)
        api.upload_folder(repo_id=repository.repo_id, folder_path=folder, commit_message="Write the model")
    except Exception as error:  # as in download
        raise CheckpointError(
            f"the hub did not take {name}: {_reason(error)}; log in with `hf auth login`, or set HF_TOKEN to a token"
            " that may write"
        ) from error
    return str(repository)


def _api(name: str) -> HfApi:
    try:
        from huggingface_hub import HfApi
    except ImportError as error:
        raise ConfigError(
            f"there is no folder {name}; as a name on the hub it needs huggingface_hub ({error}):"
            " pip install 'soundstage[hub]'"
        ) from error
    return HfApi(library_name="soundstage")


def _reason(error: Exception) -> str:
    """The beginning of an error of the hub's library, in one line and without the number of the request."""
    text = " ".join(re.sub(r"\(Request ID: [^)]*\)", "", str(error)).split())
    return text[:300].rstrip(".") or type(error).__name__
