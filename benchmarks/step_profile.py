"""Where the time of our training steps goes, by kind of operator, under torch's profiler.

    python benchmarks/step_profile.py                  # LoRA on all layers and full fine-tuning
    python benchmarks/step_profile.py --methods "top_layers 2"

MiniLM on SNLI pairs, batch 32. The profiler itself slows the small operators; the products' rate is little touched.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from typing import Any, cast

from arms import METHODS, Job, classifier_of, texts_of, tokens_of
from compare import merge, table
from torch.profiler import ProfilerActivity, profile

from thriftune.cost.measured.environment import use_all_processors
from thriftune.cost.predicted.work import CountWork
from thriftune.engine.allocator import keep_freed_memory
from thriftune.engine.batches import training_batches
from thriftune.engine.examples import Examples
from thriftune.engine.frozen.cache import PrefixCache
from thriftune.engine.frozen.layers import run_prefix
from thriftune.engine.frozen.words import narrow
from thriftune.engine.step import Step, build_optimizer

KINDS = {
    "matrix products": (
        "thriftune::product",
        "thriftune::wide",
        "thriftune::wide of bfloat16",
        "thriftune::wide_add of bfloat16",
        "aten::mm",
        "aten::addmm",
        "aten::bmm",
    ),
    "attention": (
        "thriftune::attention",
        "thriftune::attention_backward",
        "thriftune::pool",
        "thriftune::pool_backward",
    ),
    "GELU": ("thriftune::gelu", "thriftune::gelu_backward", "aten::gelu", "aten::gelu_backward"),
    "LayerNorm": ("thriftune::add_norm", "thriftune::add_norm_backward"),
    "copies": ("aten::copy_", "aten::cat"),
    "AdamW and clipping": (
        "aten::_fused_adamw_",
        "aten::_foreach_norm",
        "aten::linalg_vector_norm",
        "aten::_foreach_mul_",
        "aten::mul_",
    ),
}
REST = "everything else"
WHOLE = "a step, not profiled"
RATE = "gflop_per_second"


def main() -> None:
    """Profiles, prints a table and merges the rows into benchmarks/results/step_profile.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="*", default=["lora all", "full"], choices=list(METHODS))
    parser.add_argument("--texts", type=int, default=640)
    args = parser.parse_args()
    use_all_processors()
    keep_freed_memory()
    rows = [row for method in args.methods for row in _profiled(method, args.texts)]
    columns = {"method": "", "kind": "", "milliseconds": ".1f", "share": ".1%", RATE: ".0f"}
    print(table(rows, columns))
    print(merge("step_profile", vars(args), rows, ("method", "kind")))


def _profiled(method: str, count: int) -> list[dict[str, Any]]:
    """A row for each kind of operator, and one for a whole step without the profiler."""
    job = Job("ours", method, count)
    texts, labels = texts_of(job)
    classifier, rate = classifier_of(job)
    examples = Examples(tokens_of(classifier, texts), labels)
    examples = run_prefix(classifier, {"train": examples}, job.protocol, PrefixCache(None))["train"]
    _, narrowed = narrow(classifier, [examples], job.protocol)
    examples = cast("Examples", narrowed[0])
    classifier.train_mode(True)
    step = Step(classifier, examples, job.protocol, build_optimizer(classifier, job.protocol.optimizer, rate))
    batches = training_batches(count, job.batch_size, job.seed, 0)
    with CountWork() as counter:
        _run(step, batches, rate)
    _run(step, batches, rate)
    whole = _run(step, batches, rate)
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        _run(step, batches, rate)
    spent: dict[str, float] = defaultdict(float)
    kind_of = {name: kind for kind, names in KINDS.items() for name in names}
    for event in profiler.key_averages():
        spent[kind_of.get(event.key, REST)] += event.self_cpu_time_total / 1e3 / len(batches)
    flops = sum(counter.work.products.get(name, 0) for name in KINDS["matrix products"]) / len(batches)
    total = sum(spent.values())
    rows: list[dict[str, Any]] = [
        {"method": method, "kind": kind, "milliseconds": spent[kind], "share": spent[kind] / total, RATE: None}
        for kind in (*KINDS, REST)
    ]
    rows[0][RATE] = flops / spent["matrix products"] / 1e6
    seconds = whole / len(batches)
    return [*rows, {"method": method, "kind": WHOLE, "milliseconds": 1e3 * seconds, "share": None, RATE: None}]


def _run(step: Step, batches: list[Any], rate: float) -> float:
    started = time.perf_counter()
    for batch in batches:
        step([batch], rate)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
