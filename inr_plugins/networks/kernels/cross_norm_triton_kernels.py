"""The kernels of `cross_norm_triton`, which says what they compute. Importing this imports Triton."""

# Annotations are read by Triton, and tl.constexpr among them is no shape.
import triton
import triton.language as tl


@triton.jit
def column_sums(x, shift, parts, rows, blocks, CHANNELS: tl.constexpr, PADDED: tl.constexpr, BLOCK: tl.constexpr):
    """Sums and squared sums of x - shift over the rows of each program, into parts (programs, 2, channels)."""
    channel = tl.arange(0, PADDED)
    inside = channel < CHANNELS
    base = tl.load(shift + channel, mask=inside, other=0.0)
    total = tl.zeros([PADDED], dtype=tl.float32)
    squares = tl.zeros([PADDED], dtype=tl.float32)
    for k in range(blocks):
        row = (tl.program_id(0) * blocks + k) * BLOCK + tl.arange(0, BLOCK)
        mask = (row[:, None] < rows) & inside[None, :]
        value = tl.load(x + row[:, None].to(tl.int64) * CHANNELS + channel[None, :], mask=mask, other=0.0)
        value = tl.where(mask, value.to(tl.float32) - base[None, :], 0.0)
        total += tl.sum(value, 0)
        squares += tl.sum(value * value, 0)
    place = parts + tl.program_id(0) * 2 * CHANNELS + channel
    tl.store(place, total, mask=inside)
    tl.store(place + CHANNELS, squares, mask=inside)


