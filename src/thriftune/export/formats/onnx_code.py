"""The Python of an ONNX folder's card: onnxruntime, tokenizers and numpy alone."""

from __future__ import annotations

from typing import Any

from thriftune.export.trained import Trained
from thriftune.models.trained.usage import example, literal

ALONE = """\
    if len(texts[0]) > 1:  # each by itself: padding would change what the model says
        return np.concatenate([probabilities(*([column] for column in text)) for text in zip(*texts)])
"""


def onnx_code(found: Trained, names: tuple[str, ...], tokenizer: Any) -> str:
    """Python that loads the graph, defines `probabilities` and `labels`, and predicts."""
    usage = found.usage
    labels = ", ".join(literal(label) for label in found.labels)
    parts = [
        "import numpy as np\nimport onnxruntime\nfrom tokenizers import Tokenizer\n",
        'folder = "."',
        'session = onnxruntime.InferenceSession(folder + "/model.onnx", providers=["CPUExecutionProvider"])',
        'tokenizer = Tokenizer.from_file(folder + "/tokenizer.json")  # cuts and pads as it should',
        'tokenizer.encode_special_tokens = True  # "[SEP]" in a text stays text',
        f"labels = [{labels}]\n",
        *_joining(found),
        "",
        "def probabilities(*texts):",
        '    """One row per text and one column per label; `texts` holds a list for each text column."""',
    ]
    if usage.alone:
        parts.append(ALONE.rstrip("\n"))
    parts += _joined(tokenizer) if usage.join is not None else _encoded(names, len(usage.columns))
    parts += ['    return session.run(["probabilities"], inputs)[0]\n\n', example(usage)]
    return "\n".join(parts)


def _encoded(names: tuple[str, ...], columns: int) -> list[str]:
    fields = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
    lines = [f'        "{name}": np.array([each.{fields[name]} for each in encoded], np.int64),' for name in names]
    batch = "list(zip(*texts))" if columns == 2 else "list(texts[0])"
    return [f"    encoded = tokenizer.encode_batch({batch})", "    inputs = {", *lines, "    }"]


def _joining(found: Trained) -> list[str]:
    join = found.usage.join
    if join is None:
        return []
    cut = f"body[:{join.room}]" if join.side == "right" else f"body[-{join.room}:]"
    ids = ", ".join([*map(str, join.before), f"*{cut}", *map(str, join.after)])
    return [
        "tokenizer.no_padding()",
        f'''

def encode(first, second):
    """The token ids of a pair: one text, with a separator between its two parts."""
    first, second = (tokenizer.encode(text, add_special_tokens=False).ids for text in (first, second))
    body = [*first, {join.separator}, *second]
    return [{ids}]
''',
    ]


def _joined(tokenizer: Any) -> list[str]:
    pad, left = tokenizer.pad_token_id or 0, tokenizer.padding_side == "left"
    ids, mask = "[*ids, *rest]", "[1] * len(ids) + [0] * len(rest)"
    if left:
        ids, mask = "[*rest, *ids]", "[0] * len(rest) + [1] * len(ids)"
    return [
        "    rows = [encode(*pair) for pair in zip(*texts)]",
        "    width = max(map(len, rows))",
        f"    padded = [(ids, [{pad}] * (width - len(ids))) for ids in rows]",
        "    inputs = {",
        f'        "input_ids": np.array([{ids} for ids, rest in padded], np.int64),',
        f'        "attention_mask": np.array([{mask} for ids, rest in padded], np.int64),',
        "    }",
    ]
