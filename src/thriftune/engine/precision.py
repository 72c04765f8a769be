"""Which number format a run computes in, on the processor at hand."""

from __future__ import annotations

from dataclasses import replace

from thriftune.engine.protocol import Precision, Protocol


def ran(protocol: Protocol) -> Precision:
    """The precision of a protocol that is `settled`."""
    if protocol.precision == "auto":
        raise ValueError("auto is not settled")
    return protocol.precision


def settled(protocol: Protocol, device: str) -> tuple[Protocol, str | None]:
    """The protocol with the precision that runs on a device, cpu or cuda, and what is to be said of it.

    `auto` is bf16 on processors that multiply it and have the kernels, else fp32: docs/how-it-is-fast.md has what that
    changes. A processor without the unit would run bf16 many times slower than fp32, which it then runs.
    """
    from thriftune.models.ops import kernels

    if protocol.precision not in ("auto", "bf16") or (protocol.precision == "bf16" and device != "cpu"):
        return protocol, None
    if protocol.precision == "auto":
        fits = device == "cpu" and kernels.has_narrow()
        return replace(protocol, precision="bf16" if fits else "fp32"), None
    if kernels.multiplies_narrow():
        return protocol, None
    return replace(protocol, precision="fp32"), (
        "protocol.precision is bf16, for which this processor has no unit (AVX512-BF16 or AMX): fp32 runs instead, "
        "which is many times faster here."
    )
