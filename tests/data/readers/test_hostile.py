"""Any bytes give a table or an `InputError`."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thriftune.data.readers.formats import ENDINGS, read_file
from thriftune.data.table import SourceTable
from thriftune.errors import InputError

PIECES = [b'"', b",", b"\t", b"\n", b"\r", b"{", b"[", b"]", b"}", b":", b"1", b"a", b"\x00", b"\xff", b"\xe9", b"NaN"]
PIECES += [
    b'"text"',
    b"text",
    b"label",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"sep=;\n",
    b"__label__a ",
    b"A:b ",
    b"\x1f\x8b",
    b"PK\x03\x04",
]
ANY = st.one_of(st.binary(max_size=200), st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join))


@settings(max_examples=400, deadline=None)
@given(content=ANY, ending=st.sampled_from([*ENDINGS, "", ".csv.gz", ".zip"]), wanted=st.sampled_from([None, {"text"}]))
def test_any_bytes(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, ending: str, wanted: set[str] | None
) -> None:
    path = Path(tmp_path_factory.getbasetemp()) / f"hostile{ending}"
    path.write_bytes(content)
    with suppress(InputError):
        assert isinstance(read_file(path, wanted), SourceTable)
