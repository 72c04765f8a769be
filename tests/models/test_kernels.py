"""The compiled kernels against torch's own operations, in both number formats; without them nothing breaks."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from thriftune.models.ops import kernels
from thriftune.models.ops.kernels.build import build
from thriftune.models.ops.norm import add_norm

needs_kernels = pytest.mark.skipif(build().reason is not None, reason=f"no kernels: {build().reason}")
TOLERANCE = {torch.float32: {"rtol": 1e-4, "atol": 1e-5}, torch.float64: {"rtol": 1e-10, "atol": 1e-12}}
DTYPES = list(TOLERANCE)


def plain_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention: kernels.Attention,
    bias: torch.Tensor | None = None,
) -> torch.Tensor:
    """The same by torch's operations, one text at a time."""
    out = []
    for text, (start, length) in enumerate(zip(attention.starts.tolist(), attention.lengths.tolist(), strict=True)):
        own = slice(start, start + length)
        rows = query[text : text + 1] if attention.first_only else query[own]
        q, k, v = (part.unflatten(1, (attention.heads, -1)).transpose(0, 1) for part in (rows, key[own], value[own]))
        scores = q @ k.transpose(1, 2) * attention.scale
        if bias is not None:
            distances = torch.arange(length)[None] - torch.arange(q.shape[1])[:, None]
            scores = scores + bias[:, distances + attention.zero]
        if attention.window >= 0:
            far = (torch.arange(q.shape[1])[:, None] - torch.arange(length)[None]).abs() > attention.window
            scores = scores.masked_fill(far, -torch.inf)
        out.append((scores.softmax(-1) @ v).transpose(0, 1).flatten(1))
    return torch.cat(out)


def layout(lengths: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    sizes = torch.tensor(lengths)
    return torch.cat([torch.zeros(1, dtype=torch.int64), sizes.cumsum(0)[:-1]]), sizes


@needs_kernels
@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    heads=st.integers(1, 3),
    vectors=st.integers(1, 3),
    dtype=st.sampled_from(DTYPES),
    first_only=st.booleans(),
    window=st.sampled_from([-1, 0, 3]),
    biased=st.booleans(),
)
def test_attention_and_its_gradients_are_torchs(
    lengths: list[int], heads: int, vectors: int, dtype: torch.dtype, first_only: bool, window: int, biased: bool
) -> None:
    torch.manual_seed(0)
    starts, sizes = layout(lengths)
    hidden, rows = heads * vectors * 8, sum(lengths)
    query = torch.randn(len(lengths) if first_only else rows, hidden, dtype=dtype, requires_grad=True)
    key, value = (torch.randn(rows, hidden, dtype=dtype, requires_grad=True) for _ in range(2))
    attention = kernels.Attention(starts, sizes, heads, 0.3, 0.0, 0, first_only, window, max(lengths) - 1)
    inputs = [query, key, value, *([bias_of(heads, lengths, dtype)] if biased else [])]
    expected = plain_attention(query, key, value, attention, *inputs[3:])
    above = torch.randn_like(expected)
    gradients = torch.autograd.grad((expected * above).sum(), inputs)
    parts = [part.detach() for part in inputs]
    torch.testing.assert_close(attention.forward(*parts), expected.detach(), **TOLERANCE[dtype])
    found = attention.backward(above, *parts, bias_too=biased)
    for ours, theirs in zip(found, gradients, strict=True):
        torch.testing.assert_close(ours, theirs, **TOLERANCE[dtype])
    if biased:
        for first, second in zip(found, attention.backward(above, *parts, bias_too=False), strict=False):
            assert torch.equal(first, second)


def bias_of(heads: int, lengths: list[int], dtype: torch.dtype) -> torch.Tensor:
    """A bias for every distance, which goes on for two vectors."""
    return torch.randn(heads, 2 * max(lengths) - 1 + 2 * kernels.MOST_LANES, dtype=dtype, requires_grad=True)


