"""Finds how a text file is encoded: UTF-8 where it can be, else what its bytes say."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import IO

from thriftune.errors import InputError

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CHUNK = 1 << 20
_SAMPLE = 1 << 17
_HIGH = re.compile(rb"[\x80-\xff]")
_HIGH_WORDS = re.compile(rb"[^\s,;\"]*[\x80-\xff][^\s,;\"]*")
_LETTERS = re.compile("[À-ÖØ-öø-ÿŠšŽžŒœŸƒ]")
_PUNCTUATION = re.compile(r"[‘’“”„–—…«»‹›•€£©®™§°\u00a0]|(?<!\w)[¿¡]")
_PAIRS = re.compile(r"(?<=[^\x00-\x7f])[^\x00-\x7f]")
_MISPLACED = re.compile(r"(?<=[^\W\d])[¹²³¼½¾¤¦¨¯¸¿¡†‡ˆ˜¶‰±×÷¬][^\W\d]|[A-Za-z]{2,}[¹³¤¦¨¯¸¿¡ˆ˜]")
_SPANISH = re.compile(r"ñ|(?<!\w)[¿¡][A-Za-zÀ-ÿ]")
_ENOUGH = 12
_NEIGHBOURS = {"cp1250", "cp1254", "cp1257"}
"""Encodings of Latin letters that share most bytes with cp1252."""
_SURER = 1.3
"""How much surer chardet must be of one of these than of cp1252, which more files have."""
_LEAST = 0.05
"""The confidence below which chardet's answer is none; right ones on a line or two have 0.08 and more."""
_SAY = "Set data.encoding to the name of its encoding (utf-8, cp1252, ...), or save the file as UTF-8."


@dataclass(frozen=True)
class Encoding:
    """How a file's bytes become text."""

    codec: str
    guessed: bool
    """Whether the user should be told: neither given nor UTF-8."""


def find_encoding(opened: Callable[[], IO[bytes]], where: str) -> Encoding:
    """The encoding of a text file from its bytes.

    A byte order mark decides; else what is valid UTF-8 is UTF-8, NUL bytes make UTF-16 or UTF-32, and the rest is
    Western (cp1252) where it looks so, else what chardet says. Raises `InputError` for UTF-8 with some wrong bytes,
    naming the first, for binary data, and where nothing fits.
    """
    with opened() as file:
        start = file.read(4)
        for mark, codec in _MARKS:
            if start.startswith(mark):
                return Encoding(codec, guessed=codec != "utf-8-sig")
    wide, valid = _scan(opened)
    if wide:
        return _without_mark(opened, where, valid)
    if valid:
        return Encoding("utf-8", guessed=False)
    return _eight_bit(opened, where)


def wrong_byte(opened: Callable[[], IO[bytes]], codec: str, where: str) -> InputError:
    """What to say of a file that its encoding does not fit: the place of the first wrong byte."""
    position, line = _first_wrong(opened, codec)
    name = "UTF-8" if codec.startswith("utf-8") else codec
    remedy = "Save the file as UTF-8 (in a spreadsheet: CSV UTF-8), or set data.encoding."
    return InputError(f"{where} is not {name}: byte {position} (line {line}) cannot be read. {remedy}")


def _first_wrong(opened: Callable[[], IO[bytes]], codec: str) -> tuple[int, int]:
    decoder = codecs.getincrementaldecoder(codec)()
    position, line = 0, 1
    with opened() as file:
        for chunk in _chunks(file):
            state = decoder.getstate()[0]
            pending = len(state) if isinstance(state, bytes) else 0
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError as error:
                at = max(error.start - pending, 0)
                return position + error.start - pending, line + chunk.count(b"\n", 0, at)
            position += len(chunk)
            line += chunk.count(b"\n")
    return position, line


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk


