"""The kernels of `batch_norm_triton`, which says what they compute. Importing this imports Triton."""

# Annotations are read by Triton, and tl.constexpr among them is no shape.
import triton
import triton.language as tl

from inr_plugins.networks.kernels.pointwise_triton_kernels import real_jet


@triton.jit
def normalize_rows(
    x,
    mean,
    inverse,
    weight,
    bias,
    out,
    rows,
    first,
    omega,
    KIND: tl.constexpr,
    INNER: tl.constexpr,
    VARIABLE: tl.constexpr,
    DETACH: tl.constexpr,
    CHANNELS: tl.constexpr,
    PADDED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """out = f(bias + weight (x - mean) inverse)."""
    channel = tl.arange(0, PADDED)
    inside = channel < CHANNELS
    middle = tl.load(mean + channel, mask=inside, other=0.0)
    gain = tl.load(inverse + channel, mask=inside, other=0.0) * tl.load(weight + channel, mask=inside, other=0.0)
    summand = tl.load(bias + channel, mask=inside, other=0.0)
    row = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = (row[:, None] < rows) & inside[None, :]
    place = row[:, None].to(tl.int64) * CHANNELS + channel[None, :]
    value = tl.load(x + place, mask=mask, other=0.0).to(tl.float32)
    z = summand[None, :] + (value - middle[None, :]) * gain[None, :]
    result, _, _ = real_jet(z, first, omega, KIND, INNER, VARIABLE, DETACH)
    tl.store(out + place, result.to(out.dtype.element_ty), mask=mask)


@triton.jit
def gradient_sums(
    x,
    grad,
    mean,
    inverse,
    weight,
    bias,
    parts,
    rows,
    blocks,
    first,
    omega,
    KIND: tl.constexpr,
    INNER: tl.constexpr,
    VARIABLE: tl.constexpr,
    DETACH: tl.constexpr,
    CHANNELS: tl.constexpr,
    PADDED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Sums of g = f' grad and of g (x - mean) inverse over the rows of each program, into (programs, 2, channels)."""
    channel = tl.arange(0, PADDED)
    inside = channel < CHANNELS
    middle = tl.load(mean + channel, mask=inside, other=0.0)
    spread = tl.load(inverse + channel, mask=inside, other=0.0)
    factor = tl.load(weight + channel, mask=inside, other=0.0)
    summand = tl.load(bias + channel, mask=inside, other=0.0)
    total = tl.zeros([PADDED], dtype=tl.float32)
    weighed = tl.zeros([PADDED], dtype=tl.float32)
    for k in range(blocks):
        row = (tl.program_id(0) * blocks + k) * BLOCK + tl.arange(0, BLOCK)
        mask = (row[:, None] < rows) & inside[None, :]
        place = row[:, None].to(tl.int64) * CHANNELS + channel[None, :]
        value = tl.load(x + place, mask=mask, other=0.0).to(tl.float32)
        g = tl.load(grad + place, mask=mask, other=0.0).to(tl.float32)
        normalized = (value - middle[None, :]) * spread[None, :]
        z = summand[None, :] + normalized * factor[None, :]
        _, slope, _ = real_jet(z, first, omega, KIND, INNER, VARIABLE, DETACH)
        g = tl.where(mask, g * slope, 0.0)
        total += tl.sum(g, 0)
        weighed += tl.sum(tl.where(mask, g * normalized, 0.0), 0)
    place = parts + tl.program_id(0) * 2 * CHANNELS + channel
    tl.store(place, total, mask=inside)
    tl.store(place + CHANNELS, weighed, mask=inside)


@triton.jit
def gradient_rows(
    x,
    grad,
    mean,
    inverse,
    weight,
    bias,
    by_mean,
    by_spread,
    out,
    rows,
    first,
    omega,
    KIND: tl.constexpr,
    INNER: tl.constexpr,
    VARIABLE: tl.constexpr,
    DETACH: tl.constexpr,
    CHANNELS: tl.constexpr,
    PADDED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """out = weight inverse f' grad + by_mean + by_spread (x - mean)."""
    channel = tl.arange(0, PADDED)
    inside = channel < CHANNELS
    middle = tl.load(mean + channel, mask=inside, other=0.0)
    gain = tl.load(inverse + channel, mask=inside, other=0.0) * tl.load(weight + channel, mask=inside, other=0.0)
    summand = tl.load(bias + channel, mask=inside, other=0.0)
    constant = tl.load(by_mean + channel, mask=inside, other=0.0)
    incline = tl.load(by_spread + channel, mask=inside, other=0.0)
    row = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = (row[:, None] < rows) & inside[None, :]
    place = row[:, None].to(tl.int64) * CHANNELS + channel[None, :]
    centred = tl.load(x + place, mask=mask, other=0.0).to(tl.float32) - middle[None, :]
    g = tl.load(grad + place, mask=mask, other=0.0).to(tl.float32)
    z = summand[None, :] + centred * gain[None, :]
    _, slope, _ = real_jet(z, first, omega, KIND, INNER, VARIABLE, DETACH)
    result = g * slope * gain[None, :] + constant[None, :] + incline[None, :] * centred
    tl.store(out + place, result.to(out.dtype.element_ty), mask=mask)
