"""Numbers as people read them."""

from __future__ import annotations

import pytest

from thriftune import wording as f


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f.percent(0.772), "77.2%"),
        (f.percent_range(0.764, 0.78), "76.4–78.0%"),
        (f.percent_range(0.48, 0.481, 0), "48%"),
        (f.points(-0.004), "0.4 points"),
        (f.points(0.0001), "less than 0.1 points"),
        (f.apart(-0.004), "0.4 points apart"),
        (f.apart(0.0), "no difference"),
        (f.beside(-0.004), "0.4 points below"),
        (f.beside(0.004), "0.4 points above"),
        (f.beside(0.0), "level"),
        (f.size(999), "999 B"),
        (f.size(12_300_000), "12.3 MB"),
        (f.size(999_999_999), "1.00 GB"),
        (f.seconds(0.012), "0.012 s"),
        (f.seconds(0.42), "0.42 s"),
        (f.seconds(59.97), "1 min 0 s"),
        (f.seconds(92), "1 min 32 s"),
        (f.seconds(3599.8), "1 h 00 min"),
        (f.seconds(7500), "2 h 05 min"),
        (f.ratio(1.77), "1.8x"),
        (f.ratio(1), "1x"),
        (f.ratio(1.04), "1.04x"),
        (f.ratio(101.2), "101x"),
        (f.ratio(0.04), "0.04x"),
        (f.ratio(9e-5), "<0.001x"),
        (f.number(0.41512), "0.415"),
        (f.number(0.0412), "0.0412"),
        (f.number(12345.6), "12,346"),
        (f.number(-5.152), "−5.15"),
        (f.number(0.0001), "0.0001"),
        (f.number(0.00003), "3e-05"),
        (f.seconds(0), "0 s"),
        (f.count(-16108), "−16,108"),
        (f.listing(["a", "b", "c"]), "a, b and c"),
        (f.listing(list("abcdefgh"), 4), "a, b, c and 5 more"),
        (f.plural(1, "run"), "1 run"),
        (f.slug(0, "LoRA r8/../../x"), "1-lora-r8-x"),
        (f.slug(1, "שלום"), "2"),
        (f.plain("a\u202eb\u2066c"), "abc"),
    ],
)
def test_formats(text: str, expected: str) -> None:
    assert text == expected


def test_long_names_keep_both_ends() -> None:
    assert f.middle_cut("lora r8 all demo:mpnet-base", 22) == "lora r8 al…:mpnet-base"
    assert f.middle_cut("full", 22) == "full"
    assert len(f.middle_cut("a" * 90, 40)) == 40