def _scan(opened: Callable[[], IO[bytes]]) -> tuple[bool, bool]:
    """Whether the bytes hold NUL, and whether they are UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    wide, valid = False, True
    with opened() as file:
        for chunk in chain(_chunks(file), [b""]):
            wide = wide or b"\x00" in chunk
            if valid:
                try:
                    decoder.decode(chunk, final=not chunk)
                except UnicodeDecodeError:
                    valid = False
            if wide and not valid:
                break
    return wide, valid


def _without_mark(opened: Callable[[], IO[bytes]], where: str, valid: bool) -> Encoding:
    """UTF-16 or UTF-32 from where the NUL bytes stand."""
    with opened() as file:
        head = file.read(_SAMPLE)
    head = head[: len(head) // 4 * 4] or head
    shares = [head[i::4].count(0) / max(len(head[i::4]), 1) for i in range(4)]
    for codec, places in (("utf-32-le", (2, 3)), ("utf-32-be", (0, 1))):
        if all(shares[i] > 0.9 for i in places) and _decodes(head, codec):
            return Encoding(codec, guessed=True)
    if valid and max(shares) < 0.2:
        return Encoding("utf-8", guessed=False)
    likely = [codec for codec in ("utf-16-le", "utf-16-be") if _decodes(head, codec)]
    if likely:
        best = max(likely, key=lambda codec: _plain_share(head.decode(codec, "replace")))
        if _plain_share(head.decode(best, "replace")) > 0:
            return Encoding(best, guessed=True)
    raise InputError(f"{where} is not text: it holds NUL bytes. Give a text file (csv, tsv, jsonl), parquet or xlsx.")


def _decodes(head: bytes, codec: str) -> bool:
    try:
        text = codecs.getincrementaldecoder(codec)().decode(head)
    except UnicodeDecodeError:
        return False
    return "\x00" not in text and bool(text)


def _plain_share(text: str) -> float:
    return sum(text.count(mark) for mark in '\n\r\t ,;"{}') / len(text)


def _eight_bit(opened: Callable[[], IO[bytes]], where: str) -> Encoding:
    import chardet

    sample = _sample(opened)
    text = sample.decode("utf-8", "replace")
    replaced = text.count("�")
    if sum(ord(character) > 127 for character in text) - replaced >= replaced:
        raise wrong_byte(opened, "utf-8", where)
    western = _western(sample)
    seen = sample if western is not None else b"\n".join(_HIGH_WORDS.findall(sample))
    answers = chardet.detect_all(
        seen, encoding_era=chardet.EncodingEra.MODERN_WEB, prefer_superset=True, ignore_threshold=True
    )
    found = {_codec(answer["encoding"]): answer["confidence"] for answer in reversed(answers)}
    codec = max(found, key=lambda name: found[name], default=None)
    if western is not None:
        surer = codec in _NEIGHBOURS and found[codec] > _SURER * found.get("cp1252", 0.0)
        if not surer or western < _ENOUGH:
            return Encoding("cp1252", guessed=True)
    clear = codec is not None and found[codec] >= _LEAST and not codec.startswith("utf")
    if codec is None or not clear or not _is_text(sample, codec):
        raise InputError(f"{where} is not UTF-8, and its encoding is not clear from its bytes. {_SAY}")
    return Encoding(codec, guessed=True)


def _sample(opened: Callable[[], IO[bytes]]) -> bytes:
    """Lines with bytes beyond ASCII, up to 128 KiB."""
    lines: list[bytes] = []
    size = 0
    with opened() as file:
        for line in file:
            for part in line.splitlines(keepends=True):
                if _HIGH.search(part):
                    lines.append(part[:_SAMPLE])
                    size += len(lines[-1])
            if size >= _SAMPLE:
                break
    return b"".join(lines)


def _western(sample: bytes) -> int | None:
    """The number of accented letters that leave it open, where the bytes look like Western text; else None."""
    try:
        text = sample.decode("cp1252")
    except UnicodeDecodeError:
        return None
    words = _PUNCTUATION.sub(" ", text)
    high = sum(ord(character) > 127 for character in words)
    if len(_PAIRS.findall(words)) > 0.3 * high or len(_MISPLACED.findall(text)) > 0.03 * high:
        return None
    if re.search(r"[\x00-\x08\x0e-\x1f]", text):
        return None
    return 0 if _SPANISH.search(text) else len(_LETTERS.findall(text))


def _codec(name: str | None) -> str | None:
    if name is None:
        return None
    try:
        return codecs.lookup(name).name
    except LookupError:
        return None


def _is_text(sample: bytes, codec: str) -> bool:
    """Whether the decoded bytes are characters, not controls."""
    text = codecs.getincrementaldecoder(codec)("replace").decode(sample)
    return not re.search(r"[\x00-\x08\x0e-\x1f\x80-\x84\x86-\x9f\ufffd]", text)
