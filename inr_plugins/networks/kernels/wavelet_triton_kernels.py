"""The kernels of the complex wavelet, of real and of complex numbers. Importing this imports Triton.

Formulas and names are those of activations/wavelet.py; a complex number is two neighbouring float32, and two names.
"""

# Annotations are read by Triton, and tl.constexpr among them is no shape.
import triton
import triton.language as tl

from inr_plugins.networks.kernels.pointwise_triton_kernels import held_exp, phase_jet, sine_jet


@triton.jit
def times(a_re, a_im, b_re, b_im):
    """a b."""
    return a_re * b_re - a_im * b_im, a_re * b_im + a_im * b_re


@triton.jit
def conjugate_times(a_re, a_im, b_re, b_im):
    """conj(a) b."""
    return a_re * b_re + a_im * b_im, a_re * b_im - a_im * b_re


@triton.jit
def wave(u_re, u_im, carrier, square):
    """exp(j c u - |s u|²)."""
    envelope = held_exp(-square * u_re * u_re - u_im * (carrier + square * u_im))
    phase = carrier * u_re
    return envelope * tl.cos(phase), envelope * tl.sin(phase)


@triton.jit
def exponent_change(u_re, u_im, du_re, du_im, carrier, square):
    """j c du - 2 s² Re(conj(u) du)."""
    return -carrier * du_im - 2 * square * (u_re * du_re + u_im * du_im), carrier * du_re


@triton.jit
def gradient_of_u(u_re, u_im, h_re, h_im, carrier, square):
    """-j c h - 2 s² Re(h) u."""
    return carrier * h_im - 2 * square * h_re * u_re, -carrier * h_re - 2 * square * h_re * u_im


@triton.jit
def load_pair(numbers, place, mask):
    """Real and imaginary parts."""
    return tl.load(numbers + 2 * place, mask=mask, other=0.0), tl.load(numbers + 2 * place + 1, mask=mask, other=0.0)


@triton.jit
def store_pair(numbers, place, re, im, mask):
    """Real and imaginary parts."""
    tl.store(numbers + 2 * place, re, mask=mask)
    tl.store(numbers + 2 * place + 1, im, mask=mask)


@triton.jit
def of_real(
    z,
    gradient,
    direction,
    out,
    count,
    carrier,
    scale,
    omega,
    ORDER: tl.constexpr,
    INNER: tl.constexpr,
    VARIABLE: tl.constexpr,
    DETACH: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """The wavelet of real numbers, or its derivatives applied; values and gradients of values are complex."""
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = place < count
    square = scale * scale
    u, slope, bend = sine_jet(tl.load(z + place, mask=mask, other=0.0).to(tl.float32), omega, INNER, VARIABLE, DETACH)
    none = tl.zeros_like(u)
    f_re, f_im = wave(u, none, carrier, square)
    if ORDER == "value":
        store_pair(out, place, f_re, f_im, mask)
    elif ORDER == "pushforward":
        du = slope * tl.load(direction + place, mask=mask, other=0.0).to(tl.float32)
        e_re, e_im = exponent_change(u, none, du, none, carrier, square)
        df_re, df_im = times(f_re, f_im, e_re, e_im)
        store_pair(out, place, df_re, df_im, mask)
    else:
        g_re, g_im = load_pair(gradient, place, mask)
        h_re, h_im = conjugate_times(f_re, f_im, g_re, g_im)
        of_u, _ = gradient_of_u(u, none, h_re, h_im, carrier, square)
        result = slope * of_u
        if ORDER == "curvature":
            d = tl.load(direction + place, mask=mask, other=0.0).to(tl.float32)
            du = slope * d
            e_re, e_im = exponent_change(u, none, du, none, carrier, square)
            dh_re, dh_im = conjugate_times(e_re, e_im, h_re, h_im)
            change, _ = gradient_of_u(u, none, dh_re, dh_im, carrier, square)
            result = slope * (change - 2 * square * h_re * du) + bend * d * of_u
        tl.store(out + place, result.to(out.dtype.element_ty), mask=mask)


@triton.jit
def of_complex(
    z,
    gradient,
    direction,
    out,
    count,
    carrier,
    scale,
    omega,
    largest,
    ORDER: tl.constexpr,
    INNER: tl.constexpr,
    VARIABLE: tl.constexpr,
    DETACH: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """The wavelet of complex numbers, or its derivatives applied; `largest` holds the phase of the imaginary part."""
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = place < count
    square = scale * scale
    x, y = load_pair(z, place, mask)
    none = tl.zeros_like(x)
    # u, its derivative k by w = p(x) + j p(y), and p', p'' of both parts.
    if INNER:
        a, slope_x, bend_x = phase_jet(x, omega, VARIABLE, DETACH)
        b, slope_y, bend_y = phase_jet(y, omega, VARIABLE, DETACH)
        growth = tl.exp(tl.where(b > largest, largest, tl.where(b < -largest, -largest, b)))
        sine, cosine = tl.sin(a), tl.cos(a)
        sinh, cosh = (growth - 1 / growth) / 2, (growth + 1 / growth) / 2
        u_re, u_im = sine * cosh, cosine * sinh
        k_re, k_im = cosine * cosh, -sine * sinh
    else:
        u_re, u_im = x, y
        k_re, k_im = none + 1.0, none
        slope_x, slope_y, bend_x, bend_y = none + 1.0, none + 1.0, none, none
    f_re, f_im = wave(u_re, u_im, carrier, square)
    if ORDER == "value":
        store_pair(out, place, f_re, f_im, mask)
    elif ORDER == "pushforward":
        d_re, d_im = load_pair(direction, place, mask)
        du_re, du_im = times(k_re, k_im, slope_x * d_re, slope_y * d_im)
        e_re, e_im = exponent_change(u_re, u_im, du_re, du_im, carrier, square)
        df_re, df_im = times(f_re, f_im, e_re, e_im)
        store_pair(out, place, df_re, df_im, mask)
    else:
        g_re, g_im = load_pair(gradient, place, mask)
        h_re, h_im = conjugate_times(f_re, f_im, g_re, g_im)
        of_u_re, of_u_im = gradient_of_u(u_re, u_im, h_re, h_im, carrier, square)
        pulled_re, pulled_im = conjugate_times(k_re, k_im, of_u_re, of_u_im)
        if ORDER == "pullback":
            store_pair(out, place, slope_x * pulled_re, slope_y * pulled_im, mask)
        else:
            d_re, d_im = load_pair(direction, place, mask)
            dw_re, dw_im = slope_x * d_re, slope_y * d_im
            du_re, du_im = times(k_re, k_im, dw_re, dw_im)
            e_re, e_im = exponent_change(u_re, u_im, du_re, du_im, carrier, square)
            dh_re, dh_im = conjugate_times(e_re, e_im, h_re, h_im)
            change_re, change_im = gradient_of_u(u_re, u_im, dh_re, dh_im, carrier, square)
            change_re -= 2 * square * h_re * du_re
            change_im -= 2 * square * h_re * du_im
            result_re, result_im = conjugate_times(k_re, k_im, change_re, change_im)
            if INNER:
                # The derivative of k is -u dw.
                dk_re, dk_im = times(u_re, u_im, dw_re, dw_im)
                turned_re, turned_im = conjugate_times(dk_re, dk_im, of_u_re, of_u_im)
                result_re -= turned_re
                result_im -= turned_im
            result_re = slope_x * result_re + bend_x * d_re * pulled_re
            result_im = slope_y * result_im + bend_y * d_im * pulled_im
            store_pair(out, place, result_re, result_im, mask)
