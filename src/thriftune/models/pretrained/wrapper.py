"""The prefix that a wrapper such as DataParallel put before the names of a checkpoint's tensors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

KNOWN = frozenset(
    {
        *("module", "_orig_mod", "_fsdp_wrapped_module", "_forward_module"),
        *("model", "base_model", "auto_model", "encoder", "text_encoder", "backbone", "transformer", "pretrained"),
        *("network", "net", "lm", "bert", "roberta", "electra", "distilbert", "deberta", "albert", "plm"),
    }
)
"""Parts of a prefix that say nothing but that a model stands inside something else; numbers are such parts, too."""


def wrapper_of(keys: Collection[str], names: Collection[str], own: str) -> str:
    """The known prefix of most keys that are otherwise an encoder's names.

    Empty where there is none, or two that are as frequent. `names` are the encoder's tensors, `own` the prefix that
    they have in the classification network.
    """
    found = Counter(_without(own, prefix) for key in keys if (prefix := _prefix(key, names)) is not None)
    known = Counter({prefix: count for prefix, count in found.items() if _known(prefix)}).most_common(2)
    if not known or (len(known) == 2 and known[0][1] == known[1][1]):
        return ""
    return known[0][0]


def _known(prefix: str) -> bool:
    return all(part in KNOWN or part.isdigit() for part in prefix.split(".")[:-1])


def _without(own: str, prefix: str) -> str:
    """A prefix without the part that is the network's own."""
    ends = bool(own) and (prefix == f"{own}." or prefix.endswith(f".{own}."))
    return prefix.removesuffix(f"{own}.") if ends else prefix


def _prefix(key: str, names: Collection[str]) -> str | None:
    """What stands before the longest end of a key that is one of the names; None where no end is."""
    start = 0
    while key[start:] not in names:
        start = key.find(".", start) + 1
        if start == 0:
            return None
    return key[:start]