@needs_kernels
@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(1, 600),
    depth=st.integers(1, 900),
    panels=st.integers(1, 11),
    turned=st.booleans(),
    biased=st.booleans(),
    apart=st.integers(0, 3),
    dtype=st.sampled_from(DTYPES),
)
def test_a_product_is_torchs(
    count: int, depth: int, panels: int, turned: bool, biased: bool, apart: int, dtype: torch.dtype
) -> None:
    """Rows and weights may be parts of wider tensors."""
    torch.manual_seed(0)
    width = panels * 64 // dtype.itemsize

    def part(rows: int, columns: int) -> torch.Tensor:
        return torch.randn(rows, columns + apart, dtype=dtype)[:, :columns]

    rows = part(count, depth)
    weight = part(width, depth) if turned else part(depth, width)
    bias = torch.randn(width, dtype=dtype) if biased else None
    expected = rows.double() @ (weight.t() if turned else weight).double()
    expected = expected if bias is None else expected + bias
    tolerance = {torch.float32: 1e-6, torch.float64: 1e-14}[dtype] * depth
    found = kernels.product(rows, weight, turned, bias)
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=tolerance)


@needs_kernels
@pytest.mark.parametrize("turned", [False, True])
def test_a_row_of_a_product_is_the_same_bits_whatever_stands_beside_it(turned: bool) -> None:
    torch.manual_seed(0)
    rows, weight = torch.randn(700, 500), torch.randn(512, 500) if turned else torch.randn(500, 512)
    whole = kernels.product(rows, weight, turned)
    for own in (slice(0, 1), slice(3, 70), slice(250, 700)):
        assert torch.equal(kernels.product(rows[own], weight, turned), whole[own])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert torch.equal(kernels.product(rows, weight, turned), whole)
    finally:
        torch.set_num_threads(threads)


@needs_kernels
@pytest.mark.parametrize("first_only", [False, True])
def test_attention_dropout_is_linear_in_the_values_and_its_gradients_agree(first_only: bool) -> None:
    """With the mask fixed by the seed, the output is a smooth function: finite differences are the reference."""
    torch.manual_seed(0)
    starts, sizes = layout([7, 3, 1])
    attention = kernels.Attention(starts, sizes, 2, 0.5, 0.3, seed=123456789012345, first_only=first_only, zero=6)
    parts = [torch.randn(3 if first_only and i == 0 else 11, 16, dtype=torch.float64) for i in range(3)]
    parts.append(bias_of(2, [7], torch.float64).detach())
    above = torch.randn_like(attention.forward(*parts))
    for index, gradient in enumerate(attention.backward(above, *parts, bias_too=True)):
        direction = torch.randn_like(parts[index])
        moved = [[p + sign * 1e-6 * direction if i == index else p for i, p in enumerate(parts)] for sign in (1, -1)]
        up, down = ((attention.forward(*m) * above).sum().item() for m in moved)
        assert (gradient * direction).sum().item() == pytest.approx((up - down) / 2e-6, rel=1e-5)


@needs_kernels
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_attention_dropout_drops_probabilities_at_its_rate(dtype: torch.dtype, rate: float) -> None:
    """With equal scores and values of one, an output is the kept share over what is expected."""
    starts, sizes = layout([32] * 200)
    zeros, ones = torch.zeros(6400, 16, dtype=dtype), torch.ones(6400, 16, dtype=dtype)
    out = kernels.Attention(starts, sizes, 2, 1.0, rate, seed=5).forward(zeros, zeros, ones)[:, ::8]
    assert out.mean().item() == pytest.approx(1.0, abs=0.01)
    kept = out * 32 * (1 - rate)
    torch.testing.assert_close(kept, kept.round(), atol=1e-3, rtol=0)
    assert kept.var().item() == pytest.approx(32 * rate * (1 - rate), rel=0.1), "as independent draws do"


@needs_kernels
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("trained", [True, False])
def test_norm_is_torchs(dtype: torch.dtype, trained: bool) -> None:
    torch.manual_seed(0)
    norm = nn.LayerNorm(24, dtype=dtype)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    norm.requires_grad_(trained)
    x, residual = (torch.randn(37, 24, dtype=dtype, requires_grad=True) for _ in range(2))
    wanted = [x, residual, *(p for p in norm.parameters() if trained)]
    above = torch.randn(37, 24, dtype=dtype)
    ours, theirs = add_norm(norm, x, residual, 0.0), norm(residual + x)
    torch.testing.assert_close(ours, theirs, **TOLERANCE[dtype])
    mine = torch.autograd.grad((ours * above).sum(), wanted)
    for a, b in zip(mine, torch.autograd.grad((theirs * above).sum(), wanted), strict=True):
        torch.testing.assert_close(a, b, **TOLERANCE[dtype])


