"""Pushes an exported folder to the Hugging Face hub, where it was asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from thriftune.errors import InputError, first_line

LOG_IN = "Log in with `hf auth login`, or set HF_TOKEN to a token that may write."


def check_name(name: str) -> None:
    """Raises `InputError` for what is no OWNER/NAME of the hub."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils._validators import validate_repo_id

    why = "no slash divides it, or several do" if name.count("/") != 1 else None
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        why = first_line(error)
    if why is not None:
        raise InputError(f'--push "{name}" is no name of a model on the hub ({why}). Give OWNER/NAME.')


def check_token() -> None:
    """Raises `InputError` where there is no token, so that nothing is computed in vain."""
    from huggingface_hub import get_token

    if get_token() is None:
        raise InputError(f"--push needs a token of the Hugging Face hub, and none is there. {LOG_IN}")


def push(folder: Path, name: str, *, public: bool = False, say: Callable[[str], None] = lambda _: None) -> str:
    """Uploads a folder as the model `name`, made private if it is new and `public` is not said; returns its address.

    One that exists keeps its visibility. Raises `InputError` where the hub refuses or cannot be reached; the folder
    stays.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    check_name(name)
    check_token()
    say(f"Uploading to {name} ...")
    try:
        api = HfApi()
        api.create_repo(name, private=not public, exist_ok=True, repo_type="model")
        api.upload_folder(
            folder_path=folder,
            repo_id=name,
            commit_message="A classifier exported by Thriftune",
            ignore_patterns=["**/__pycache__/**"],
        )
        return f"{api.endpoint}/{name}"
    except HfHubHTTPError as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        remedy = LOG_IN if status in (401, 403) else "Try again later, or upload the folder with `hf upload`."
        raise InputError(f"The hub did not take {name} ({first_line(error)}). {folder} is kept. {remedy}") from error
    except Exception as error:
        # Which classes mean that there is no connection depends on the HTTP library that huggingface_hub chose.
        raise InputError(
            f"The hub cannot be reached ({first_line(error)}). {folder} is kept: upload it with `hf upload {name} "
            f"{folder}`."
        ) from error
