"""Small tokenizers with settings and tokens of their publishers' own."""

from __future__ import annotations

from typing import Any

from transformers import AlbertTokenizer, CamembertTokenizer, XLMRobertaTokenizer

from thriftune.testing import tokenizers as tiny_tokenizers
from thriftune.testing.tokenizers import MARKS, WORDS

MARKERS = ("[E1]", "<e1>")


def albert() -> Any:
    """Unigram, lower case, with two segments, which its class in transformers 5 does not return."""
    pieces = [("<pad>", 0.0), ("<unk>", 0.0), ("[CLS]", 0.0), ("[SEP]", 0.0), ("[MASK]", 0.0)]
    pieces += [(f"▁{word}", -3.0) for word in WORDS]
    pieces += [(mark, -6.0) for mark in dict.fromkeys(["▁", *MARKS.lower()])]
    return AlbertTokenizer(vocab=pieces)


def xlm_roberta() -> Any:
    """Unigram; `<s> a </s></s> b </s>`, no segments."""
    return XLMRobertaTokenizer(vocab=[*_specials("<s>", "<pad>", "</s>", "<unk>"), *_pieces(), *_specials("<mask>")])


def camembert() -> Any:
    """The same with the special tokens in other places, as fairseq left them."""
    specials = _specials("<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<unk>NOTUSED", "<s>", "</s>")
    return CamembertTokenizer(vocab=[*specials, *_pieces(), *_specials("<mask>")])


def _specials(*names: str) -> list[tuple[str, float]]:
    return [(name, 0.0) for name in names]


def _pieces() -> list[tuple[str, float]]:
    return [(f"▁{word}", -3.0) for word in WORDS] + [(mark, -6.0) for mark in ["▁", *MARKS]]


def marked(kind: str) -> Any:
    """One of the tiny tokenizers with a further special token and an ordinary added one."""
    tokenizer = tiny_tokenizers.KINDS[kind]()
    tokenizer.add_special_tokens({"additional_special_tokens": [MARKERS[0]]})
    tokenizer.add_tokens([MARKERS[1]])
    return tokenizer
