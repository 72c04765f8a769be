"""Products with vectors of 64 bytes, and the kernels on bfloat16: the numbers of float32, rounded once."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from thriftune.cost.predicted.work import CountWork
from thriftune.models.ops import kernels, products
from thriftune.models.ops.activation import activate
from thriftune.models.ops.kernels.build import build
from thriftune.models.ops.norm import add_norm

needs_kernels = pytest.mark.skipif(build().reason is not None, reason=f"no kernels: {build().reason}")
ROUNDED = {"rtol": 2**-8, "atol": 2**-8}
"""What rounding to bfloat16 changes."""
NARROW = torch.bfloat16


def made(dtype: torch.dtype) -> bool:
    """Whether this processor has the products of a dtype."""
    return build().reason is None and hasattr(build().libraries[dtype], "wide_product")


def numbers(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(*shape).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, NARROW])
@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 70),
    depth=st.integers(1, 40),
    columns=st.integers(1, 80),
    left_turned=st.booleans(),
    right_turned=st.booleans(),
    whole=st.booleans(),
    biased=st.booleans(),
    narrow=st.booleans(),
    threads=st.integers(1, 2),
)
def test_products_are_those_of_float64(
    dtype: torch.dtype,
    rows: int,
    depth: int,
    columns: int,
    left_turned: bool,
    right_turned: bool,
    whole: bool,
    biased: bool,
    narrow: bool,
    threads: int,
) -> None:
    if not made(dtype):
        pytest.skip("this processor has no such vectors")
    if dtype == NARROW:  # whole pairs of numbers
        depth = 2 * depth
    else:
        whole = narrow = False
    torch.manual_seed(rows)
    other = torch.float32 if whole else dtype
    left, right = numbers(rows, depth, dtype=dtype), numbers(depth, columns, dtype=other)
    bias = numbers(columns) if biased else None
    expected = left.double() @ right.to(dtype).double() + (0 if bias is None else bias.double())
    sides = left.t().contiguous() if left_turned else left, right.t().contiguous() if right_turned else right
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        out = kernels.wide(*sides, bias, left_turned, right_turned, narrow)
        again = out.clone()
        kernels.wide_add(again, *sides, left_turned, right_turned)
    finally:
        torch.set_num_threads(before)
    assert out.dtype == (NARROW if narrow else torch.float32)
    close = ROUNDED if narrow else {"rtol": 1e-5, "atol": 1e-5}
    torch.testing.assert_close(out.double(), expected, rtol=close["rtol"], atol=close["atol"])
    added = out.double() + left.double() @ right.to(dtype).double()
    torch.testing.assert_close(again.double(), added, rtol=2 * close["rtol"], atol=2 * close["atol"])


@pytest.mark.parametrize("dtype", [torch.float32, NARROW])
def test_a_depth_of_several_slabs_and_parts_of_larger_tensors(dtype: torch.dtype) -> None:
    if not made(dtype):
        pytest.skip("this processor has no such vectors")
    torch.manual_seed(0)
    left, right = numbers(5000, 24, dtype=dtype)[:, :20], numbers(5000, 42, dtype=dtype)[:, 2:40]
    out = kernels.wide(left, right, left_turned=True)
    torch.testing.assert_close(out.double(), left.double().t() @ right.double(), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, NARROW])
def test_a_rows_result_does_not_depend_on_its_neighbours(dtype: torch.dtype) -> None:
    if not made(dtype):
        pytest.skip("this processor has no such vectors")
    rows, weight = numbers(100, 64, dtype=dtype), numbers(48, 64)
    whole = kernels.wide(rows, weight, right_turned=True)
    for part in (slice(0, 1), slice(3, 20), slice(50, 100)):
        assert torch.equal(kernels.wide(rows[part], weight, right_turned=True), whole[part])


@needs_kernels
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, NARROW])
@settings(max_examples=30, deadline=None)
@given(rows=st.integers(1, 70), width=st.integers(1, 200), beyond=st.integers(0, 5))
def test_column_sums_are_those_of_float64(dtype: torch.dtype, rows: int, width: int, beyond: int) -> None:
    x = numbers(rows, width + beyond, dtype=dtype)[:, :width]
    sums = kernels.column_sums(x)
    assert sums.dtype == (torch.float32 if dtype == NARROW else dtype)
    torch.testing.assert_close(sums.double(), x.double().sum(0), rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(products.column_sums(x).double(), x.double().sum(0), rtol=1e-5, atol=1e-4)
    assert kernels.column_sums(x.to("meta")).shape == (width,)


@pytest.mark.skipif(not made(torch.float32), reason="this processor has no such vectors")
def test_what_does_not_fit_is_refused_and_work_is_counted() -> None:
    rows, weight = numbers(8, 24), numbers(32, 24)
    with pytest.raises(ValueError, match="do not fit"):
        kernels.wide(rows, weight)
    for bias in (numbers(31), numbers(32).double()):
        with pytest.raises(ValueError, match="do not fit"):
            kernels.wide(rows, weight, bias, right_turned=True)
    with CountWork() as counted:
        kernels.wide(rows, weight, right_turned=True)
        kernels.wide_add(torch.zeros(8, 32), rows, weight, right_turned=True)
    assert counted.work.flops == 2 * (2 * 8 * 24 * 32)
    assert kernels.wide(rows.to("meta"), weight.to("meta"), right_turned=True).shape == (8, 32)


@pytest.mark.parametrize("wide", [True, False], ids=["own", "torch"])
@pytest.mark.parametrize("rank", [3, 4])
def test_bfloat16_rows_have_the_gradients_of_float32(wide: bool, rank: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through a Linear and LoRA's update beside it; sums are float32 whichever library makes them."""
    from thriftune.models.ops.linear import _NarrowLora

    if wide and not made(NARROW):
        pytest.skip("this processor has no such vectors")
    if not wide:
        monkeypatch.setattr(kernels, "widens", lambda left, right: False)
    torch.manual_seed(0)
    x = numbers(50, 24, dtype=NARROW).requires_grad_()
    weight, bias = numbers(16, 24).requires_grad_(), numbers(16).requires_grad_()
    down, up = numbers(rank, 24).requires_grad_(), numbers(16, rank).requires_grad_()
    above = numbers(50, 16)
    plain = products.affine(x, weight, bias)
    assert plain.dtype == NARROW
    grads = torch.autograd.grad((plain.float() * above).sum(), [x, weight, bias])
    expected = nn.functional.linear(x.float(), weight, bias)
    torch.testing.assert_close(plain.float(), expected, rtol=0.02, atol=0.1)
    wanted = torch.autograd.grad((expected * above).sum(), [x, weight, bias], retain_graph=True)
    for found, right in zip(grads, wanted, strict=True):
        assert found.dtype == (NARROW if found.shape == x.shape else torch.float32)
        torch.testing.assert_close(found.float(), right.float(), rtol=0.02, atol=0.2)
    adapted = _NarrowLora.apply(x, weight.detach(), bias.detach(), None, down, up, 2.0)
    whole = expected + 2.0 * (x.float() @ down.t()) @ up.t()
    torch.testing.assert_close(adapted.float(), whole, rtol=0.02, atol=0.5)
    mine = torch.autograd.grad((adapted.float() * above).sum(), [x, down, up])
    for found, right in zip(mine, torch.autograd.grad((whole * above).sum(), [x, down, up]), strict=True):
        similar = nn.functional.cosine_similarity(found.float().flatten(), right.float().flatten(), dim=0)
        assert similar > 0.999


