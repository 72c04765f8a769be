"""How many tokens a study should leave room for, from a sample of its texts."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SIZES = (32, 64, 128, 256, 512)
QUANTILE = 0.99
"""The share of the texts that are to fit whole."""
_SPECIAL = {1: 2, 2: 3}
"""Special tokens of a text, and of a pair, where no tokenizer is at hand."""


@dataclass(frozen=True)
class TokenRoom:
    """A value for `max_tokens`, and why."""

    max_tokens: int
    reason: str
    lengths: tuple[int, ...] = ()
    """Tokens of each text of the sample, cut at `max_tokens`."""
    words: int | None = None
    """Distinct token ids of the sample; None where they are estimated."""


def token_room(texts: Sequence[list[str]], model: str = "demo:minilm") -> TokenRoom:
    """The smallest size that holds 99% of the texts (one list per text column) as the model's tokenizer sees them.

    No size is beyond the model's positions. Where the model is not on this machine the tokens are estimated from
    the texts' bytes; nothing is downloaded.
    """
    folder = model_folder(model)
    tokenizer = None if folder is None else folder / "tokenizer.json"
    if folder is None or tokenizer is None or not tokenizer.is_file():
        lengths, words = _by_bytes(texts), None
        how = f"an estimate from their bytes, since {model} is not on this machine"
        limit = SIZES[-1]
    else:
        (lengths, words), limit = _by_tokenizer(tokenizer, texts), _positions(folder)
        how = f"for {model}"
    needed = int(np.ceil(np.quantile(lengths, QUANTILE))) if len(lengths) else SIZES[0]
    sizes = [size for size in SIZES if size <= limit] or [limit]
    size = next((size for size in sizes if size >= needed), sizes[-1])
    cut = float((lengths > size).mean()) if len(lengths) else 0.0
    cuts = f"; {cut:.0%} are longer and are cut" if cut > 0.005 else ""
    middle = int(np.median(lengths)) if len(lengths) else 0
    return TokenRoom(
        max_tokens=size,
        reason=f"max_tokens {size}: 99% of the texts have at most {needed:,} tokens (median {middle:,}; {how}){cuts}.",
        lengths=tuple(int(length) for length in np.minimum(np.ceil(lengths), size)),
        words=words,
    )


def next_size(needed: int, limit: int | None) -> int:
    """The smallest of the sizes that holds so many tokens, at most the model's limit."""
    size = next((size for size in SIZES if size >= needed), needed)
    return size if limit is None else min(size, limit)


def model_folder(model: str) -> Path | None:
    """The model's folder where it is on this machine, without a look at its weights."""
    from thriftune.models.pretrained.sources import DEMO_MODELS

    packaged = DEMO_MODELS.get(model.removeprefix("demo:")) if model.startswith("demo:") else None
    if packaged is None:
        return Path(model) if Path(model).is_dir() else None
    spec = importlib.util.find_spec(packaged.package)
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / packaged.folder


def _by_tokenizer(path: Path, texts: Sequence[list[str]]) -> tuple[np.ndarray, int]:
    """Tokens of each text or pair, special ones included, as the tokenizer's own template has them; distinct ids."""
    import tokenizers

    tokenizer = tokenizers.Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    batch = list(texts[0]) if len(texts) == 1 else list(zip(*texts, strict=True))
    encodings = tokenizer.encode_batch_fast(batch)  # type: ignore[arg-type]
    words = set().union(*(encoding.ids for encoding in encodings))
    return np.array([len(encoding.ids) for encoding in encodings]), len(words)


def _by_bytes(texts: Sequence[list[str]]) -> np.ndarray:
    """A token for four ASCII characters or two bytes of others: too many sooner than too few."""

    def tokens(text: str) -> float:
        ascii_bytes = sum(character.isascii() for character in text)
        return ascii_bytes / 4 + (len(text.encode()) - ascii_bytes) / 2

    return np.array([_SPECIAL[len(texts)] + sum(map(tokens, row)) for row in zip(*texts, strict=True)])


def _positions(folder: Path) -> int:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return SIZES[-1]
    limit = config.get("max_position_embeddings") if isinstance(config, dict) else None
    return limit if isinstance(limit, int) and limit > 0 else SIZES[-1]
