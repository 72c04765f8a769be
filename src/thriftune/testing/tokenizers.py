"""Small tokenizers of the kinds that models use, made of letters, so that any text can be encoded."""

from __future__ import annotations

import string
from typing import Any

from tokenizers import pre_tokenizers
from transformers import BertTokenizer, DebertaV2Tokenizer, GPT2Tokenizer, RobertaTokenizer

WORDS = ["the", "cat", "sat", "on", "mat", "dog", "ran"]
MARKS = string.ascii_letters + string.digits + "[]<>/.,!|"


def bert() -> Any:
    """WordPiece, lower case; `[CLS] a [SEP] b [SEP]` with two segments."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *MARKS]
    pieces += [f"##{mark}" for mark in MARKS]
    return BertTokenizer(vocab={piece: i for i, piece in enumerate(dict.fromkeys(pieces))})


def roberta() -> Any:
    """Byte-level BPE; `<s> a </s></s> b </s>`, no segments."""
    pieces = ["<s>", "<pad>", "</s>", "<unk>", *sorted(pre_tokenizers.ByteLevel.alphabet()), "<mask>"]
    pieces += ["th", "the", "Ġc", "at", "Ġcat"]
    merges: Any = [("t", "h"), ("th", "e"), ("Ġ", "c"), ("a", "t"), ("Ġc", "at")]
    return RobertaTokenizer(vocab={piece: i for i, piece in enumerate(pieces)}, merges=merges)


def gpt2() -> Any:
    """Byte-level BPE without a padding token, which adds nothing to a text; a pair is one text after the other."""
    pieces = ["<|endoftext|>", *sorted(pre_tokenizers.ByteLevel.alphabet()), "th", "the", "Ġc", "at", "Ġcat"]
    merges: Any = [("t", "h"), ("th", "e"), ("Ġ", "c"), ("a", "t"), ("Ġc", "at")]
    return GPT2Tokenizer(vocab={piece: i for i, piece in enumerate(pieces)}, merges=merges)


def deberta() -> Any:
    """Unigram, as sentencepiece makes it: the special tokens are pieces of the vocabulary."""
    pieces = [("[PAD]", 0.0), ("[CLS]", 0.0), ("[SEP]", 0.0), ("[UNK]", 0.0)]
    pieces += [(f"▁{word}", -3.0) for word in WORDS]
    pieces += [(mark, -6.0) for mark in ["▁", *MARKS]]
    pieces += [("[MASK]", 0.0)]
    return DebertaV2Tokenizer(vocab=pieces)


KINDS = {"bert": bert, "roberta": roberta, "deberta": deberta, "gpt2": gpt2}