@needs_kernels
@pytest.mark.parametrize("first_only", [True, False])
def test_attention_of_bfloat16_is_that_of_its_numbers(first_only: bool) -> None:
    torch.manual_seed(0)
    sizes = torch.tensor([33, 20, 20, 7, 1])
    starts = torch.cat([torch.zeros(1, dtype=torch.int64), sizes.cumsum(0)[:-1]])
    key, value = numbers(81, 32, dtype=NARROW), numbers(81, 32, dtype=NARROW)
    query = numbers(5 if first_only else 81, 32, dtype=NARROW)
    bias = numbers(2, 81)
    attention = kernels.Attention(starts, sizes, 2, 0.25, 0.2, 11, first_only, zero=32)
    ours = attention.forward(query, key, value, bias)
    theirs = attention.forward(query.float(), key.float(), value.float(), bias)
    assert ours.dtype == NARROW
    torch.testing.assert_close(ours.float(), theirs, **ROUNDED)
    grad = numbers(*query.shape, dtype=NARROW)
    mine = attention.backward(grad, query, key, value, bias, bias_too=True)
    wanted = attention.backward(grad.float(), query.float(), key.float(), value.float(), bias, bias_too=True)
    for found, right in zip(mine, wanted, strict=True):
        torch.testing.assert_close(found.float(), right, **ROUNDED)


@needs_kernels
@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_norm_gelu_and_dropout_of_bfloat16_are_those_of_its_numbers(rate: float) -> None:
    norm = nn.LayerNorm(24)
    nn.init.normal_(norm.weight)
    x, residual = (numbers(37, 24, dtype=NARROW).requires_grad_() for _ in range(2))
    wide = [each.detach().float().requires_grad_() for each in (x, residual)]
    above = numbers(37, 24, dtype=NARROW)
    torch.manual_seed(1)
    ours = add_norm(norm, x, residual, rate)
    torch.manual_seed(1)
    theirs = add_norm(norm, *wide, rate)
    assert ours.dtype == NARROW
    assert norm.weight.dtype == torch.float32
    torch.testing.assert_close(ours.float(), theirs, rtol=0.02, atol=0.03)
    mine = torch.autograd.grad(ours, [x, residual, norm.weight, norm.bias], above)
    right = torch.autograd.grad(theirs, [*wide, norm.weight, norm.bias], above.float())
    for a, b in zip(mine, right, strict=True):
        torch.testing.assert_close(a.float(), b, rtol=0.03, atol=0.1)
    gelu = nn.GELU()
    bent = activate(gelu, x)
    torch.testing.assert_close(bent.float(), gelu(x.float()), **ROUNDED)
    torch.testing.assert_close(
        torch.autograd.grad(bent, x, above)[0].float(),
        torch.autograd.grad(gelu(wide[0]), wide[0], above.float())[0],
        **ROUNDED,
    )
    if rate:
        dropped = kernels.dropout(x.detach(), rate, 5)
        torch.testing.assert_close(dropped.float(), kernels.dropout(wide[0].detach(), rate, 5), **ROUNDED)


@needs_kernels
def test_rounding_is_torchs_for_ties_and_for_what_is_no_number() -> None:
    x = torch.tensor([1.00390625, 1.01171875, -1.00390625, 1e30, float("nan"), 0.0])
    rounded = kernels.dropout(x.to(NARROW), 0.25, 3)
    kept = kernels.dropout(x, 0.25, 3)
    factor = 1 / 0.75
    expected = torch.where(kept == 0, kept, x.to(NARROW).float() * factor).to(NARROW)
    torch.testing.assert_close(rounded, expected, equal_nan=True, rtol=0, atol=0)