@needs_kernels
def test_norm_dropout_falls_on_x_alone_with_one_mask() -> None:
    torch.manual_seed(0)
    norm = nn.LayerNorm(16, dtype=torch.float64)
    x, residual = (torch.randn(50, 16, dtype=torch.float64, requires_grad=True) for _ in range(2))
    out = add_norm(norm, x, residual, 0.4)
    grad_x, grad_residual = torch.autograd.grad((out * torch.randn_like(out)).sum(), [x, residual])
    mask = grad_x != 0
    assert (~mask).double().mean().item() == pytest.approx(0.4, abs=0.05)
    torch.testing.assert_close(grad_x, grad_residual * mask / 0.6)
    torch.testing.assert_close(out, norm(residual + x * mask / 0.6))


@needs_kernels
def test_masks_are_independent_of_neighbours_and_seeds() -> None:
    ones = torch.ones(1_000_000)
    masks = [(kernels.dropout(ones, 0.5, seed) > 0).float() - 0.5 for seed in (1, 2, 1 << 32, 987654321)]
    for index, mask in enumerate(masks):
        for lag in (1, 2, 7, 8, 64, 384):
            assert abs((mask[lag:] * mask[:-lag]).mean().item() * 4) < 0.005
        for other in masks[index + 1 :]:
            assert abs((mask * other).mean().item() * 4) < 0.005


@needs_kernels
def test_results_do_not_depend_on_how_work_falls_on_threads() -> None:
    starts, sizes = layout([9, 30, 4, 22])
    torch.manual_seed(0)
    parts = [torch.randn(65, 32) for _ in range(3)]
    attention = kernels.Attention(starts, sizes, 4, 0.3, 0.1, seed=3)
    first = attention.forward(*parts)
    assert all(torch.equal(first, attention.forward(*parts)) for _ in range(5))


@pytest.mark.parametrize(
    ("environment", "reason"),
    [({"THRIFTUNE_KERNELS": "off"}, "THRIFTUNE_KERNELS=off"), ({"PATH": "/nowhere"}, "needs Linux, GCC")],
)
def test_without_kernels_a_reason_is_given(environment: dict[str, str], reason: str) -> None:
    code = "from thriftune.models.ops.kernels.build import build; print(build().reason)"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(reason)


