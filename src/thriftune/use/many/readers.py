"""Equal tokenizers of several classifiers become one: a vocabulary of 30,000 words takes about 15 MB in each."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from weakref import WeakValueDictionary

from thriftune.engine.stored.reader import Reader
from thriftune.models.pretrained.tokenizer import TOKENIZER_FILES


class SharedReaders:
    """The readers of texts that were shared, by what lies in the tokenizers' files; one without a user is let go."""

    def __init__(self) -> None:
        self._known: WeakValueDictionary[tuple[object, ...], Reader] = WeakValueDictionary()

    def shared(self, folder: Path, reader: Reader) -> Reader:
        """The reader with the tokenizers of a known one whose files are the same; its tokens are the same too."""
        known = self._known.setdefault(_content(folder, reader), reader)
        if known is reader:
            return reader
        return replace(reader, tokenizer=known.tokenizer, source=known)


def _content(folder: Path, reader: Reader) -> tuple[object, ...]:
    names = {path for pattern in ("*token*.json", *TOKENIZER_FILES) for path in folder.glob(pattern) if path.is_file()}
    files = tuple((path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in sorted(names))
    joined = reader.usage.join is not None
    return (files, joined, None if joined else reader.usage.max_tokens)
