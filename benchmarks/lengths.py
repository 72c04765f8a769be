"""How long SNLI pairs are in BERT's word pieces: counts for benchmarks on machines that have no tokenizer.

python benchmarks/lengths.py        # writes benchmarks/snli_lengths.json
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from arms import Job, texts_of

from thriftune.data.tokens import encode
from thriftune.models.pretrained.sources import resolve_model
from thriftune.models.pretrained.tokenizer import load_tokenizer

LENGTHS = Path(__file__).parent / "snli_lengths.json"


def main() -> None:
    """Counts the validation pairs by their tokens, special ones included."""
    texts, labels = texts_of(Job(arm="ours", method="full", texts=9842))
    tokens = encode(load_tokenizer(resolve_model("demo:minilm")), texts, 256, token_types=False)
    counts = Counter(int(length) for length in tokens.lengths)
    LENGTHS.write_text(json.dumps({str(length): counts[length] for length in sorted(counts)}) + "\n", encoding="utf-8")
    print(f"{len(labels)} pairs, {len(tokens.ids) / len(labels):.1f} tokens on average: {LENGTHS}")


if __name__ == "__main__":
    main()
