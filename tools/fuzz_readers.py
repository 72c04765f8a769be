"""Feeds made-up bytes to the file readers, guided by what of the code they reach (atheris): a table or an InputError.

    pip install atheris
    python tools/fuzz_readers.py -max_total_time=600 [-artifact_prefix=FOLDER/] [CORPUS FOLDER]

The first byte of an input chooses the ending that the file has, the second what is asked of it. What raises anything
else than an `InputError` is written as crash-... in the present folder; options are libFuzzer's.
"""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["thriftune.data"]):
    from thriftune.data.guess.inspect import guess
    from thriftune.data.readers.formats import ENDINGS, read_file
    from thriftune.data.table import SourceTable
    from thriftune.errors import InputError

PLACES = [*ENDINGS, "", ".csv.gz", ".jsonl.zst", ".csv.xz", ".csv.bz2", ".zip"]
SEEDS = {
    ".csv": [b"text,label\na,b\n", b'text;label\n"a;""b";c\n', b"sep=;\na;b\n", b"\xef\xbb\xbftext,label\n\xe4,1\n"],
    ".tsv": [b"text\tlabel\na b\tc\n"],
    ".txt": [b"__label__a some words\n__label__b others\n", b"LOC:city Where is it\n"],
    ".json": [b'[{"text": "a", "label": 1}]', b'{"text": {"0": "a"}, "label": {"0": 1}}'],
    ".jsonl": [b'{"text": "a", "label": "b"}\n{"text": null}\n'],
}
FOLDER = tempfile.TemporaryDirectory(prefix="thriftune-fuzz-")


def read(data: bytes) -> None:
    """One input."""
    if len(data) < 2:
        return
    ending, asked, content = PLACES[data[0] % len(PLACES)], data[1] % 3, data[2:]
    path = Path(FOLDER.name) / f"file{ending}"
    path.write_bytes(content)
    with suppress(InputError):
        if asked == 2:
            guess(str(path))
        else:
            assert isinstance(read_file(path, {"text"} if asked else None), SourceTable)


def seed(folder: Path) -> None:
    """Writes inputs that are sound files of each kind."""
    for index, ending in enumerate(PLACES):
        for number, content in enumerate(SEEDS.get(ending, [])):
            for asked in range(3):
                (folder / f"seed-{index}-{number}-{asked}").write_bytes(bytes([index, asked]) + content)


def main() -> None:
    """Fuzzes until an input fails or the time is over."""
    folders = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    corpus = Path(folders[0]) if folders else Path(FOLDER.name) / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    seed(corpus)
    os.environ.setdefault("POLARS_MAX_THREADS", "1")
    arguments = sys.argv if folders else [*sys.argv, str(corpus)]
    atheris.Setup(arguments, read)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
