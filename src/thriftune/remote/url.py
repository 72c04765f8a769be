"""URLs of folders and files: which texts are some, and what is needed to reach them."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from thriftune.errors import InputError, first_line
from thriftune.paths import slug

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(/+)(.*)", re.DOTALL)
_LOCAL = ("file", "local")
_EXTRAS = {
    **dict.fromkeys(("s3", "s3a"), "thriftune[s3]"),
    **dict.fromkeys(("gs", "gcs"), "thriftune[gcs]"),
    **dict.fromkeys(("az", "abfs", "abfss", "adl"), "thriftune[azure]"),
}
"""What to install for a scheme."""
_PASSWORD = re.compile(r"(?<=://)([^/@:]*):[^/@]*@")


def url_of(text: str | Path) -> str | None:
    """The URL that a text is, without a slash at its end; None for paths.

    `pathlib` makes one slash of two; they are two again. `file://` URLs are URLs too (`local_path`). What exists under
    such a name here is a path.
    """
    found = _URL.fullmatch(str(text))
    if found is None:
        return None
    scheme, slashes, rest = found[1].lower(), found[2], found[3].rstrip("/")
    if isinstance(text, Path) and text.exists():
        return None
    root = "/" if scheme in _LOCAL or len(slashes) > 2 else ""
    return f"{scheme}://{root}{rest}"


def local_path(url: str) -> Path | None:
    """The path that a `file://` URL names; None for URLs of other places."""
    scheme, _, rest = url.partition("://")
    return Path(rest or "/") if scheme in _LOCAL else None


def place_of(text: str | Path) -> str | Path:
    """What a user names as a place: a URL of somewhere else, or a path, which a `file://` URL is too."""
    url = url_of(text)
    if url is None:
        return text if isinstance(text, Path) else Path(text)
    return local_path(url) or url


def last_name(url: str) -> str:
    """What a copy of a URL's folder or file is called: its last part, as part of a path."""
    return slug(PurePosixPath(url.partition("://")[2]).name)


def last_file(url: str) -> str:
    """What a copy of a URL's file is called: as there, with its ending."""
    name = url.rpartition("/")[2]
    return name if name not in (".", "..") and not re.search(r"[\\\0:]", name) else "data"


def shown(url: str) -> str:
    """A URL as it is printed: without a password."""
    return _PASSWORD.sub(r"\1:***@", url)


def file_system(url: str) -> tuple[AbstractFileSystem, str]:
    """What reaches a URL, and the path there, by fsspec and its own configuration.

    Raises `InputError` for a scheme that nothing here reads, and names the package where one is missing.
    """
    import fsspec

    scheme, _, rest = url.partition("://")
    if scheme not in fsspec.available_protocols():
        raise InputError(
            f'{shown(url)}: "{scheme}" is no kind of place that is known here. Give a folder, or a URL of '
            "s3://BUCKET/FOLDER, gs://BUCKET/FOLDER, az://CONTAINER/FOLDER or another that fsspec reaches."
        )
    if not rest.strip("/"):
        raise InputError(f"{shown(url)} names no folder. Write {scheme}://BUCKET/FOLDER.")
    if any(part in (".", "..") for part in rest.split("/")):
        raise InputError(f"{shown(url)} holds . or .. as a name. Give the folder's whole URL without them.")
    try:
        options: dict[str, Any] = {"use_listings_cache": False}
        found, path = fsspec.core.url_to_fs(url, **options)
    except ImportError as error:
        package = _EXTRAS.get(scheme)
        needed = f"pip install '{package}'" if package else f"install what fsspec needs for it ({first_line(error)})"
        raise InputError(f"{shown(url)} needs a package that is not installed: {needed}.") from error
    except (ValueError, TypeError, OSError) as error:
        raise InputError(f"{shown(url)} cannot be opened: {first_line(error)}.") from error
    return found, path.rstrip("/")
