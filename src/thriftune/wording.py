"""Numbers as people read them; every sentence, table and terminal line uses these."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from thriftune.metrics import METRICS


def percent(share: float, digits: int = 1) -> str:
    """A share from 0 to 1 as "77.2%"."""
    return f"{100 * share:.{digits}f}%"


def share(part: float) -> str:
    """A share as "36%", with a digit more where it is below 10%: "6.0%"; below 0.1% as "<0.1%"."""
    return "<0.1%" if 0 < part < 5e-4 else percent(part, 0 if part >= 0.0995 else 1)


def bare_percent(share: float) -> str:
    """A share from 0 to 1 as "77.2", for a column whose heading says percent."""
    return percent(share).removesuffix("%")


def percent_range(low: float, high: float, digits: int = 1) -> str:
    """Two shares as "76.4–78.0%", or one where both read the same."""
    first, last = f"{100 * low:.{digits}f}", f"{100 * high:.{digits}f}"
    return f"{first}%" if first == last else f"{first}–{last}%"


def points(difference: float) -> str:
    """A difference of two shares as "0.4 points"."""
    text = f"{100 * abs(difference):.1f}"
    if text == "0.0" and difference != 0:
        return "less than 0.1 points"
    return f"{text} points"


def apart(difference: float) -> str:
    """How far two shares lie from each other: "0.4 points apart", or "no difference"."""
    return f"{points(difference)} apart" if difference else "no difference"


def beside(difference: float) -> str:
    """Where a share lies beside another: "0.4 points above", "0.4 points below", or "level"."""
    return f"{points(difference)} {'above' if difference > 0 else 'below'}" if difference else "level"


def signed_points(difference: float) -> str:
    """A difference of two shares in points as "1.2" or "−0.4", without a unit."""
    return _minus(f"{100 * difference + 0.0:.1f}".replace("-0.0", "0.0"))


def p_value(value: float) -> str:
    """A p value as "0.012"; what three digits cannot show is "<0.001"."""
    return "<0.001" if value < 5e-4 else f"{value:.3f}"


def points_range(low: float, high: float) -> str:
    """Two differences of shares as "−0.4 to 1.2", in points."""
    return f"{signed_points(low)} to {signed_points(high)}"


def count(value: float) -> str:
    """A whole number as "12,345"."""
    return _minus(f"{round(value):,}")


def short_count(value: float) -> str:
    """A whole number in three digits at most: "96", "30.8k", "22.7M", "1.56B"."""
    for unit, amount in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= 0.9995 * amount:
            return f"{number(value / amount)}{unit}"
    return count(value)


def number(value: float) -> str:
    """Three significant digits, or the whole number from 1,000 on."""
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return _minus(f"{value:,.0f}")
    if abs(value) < 1e-3:
        return _minus(f"{value:.3g}")
    digits = max(0, 3 - len(str(int(abs(value)))) if abs(value) >= 1 else _leading_zeros(value) + 3)
    return _minus(f"{value:.{digits}f}")


def epochs(value: float) -> str:
    """Passes over the training texts as "3" or "1.25"."""
    return f"{value:,.2f}".rstrip("0").rstrip(".")


def size(value: float) -> str:
    """Bytes as "12.3 MB"; 1 MB is 1e6 bytes."""
    amount, unit = float(value), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if abs(amount) < 999.5:
            break
        amount, unit = amount / 1000, larger
    if unit == "B":
        return _minus(f"{amount:.0f} B")
    return _minus(f"{amount:.2f} {unit}" if abs(amount) < 9.995 else f"{amount:.1f} {unit}")


def select_score(value: float, select: str) -> str:
    """A validation score by which something is selected: "84.1%", or of a loss "0.4321"."""
    return percent(value) if METRICS[select].kind == "percent" else f"{value:.4f}"


def settings(values: Mapping[str, Any]) -> str:
    """Settings with their values: "learning rate 0.0003, rank 16"."""
    return ", ".join(f"{key.replace('_', ' ')} {_setting(value)}" for key, value in values.items())


def _setting(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "+".join(_setting(item) for item in value)
    if isinstance(value, float):
        return f"{value:.3g}"
    return "none" if value is None else plain(str(value))


def seconds(value: float) -> str:
    """A duration as "0.42 s", "12.3 s", "1 min 32 s" or "2 h 05 min"; "<1 ms" where the clock says no more."""
    if 0 < value < 0.001:
        return "<1 ms"
    if value < 0:
        return f"−{seconds(-value)}"
    if value < 59.95:
        digits = 0 if value == 0 else 3 if value < 0.095 else 2 if value < 9.95 else 1
        return f"{value:.{digits}f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(round(value / 60), 60)
    return f"{hours} h {minutes:02d} min"


def brief(value: float) -> str:
    """The seconds of a moment, in three digits: "4.21 ms", "0.0371 ms", "812 ms"; from one second on as `seconds`."""
    return seconds(value) if value >= 0.9995 else f"{number(value * 1000)} ms"


def short_seconds(value: float) -> str:
    """A duration in two digits or three: "0.4 s", "86 s", "3.5 min", "2.1 h"."""
    if value < 0.0995:
        return seconds(value)
    unit, amount = next(((u, n) for u, n in (("h", 3600), ("min", 60)) if value >= 2 * n), ("s", 1))
    number = value / amount
    return f"{round(number, 1 if number < 9.95 else 0):g} {unit}"


def short_size(value: float) -> str:
    """Bytes in two or three digits: "0.9 MB", "91 MB"; 1 MB is 1e6 bytes."""
    amount, unit = size(value).split(" ")
    number = float(amount.replace("−", "-"))
    return f"{amount if unit == 'B' else f'{number:.0f}' if abs(number) >= 9.95 else f'{number:.1f}'} {unit}"


def ratio(value: float) -> str:
    """A quotient as "1.8x"."""
    if value >= 10:
        return f"{value:,.0f}x"
    if value == 1:
        return "1x"
    if value >= 0.1:
        return f"{value:.1f}x" if abs(value - 1) >= 0.05 else f"{value:.2f}x"
    if 0 < value < 0.001:
        return "<0.001x"
    return f"{value:.1g}x" if value > 0 else "0x"


def listing(names: Sequence[str], limit: int = 6) -> str:
    """Names as "a, b and c"; beyond the limit "a, b and 5 more"."""
    if len(names) > limit:
        return f"{', '.join(names[: limit - 1])} and {len(names) - limit + 1} more"
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def middle_cut(text: str, most: int) -> str:
    """The text in at most so many letters; both ends of a longer one, as names differ there: "lora r8…net-base"."""
    if len(text) <= most:
        return text
    return f"{text[: most // 2 - 1].rstrip()}…{text[-(most // 2) :].lstrip()}"


def plural(number: int, noun: str) -> str:
    """A count with its noun: "1 run", "2 runs"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def plain(text: str) -> str:
    """The text without characters that turn the direction of what follows (U+202A–E, U+2066–9)."""
    return re.sub("[\u202a-\u202e\u2066-\u2069]", "", text)


def first_of(names: Sequence[str], most: int = 6) -> str:
    """The first of some names, and how many more there are: "a, b and 3 more"."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def one_line(text: str) -> str:
    """The text on one line, without characters that a terminal would obey."""
    return "".join(character if character.isprintable() else " " for character in text)


def slug(index: int, text: str) -> str:
    """A file name that user text cannot break: the index, then the text's ASCII letters and digits."""
    words = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40].strip("-")
    return f"{index + 1}-{words}" if words else str(index + 1)


def _minus(text: str) -> str:
    return text.replace("-", "−", 1) if text.startswith("-") else text


def _leading_zeros(value: float) -> int:
    return len(f"{abs(value):.10f}".split(".")[1]) - len(f"{abs(value):.10f}".split(".")[1].lstrip("0"))
