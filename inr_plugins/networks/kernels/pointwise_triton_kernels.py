"""The kernels of `pointwise_triton`: activations with their derivatives. Importing this imports Triton.

Formulas and names are those of activations/real.py and activations/wavelet.py. Everything is float32.
"""

# Annotations are read by Triton, and tl.constexpr among them is no shape.
import triton
import triton.language as tl

# Where the argument of exp is held, as `lowest_exponent` of float32.
LOWEST = tl.constexpr(-80.42879)
# Where |β z| of softplus is held; what σ and log(1 + exp) are there.
REACH = tl.constexpr(23.913578)
LEAST = tl.constexpr(4.1159e-11)


@triton.jit
def sign(z):
    """-1, 0 or 1."""
    return tl.where(z > 0, 1.0, tl.where(z < 0, -1.0, 0.0))


@triton.jit
def phase_jet(z, omega, VARIABLE: tl.constexpr, DETACH: tl.constexpr):
    """p = ω z or ω (|z| + 1) z, p' and p''."""
    if VARIABLE:
        size = tl.abs(z)
        phase = omega * (size * z + z)
        if DETACH:
            slope = omega * (size + 1)
            bend = tl.zeros_like(z)
        else:
            slope = omega * (2 * size + 1)
            bend = 2 * omega * sign(z)
    else:
        phase = omega * z
        slope = tl.zeros_like(z) + omega
        bend = tl.zeros_like(z)
    return phase, slope, bend


@triton.jit
def sine_jet(z, omega, INNER: tl.constexpr, VARIABLE: tl.constexpr, DETACH: tl.constexpr):
    """sin p with its derivatives; z itself, 1 and 0 where there is no inner sine."""
    if INNER:
        phase, slope, bend = phase_jet(z, omega, VARIABLE, DETACH)
        sine = tl.sin(phase)
        cosine = tl.cos(phase)
        value = sine
        first = cosine * slope
        second = cosine * bend - sine * slope * slope
    else:
        value = z
        first = tl.zeros_like(z) + 1.0
        second = tl.zeros_like(z)
    return value, first, second


@triton.jit
def held_exp(exponent):
    """exp, its argument held from below; what is no number stays none."""
    return tl.exp(tl.where(exponent < LOWEST, LOWEST, exponent))


@triton.jit
def softplus_jet(z, beta):
    """log(1 + exp(β z)) / β with its derivatives."""
    scaled = beta * z
    scaled = tl.where(scaled > REACH, REACH, tl.where(scaled < -REACH, -REACH, scaled))
    small = tl.exp(-tl.abs(scaled))
    # log(1 + small) = 2 atanh(t), whose series ends soon, and is exact where small is.
    t = small / (2 + small)
    square = t * t
    series = 1 + square * (1 / 3 + square * (1 / 5 + square * (1 / 7 + square * (1 / 9 + square * (1 / 11)))))
    series += square * square * square * square * square * square * (1 / 13 + square * (1 / 15 + square * (1 / 17)))
    tail = (2 * t * series - LEAST) / beta
    value = tl.where(z < 0, 0.0, z) + tl.where(tail < 0, 0.0, tail)
    of_small = 1 / (1 + small)
    slope = tl.where(scaled < 0, small * of_small, of_small) - LEAST
    slope = tl.where(slope < 0, 0.0, slope)
    return value, slope, beta * slope * (1 - slope)


@triton.jit
def real_jet(z, first, omega, KIND: tl.constexpr, INNER: tl.constexpr, VARIABLE: tl.constexpr, DETACH: tl.constexpr):
    """A real function of a real number with its first and second derivative; `first` is its first constant."""
    if KIND == "sine":
        value, slope, bend = sine_jet(z, omega, True, VARIABLE, DETACH)
    elif KIND == "gauss":
        u, du, ddu = sine_jet(z, omega, INNER, VARIABLE, DETACH)
        square = first * first
        value = held_exp(-square * u * u)
        slope = -2 * square * u * du * value
        bend = (4 * square * square * u * u * du * du - 2 * square * (du * du + u * ddu)) * value
    elif KIND == "softplus":
        value, slope, bend = softplus_jet(z, first)
    elif KIND == "relu":
        # What is no number stays none.
        value = tl.where(z < 0, 0.0, z)
        slope = tl.where(z <= 0, 0.0, 1.0)
        bend = tl.zeros_like(z)
    else:
        value = z
        slope = tl.zeros_like(z) + 1.0
        bend = tl.zeros_like(z)
    return value, slope, bend


@triton.jit
def real_function(
    z,
    gradient,
    direction,
    out,
    count,
    first,
    omega,
    ORDER: tl.constexpr,
    KIND: tl.constexpr,
    INNER: tl.constexpr,
    VARIABLE: tl.constexpr,
    DETACH: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """out = f(z), f'(z) gradient, f'(z) direction or f''(z) gradient direction."""
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = place < count
    x = tl.load(z + place, mask=mask, other=0.0).to(tl.float32)
    value, slope, bend = real_jet(x, first, omega, KIND, INNER, VARIABLE, DETACH)
    if ORDER == "value":
        result = value
    elif ORDER == "pullback":
        result = slope * tl.load(gradient + place, mask=mask, other=0.0).to(tl.float32)
    elif ORDER == "pushforward":
        result = slope * tl.load(direction + place, mask=mask, other=0.0).to(tl.float32)
    else:
        result = bend * tl.load(gradient + place, mask=mask, other=0.0).to(tl.float32)
        result *= tl.load(direction + place, mask=mask, other=0.0).to(tl.float32)
    tl.store(out + place, result.to(out.dtype.element_ty), mask=mask)
