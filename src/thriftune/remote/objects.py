"""The files of a folder elsewhere: listed, read and written, with retries, and with errors in words."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from thriftune.errors import InputError, first_line
from thriftune.remote.url import file_system, shown

T = TypeVar("T")
WAITS = (1.0, 3.0, 9.0)
"""Seconds before each further attempt at what a network did not do."""
AT_FIRST = (1.0,)
"""The same before anything is computed, when an error is best seen soon."""
_LASTING = (FileNotFoundError, PermissionError, FileExistsError, IsADirectoryError, NotADirectoryError, ValueError)
_WRONG = ("Credential", "Profile", "ParamValidation", "InvalidRegion", "Token", "Auth", "InvalidEndpoint", "Login")
"""Parts of the names of errors that no further attempt mends."""


class UnreachableError(InputError):
    """A folder elsewhere cannot be read or written; the message says why and what to do."""


class Objects:
    """The folder that a URL names. Names are relative, with slashes."""

    def __init__(self, url: str, waits: tuple[float, ...] = WAITS) -> None:
        self.url = url
        self.name = shown(url)
        """For people."""
        self.waits = waits
        self._files, self._root = file_system(url)

    def sizes(self) -> dict[str, int]:
        """Bytes of every file below the folder, by name; empty where nothing is there.

        Raises `UnreachableError`, and `InputError` for names that are no relative paths.
        """

        def find() -> dict[str, int]:
            self._files.invalidate_cache()
            try:
                found = self._files.find(self._root, detail=True)
            except FileNotFoundError:
                return {}
            return {path: int(about.get("size") or 0) for path, about in found.items()}

        root = self._root.strip("/") + "/"
        sizes = {}
        for path, size in self._tried("be read", find).items():
            whole = path.lstrip("/")
            if not whole.startswith(root) or whole.endswith("/"):
                continue
            name = whole[len(root) :]
            if any(part in ("", ".", "..") for part in name.split("/")) or "\\" in name or "\0" in name:
                raise InputError(f"{self.name} holds a file called {name!r}, which is no path here. Remove it.")
            sizes[name] = size
        return sizes

    def read(self, name: str) -> bytes | None:
        """A file's bytes; None where it is not there."""

        def cat() -> bytes | None:
            try:
                return bytes(self._files.cat_file(self._path(name)))
            except FileNotFoundError:
                return None

        return self._tried("be read", cat)

    def exists(self, name: str = "") -> bool:
        """Whether a file (or, without a name, the folder or file itself) is there."""
        self._files.invalidate_cache()
        return bool(self._tried("be read", lambda: self._files.exists(self._path(name))))

    def is_file(self) -> bool:
        """Whether the URL names a file."""
        return bool(self._tried("be read", lambda: self._files.isfile(self._root)))

    def version(self) -> str:
        """What changes when the file that the URL names does: its hash or time, as far as the store tells."""
        return str(self._tried("be read", lambda: self._files.ukey(self._root)))

    def write(self, name: str, data: bytes) -> None:
        """Writes a small file."""
        self._tried("be written to", lambda: self._piped(name, data, "overwrite"))

    def create(self, name: str, data: bytes) -> bool:
        """Writes a small file where none is; returns whether it did.

        One of several that try at once does, where the store has such a write (S3, GCS, memory); elsewhere who looks
        first.
        """

        def pipe() -> bool:
            try:
                self._piped(name, data, "create")
            except FileExistsError:
                return False
            except (TypeError, NotImplementedError):
                if self._files.exists(self._path(name)):
                    return False
                self._piped(name, data, "overwrite")
            return True

        if self.exists(name):
            return False
        return self._tried("be written to", pipe)

    def put(self, local: Path, name: str) -> None:
        """Copies a local file there."""

        def put() -> None:
            self._folder(name)
            self._files.put_file(str(local), self._path(name))

        self._tried("be written to", put)

    def get(self, name: str, local: Path) -> None:
        """Copies a file here, atomically. Raises `UnreachableError`, also where it is not there any more."""
        local.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".get.", dir=local.parent)
        os.close(handle)
        try:
            self._tried("be read", lambda: self._files.get_file(self._path(name), temporary))
            Path(temporary).chmod(0o644)
            Path(temporary).replace(local)
        finally:
            Path(temporary).unlink(missing_ok=True)

    def delete(self, name: str) -> None:
        """Deletes a file; nothing where it is not there."""

        def rm() -> None:
            with suppress(FileNotFoundError):
                self._files.rm_file(self._path(name))

        self._tried("be written to", rm)

    def _piped(self, name: str, data: bytes, mode: str) -> None:
        self._folder(name)
        if mode == "overwrite":
            self._files.pipe_file(self._path(name), data)
        else:
            self._files.pipe_file(self._path(name), data, mode=mode)

    def _folder(self, name: str) -> None:
        """Makes the folder of a file where the place has folders; object stores have none, and buckets are not made."""
        if not _has_buckets(self._files.protocol):  # s3fs would make a bucket of a wrong name
            self._files.makedirs(self._path(name).rpartition("/")[0], exist_ok=True)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root

    def _tried(self, what: str, attempt: Callable[[], T]) -> T:
        """What `attempt` returns, tried again after some errors; raises `UnreachableError` in the end."""
        for wait in (*self.waits, None):
            try:
                return attempt()
            except InputError:
                raise
            except Exception as error:
                # Each kind of store has errors of its own.
                if wait is None or _lasts(error):
                    raise UnreachableError(f"{self.name} cannot {what}: {reason(error)}") from error
            time.sleep(wait)
        raise AssertionError("the last attempt returns or raises")


def _has_buckets(protocol: str | tuple[str, ...]) -> bool:
    names = {protocol} if isinstance(protocol, str) else set(protocol)
    return bool(names & {"s3", "gs", "gcs", "s3a", "abfs", "abfss", "az", "adl", "oss", "oci"})


def _lasts(error: BaseException) -> bool:
    return isinstance(error, _LASTING) or any(part in type(error).__name__ for part in _WRONG)


def reason(error: BaseException) -> str:
    """Why a store did not do something, and what to do about it, in sentences."""
    kind, said = type(error).__name__, first_line(error).rstrip(".")
    if isinstance(error, FileNotFoundError):
        return f"it is not there, or its bucket is not ({said}). Look at the name, and make the bucket first."
    if isinstance(error, PermissionError) or "Credential" in kind or "Auth" in kind or "Token" in kind:
        return (
            f"these credentials do not allow it, or there are none ({said}). Set them as the store's own tools take "
            "them: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or a profile, GOOGLE_APPLICATION_CREDENTIALS, "
            "AZURE_STORAGE_ACCOUNT_NAME ..."
        )
    return (
        f"{said}. Look at the network, and at the address of the store where it is not the usual one (AWS_ENDPOINT_URL "
        "for S3)."
    )
