"""What the tests of the page share: one study with nasty texts, its page, and one browser."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl
import pytest
from tests.report.browser import Page
from tests.report.synthetic import ODD, VARIANTS, write

from thriftune.analysis.analyse import analyse
from thriftune.report.render import page
from thriftune.results.files import write_text
from thriftune.results.store import Results


@pytest.fixture(scope="session")
def nasty(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """A study whose names, labels and texts try to break out of a page; its report is written."""
    store = write(tmp_path_factory.mktemp("nasty"), VARIANTS["nasty"])
    results = store.load()
    first, *_ = results.study.profile.text_columns
    texts = [*ODD, "long " * 200, *results.test[first].to_list()[len(ODD) + 1 :]]
    store.write_test(results.test.with_columns(pl.Series(first, texts)))
    results = store.load()
    write_text(store.report_path, page(analyse(results)))
    return results


@pytest.fixture(scope="session")
def browser() -> Iterator[Page]:
    """One browser for all tests; every test opens its own page."""
    with Page() as browser:
        yield browser