@triton.jit
def normalize_rows(
    x,
    column,
    variance,
    gain,
    bias,
    share,
    out,
    row_mean,
    row_variance,
    rows,
    RECTIFY: tl.constexpr,
    CHANNELS: tl.constexpr,
    PADDED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """out = bias + gain (x - column - channels share mean) / sqrt(variance + own), and each row's mean and variance."""
    channel = tl.arange(0, PADDED)
    inside = channel < CHANNELS
    row = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = (row[:, None] < rows) & inside[None, :]
    place = row[:, None].to(tl.int64) * CHANNELS + channel[None, :]
    value = tl.load(x + place, mask=mask, other=0.0).to(tl.float32)
    mean = tl.sum(value, 1) / CHANNELS
    centred = tl.where(mask, value - mean[:, None], 0.0)
    own = tl.sum(centred * centred, 1) / max(CHANNELS - 1, 1)
    middle = tl.load(column + channel, mask=inside, other=0.0)
    spread = tl.load(variance + channel, mask=inside, other=1.0)
    inverse = 1 / tl.sqrt(spread[None, :] + own[:, None])
    normalized = (value - middle[None, :] - mean[:, None] * (CHANNELS * tl.load(share))) * inverse
    factor, summand = tl.load(gain + channel, mask=inside, other=0.0), tl.load(bias + channel, mask=inside, other=0.0)
    result = summand[None, :] + normalized * factor[None, :]
    if RECTIFY:
        # What is no number stays none.
        result = tl.where(result < 0, 0.0, result)
    tl.store(out + place, result.to(out.dtype.element_ty), mask=mask)
    tl.store(row_mean + row, mean, mask=row < rows)
    tl.store(row_variance + row, own, mask=row < rows)


@triton.jit
def batch_gradient_rows(
    x,
    grad,
    column,
    variance,
    gain,
    bias,
    share,
    row_mean,
    row_variance,
    out,
    parts,
    rows,
    blocks,
    RECTIFY: tl.constexpr,
    CHANNELS: tl.constexpr,
    PADDED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """The gradient but for the columns' terms, and sums of g, g h s, a and b, into parts (programs, 4, channels)."""
    channel = tl.arange(0, PADDED)
    inside = channel < CHANNELS
    middle = tl.load(column + channel, mask=inside, other=0.0)
    spread = tl.load(variance + channel, mask=inside, other=1.0)
    factor, summand = tl.load(gain + channel, mask=inside, other=0.0), tl.load(bias + channel, mask=inside, other=0.0)
    part = tl.load(share)
    sum_grad = tl.zeros([PADDED], dtype=tl.float32)
    sum_weight = tl.zeros([PADDED], dtype=tl.float32)
    sum_a = tl.zeros([PADDED], dtype=tl.float32)
    sum_b = tl.zeros([PADDED], dtype=tl.float32)
    for k in range(blocks):
        row = (tl.program_id(0) * blocks + k) * BLOCK + tl.arange(0, BLOCK)
        mask = (row[:, None] < rows) & inside[None, :]
        place = row[:, None].to(tl.int64) * CHANNELS + channel[None, :]
        value = tl.load(x + place, mask=mask, other=0.0).to(tl.float32)
        g = tl.load(grad + place, mask=mask, other=0.0).to(tl.float32)
        mean = tl.load(row_mean + row, mask=row < rows, other=0.0)
        own = tl.load(row_variance + row, mask=row < rows, other=1.0)
        inverse = 1 / tl.sqrt(spread[None, :] + own[:, None])
        normalized = (value - middle[None, :] - mean[:, None] * (CHANNELS * part)) * inverse
        if RECTIFY:
            g = tl.where(summand[None, :] + normalized * factor[None, :] <= 0, 0.0, g)
        a = g * factor[None, :] * inverse
        b = normalized * a * inverse
        sum_grad += tl.sum(g, 0)
        sum_weight += tl.sum(tl.where(mask, g * normalized, 0.0), 0)
        sum_a += tl.sum(a, 0)
        sum_b += tl.sum(tl.where(mask, b, 0.0), 0)
        by_spread = tl.sum(tl.where(mask, b, 0.0), 1) / max(CHANNELS - 1, 1)
        result = a - tl.sum(a, 1)[:, None] * part - (value - mean[:, None]) * by_spread[:, None]
        tl.store(out + place, result.to(out.dtype.element_ty), mask=mask)
    place = parts + tl.program_id(0) * 4 * CHANNELS + channel
    tl.store(place, sum_grad, mask=inside)
    tl.store(place + CHANNELS, sum_weight, mask=inside)
    tl.store(place + 2 * CHANNELS, sum_a, mask=inside)
    tl.store(place + 3 * CHANNELS, sum_b, mask=inside)


@triton.jit
def add_column_terms(
    x, grad_x, mean, by_mean, by_spread, rows, CHANNELS: tl.constexpr, PADDED: tl.constexpr, BLOCK: tl.constexpr
):
    """grad_x += by_mean + by_spread (x - mean)."""
    channel = tl.arange(0, PADDED)
    inside = channel < CHANNELS
    row = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = (row[:, None] < rows) & inside[None, :]
    place = row[:, None].to(tl.int64) * CHANNELS + channel[None, :]
    middle = tl.load(mean + channel, mask=inside, other=0.0)
    constant = tl.load(by_mean + channel, mask=inside, other=0.0)
    slope = tl.load(by_spread + channel, mask=inside, other=0.0)
    value = tl.load(x + place, mask=mask, other=0.0).to(tl.float32)
    old = tl.load(grad_x + place, mask=mask, other=0.0).to(tl.float32)
    new = old + constant[None, :] + slope[None, :] * (value - middle[None, :])
    tl.store(grad_x + place, new.to(grad_x.dtype.element_ty), mask=mask)


@triton.jit
def pullback_rows(
    x,
    grad,
    column,
    variance,
    scale,
    share,
    row_mean,
    row_variance,
    out,
    rows,
    CHANNELS: tl.constexpr,
    PADDED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """The gradient of values without factors, the columns' statistics being held."""
    channel = tl.arange(0, PADDED)
    inside = channel < CHANNELS
    middle = tl.load(column + channel, mask=inside, other=0.0)
    spread = tl.load(variance + channel, mask=inside, other=1.0)
    part = tl.load(share)
    row = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = (row[:, None] < rows) & inside[None, :]
    place = row[:, None].to(tl.int64) * CHANNELS + channel[None, :]
    value = tl.load(x + place, mask=mask, other=0.0).to(tl.float32)
    g = tl.load(grad + place, mask=mask, other=0.0).to(tl.float32)
    mean = tl.load(row_mean + row, mask=row < rows, other=0.0)
    own = tl.load(row_variance + row, mask=row < rows, other=1.0)
    inverse = 1 / tl.sqrt(spread[None, :] + own[:, None])
    a = g * tl.load(scale) * inverse
    b = (value - middle[None, :] - mean[:, None] * (CHANNELS * part)) * a * inverse * inverse
    by_spread = tl.sum(tl.where(mask, b, 0.0), 1) / max(CHANNELS - 1, 1)
    result = a - tl.sum(a, 1)[:, None] * part - (value - mean[:, None]) * by_spread[:, None]
    tl.store(out + place, result.to(out.dtype.element_ty), mask=mask)


@triton.jit
def pullback_backward_rows(
    x,
    grad,
    u,
    column,
    variance,
    scale,
    share,
    row_mean,
    row_variance,
    grad_grad,
    grad_x,
    parts,
    rows,
    blocks,
    CHANNELS: tl.constexpr,
    PADDED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Gradients of grad and x but for the columns' terms; sums of a s² rho and kappa into (programs, 2, channels)."""
    channel = tl.arange(0, PADDED)
    inside = channel < CHANNELS
    middle = tl.load(column + channel, mask=inside, other=0.0)
    spread = tl.load(variance + channel, mask=inside, other=1.0)
    factor, part = tl.load(scale), tl.load(share)
    sum_value = tl.zeros([PADDED], dtype=tl.float32)
    sum_kappa = tl.zeros([PADDED], dtype=tl.float32)
    for k in range(blocks):
        row = (tl.program_id(0) * blocks + k) * BLOCK + tl.arange(0, BLOCK)
        mask = (row[:, None] < rows) & inside[None, :]
        place = row[:, None].to(tl.int64) * CHANNELS + channel[None, :]
        value = tl.load(x + place, mask=mask, other=0.0).to(tl.float32)
        g = tl.load(grad + place, mask=mask, other=0.0).to(tl.float32)
        across = tl.load(u + place, mask=mask, other=0.0).to(tl.float32)
        mean = tl.load(row_mean + row, mask=row < rows, other=0.0)
        own = tl.load(row_variance + row, mask=row < rows, other=1.0)
        centred = value - mean[:, None]
        rho = tl.sum(across * centred, 1) / max(CHANNELS - 1, 1)
        of_u = tl.sum(across, 1)
        inverse = 1 / tl.sqrt(spread[None, :] + own[:, None])
        square = inverse * inverse
        pull = (value - middle[None, :] - mean[:, None] * (CHANNELS * part)) * square
        bend = pull * rho[:, None]
        p = across - of_u[:, None] * part
        tl.store(grad_grad + place, ((p - bend) * inverse * factor).to(grad_grad.dtype.element_ty), mask=mask)
        # 0 outside of the rows, as g is.
        a = g * inverse * factor
        kappa = tl.where(mask, (p - 3 * bend) * square * a, 0.0)
        by_value = tl.where(mask, a * square * rho[:, None], 0.0)
        sum_value += tl.sum(by_value, 0)
        sum_kappa += tl.sum(kappa, 0)
        of_b = tl.sum(tl.where(mask, a * pull, 0.0), 1) / max(CHANNELS - 1, 1)
        of_kappa = tl.sum(kappa, 1) / max(CHANNELS - 1, 1)
        result = tl.sum(by_value, 1)[:, None] * part - by_value - centred * of_kappa[:, None]
        result -= (across - (of_u / CHANNELS)[:, None]) * of_b[:, None]
        tl.store(grad_x + place, result.to(grad_x.dtype.element_ty), mask=mask)
    place = parts + tl.program_id(0) * 2 * CHANNELS + channel
    tl.store(place, sum_value, mask=inside)
    tl.store(place + CHANNELS, sum_kappa, mask=inside)