@needs_kernels
def test_a_compiler_that_fails_is_a_reason_not_an_error(tmp_path: object) -> None:
    code = "from thriftune.models.ops.kernels.build import build; print(build().reason)"
    environment = {**os.environ, "CC": "false", "THRIFTUNE_CACHE": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "false failed" in done.stdout


def plain_pool(
    query: torch.Tensor, rows: torch.Tensor, pool: kernels.Pool, bias: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """The same by torch's operations, one text at a time."""
    out = []
    for text, (start, length) in enumerate(zip(pool.starts.tolist(), pool.lengths.tolist(), strict=True)):
        own = rows[start : start + length]
        added = 0 if bias is None else bias[:, pool.zero : pool.zero + length]
        out.append((query[:, text] @ own.t() * pool.scale + added).softmax(-1) @ own)
    return torch.stack(out, dim=1), query.new_ones(query.shape[1], query.shape[0])


@needs_kernels
@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    heads=st.integers(1, 7),
    vectors=st.integers(1, 5),
    dtype=st.sampled_from(DTYPES),
    biased=st.booleans(),
)
def test_pooling_and_its_gradients_are_torchs(
    lengths: list[int], heads: int, vectors: int, dtype: torch.dtype, biased: bool
) -> None:
    torch.manual_seed(0)
    starts, sizes = layout(lengths)
    query = torch.randn(heads, len(lengths), 8 * vectors, dtype=dtype, requires_grad=True)
    rows = torch.randn(sum(lengths), 8 * vectors, dtype=dtype, requires_grad=True)
    pool = kernels.Pool(starts, sizes, 0.3, 0.0, 0, max(lengths) - 1)
    bias = bias_of(heads, lengths, dtype) if biased else None
    expected, ones = plain_pool(query, rows, pool, bias)
    above = torch.randn_like(expected)
    gradients = torch.autograd.grad((expected * above).sum(), [query, rows, *([] if bias is None else [bias])])
    parts = [query.detach(), rows.detach()]
    constant = None if bias is None else bias.detach()
    found, sums = pool.forward(*parts, constant)
    torch.testing.assert_close(found, expected.detach(), **TOLERANCE[dtype])
    torch.testing.assert_close(sums, ones, **TOLERANCE[dtype])
    # Without dropout the sums are constant, so a gradient from above changes nothing.
    for from_sums in (torch.zeros_like(sums), torch.randn_like(sums)):
        grads = pool.backward(above, from_sums, *parts, rows_too=True, bias=constant, bias_too=biased)
        for ours, theirs in zip(grads if biased else grads[:2], gradients, strict=True):
            torch.testing.assert_close(
                ours, theirs, **{**TOLERANCE[dtype], "atol": 1e-4 if dtype.itemsize == 4 else 1e-12}
            )
    assert pool.backward(above, ones, *parts, rows_too=False)[1] is None


@needs_kernels
def test_pooling_drops_as_often_as_asked_and_its_gradients_agree() -> None:
    """With the mask fixed by the seed, both outputs are smooth functions: finite differences are the reference."""
    torch.manual_seed(0)
    starts, sizes = layout([7, 3, 1])
    pool = kernels.Pool(starts, sizes, 0.5, 0.3, seed=123456789012345)
    query, rows = torch.randn(3, 3, 8, dtype=torch.float64), torch.randn(11, 8, dtype=torch.float64)
    above, above_sums = torch.randn(3, 3, 8, dtype=torch.float64), torch.randn(3, 3, dtype=torch.float64)

    def value(query: torch.Tensor, rows: torch.Tensor) -> float:
        out, sums = pool.forward(query, rows)
        return float((out * above).sum() + (sums * above_sums).sum())

    grads = pool.backward(above, above_sums, query, rows, rows_too=True)
    for place, (tensor, grad) in enumerate(zip((query, rows), grads[:2], strict=True)):
        direction = torch.randn_like(tensor)
        ends = [[query, rows], [query, rows]]
        ends[0][place], ends[1][place] = tensor + 1e-6 * direction, tensor - 1e-6 * direction
        slope = (value(*ends[0]) - value(*ends[1])) / 2e-6
        assert grad is not None
        assert slope == pytest.approx(float((grad * direction).sum()), rel=1e-5)
    many = kernels.Pool(*layout([1] * 4000), 1.0, 0.3, seed=5)
    _, sums = many.forward(torch.zeros(8, 4000, 8), torch.ones(4000, 8))
    assert (sums == 0).float().mean() == pytest.approx(0.3, abs=0.01)
    assert sums[sums > 0].unique().tolist() == pytest.approx([1 / 0.7])


@needs_kernels
@pytest.mark.parametrize("dtype", DTYPES)
def test_gelu_and_its_gradient_are_torchs(dtype: torch.dtype) -> None:
    x = torch.cat([torch.linspace(-12, 12, 4001, dtype=dtype), torch.tensor([0.0, -0.0, 100.0, -100.0], dtype=dtype)])
    x.requires_grad_(True)
    expected = nn.functional.gelu(x)
    grad = torch.randn_like(expected)
    (gradient,) = torch.autograd.grad((expected * grad).sum(), x)
    tolerance = {"rtol": 1e-6, "atol": 1e-6} if dtype == torch.float32 else {"rtol": 1e-13, "atol": 1e-14}
    torch.testing.assert_close(kernels.gelu(x.detach()), expected.detach(), **tolerance)
    torch.testing.assert_close(kernels.gelu_backward(grad, x.detach()), gradient, **tolerance)
    assert kernels.gelu(torch.tensor([torch.nan], dtype=dtype)).isnan().all()


@needs_kernels
def test_only_the_exact_gelu_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers.activations import ACT2FN

    from thriftune.models.ops import activation

    seen = []
    monkeypatch.setattr(kernels, "gelu", lambda x: seen.append(x) or nn.functional.gelu(x))
    x = torch.randn(5, 8)
    for name in ("gelu", "gelu_new", "relu", "silu", "gelu_pytorch_tanh"):
        torch.testing.assert_close(activation.activate(ACT2FN[name], x), ACT2FN[name](x))
    assert len(seen) == 1
