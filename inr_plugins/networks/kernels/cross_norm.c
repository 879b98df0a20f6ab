/* Rows of a cross normalization, each in one go through the processor's cache.

   Twins of the torch functions in cross_normalization.py, rowwise_cross_norm.py and batch_statistics.py, which say what
   is computed; names are theirs. Matrices are contiguous, rows x n, of float32 (kind 0) or bfloat16 (kind 1); all
   arithmetic is float32, sums over rows are carried on in float64. Every row is computed alike, whatever stands around
   it. A share is the rows begin .. end - 1; its sums are those of these rows. */

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Arrays of a loop never overlap; compilers give up proving it where there are many. */
#ifdef __clang__
#define APART _Pragma("clang loop vectorize(assume_safety)")
#else
#define APART _Pragma("GCC ivdep")
#endif

/* Rows whose sums over columns are added in float32 before they go into float64. */
#define BLOCK 128

static void load(const void *matrix, int kind, int64_t row, int64_t n, float *restrict to)
{
    if (kind == 0) {
        memcpy(to, (const float *)matrix + row * n, n * sizeof(float));
        return;
    }
    const uint16_t *restrict from = (const uint16_t *)matrix + row * n;
    uint32_t *restrict bits = (uint32_t *)to;
    for (int64_t j = 0; j < n; j++)
        bits[j] = (uint32_t)from[j] << 16;
}

static void store(void *matrix, int kind, int64_t row, int64_t n, const float *restrict from)
{
    if (kind == 0) {
        memcpy((float *)matrix + row * n, from, n * sizeof(float));
        return;
    }
    uint16_t *restrict to = (uint16_t *)matrix + row * n;
    const uint32_t *restrict bits = (const uint32_t *)from;
    for (int64_t j = 0; j < n; j++) {
        /* To the nearest, ties to even; what is not a number stays so. */
        uint32_t u = bits[j], rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
        to[j] = (uint16_t)((u & 0x7fffffffu) > 0x7f800000u ? (u >> 16) | 0x40u : rounded);
    }
}

/* Adds float32 sums to float64 ones, and clears them. */
static void flush(float *restrict some, double *restrict all, int64_t n)
{
    for (int64_t j = 0; j < n; j++) {
        all[j] += some[j];
        some[j] = 0.0f;
    }
}

/* sums: of x - shift, then of its squares, 2 x n. */
static int column_sums_share(const void *x, int kind, int64_t begin, int64_t end, int64_t n,
                             const float *restrict shift, double *restrict sums)
{
    float *memory = calloc(3 * n, sizeof(float));
    if (!memory)
        return 1;
    float *restrict row = memory, *restrict sum = memory + n, *restrict square = memory + 2 * n;
    for (int64_t i = begin; i < end; i++) {
        load(x, kind, i, n, row);
        for (int64_t j = 0; j < n; j++) {
            float d = row[j] - shift[j];
            sum[j] += d;
            square[j] += d * d;
        }
        if ((i - begin) % BLOCK == BLOCK - 1 || i == end - 1) {
            flush(sum, sums, n);
            flush(square, sums + n, n);
        }
    }
    free(memory);
    return 0;
}

/* out = gain (x - column - n share rowmean) / sqrt(variance + rowvariance) + bias, its negative values made zero if
   rectify; also the row's moments. */
static int normalize_rows_share(const void *x, int kind, int64_t begin, int64_t end, int64_t n,
                                const float *restrict column, const float *restrict variance,
                                const float *restrict gain, const float *restrict bias, float share, int rectify,
                                void *out, float *restrict row_mean, float *restrict row_variance)
{
    float *memory = malloc(2 * n * sizeof(float));
    if (!memory)
        return 1;
    float *restrict row = memory, *restrict y = memory + n;
    for (int64_t i = begin; i < end; i++) {
        load(x, kind, i, n, row);
        float sum = 0.0f, squares = 0.0f;
        for (int64_t j = 0; j < n; j++)
            sum += row[j];
        float mean = sum / n;
        for (int64_t j = 0; j < n; j++) {
            float d = row[j] - mean;
            squares += d * d;
        }
        float spread = squares / (n > 1 ? n - 1 : 1), offset = n * share * mean;
        for (int64_t j = 0; j < n; j++)
            y[j] = (row[j] - column[j] - offset) * gain[j] / sqrtf(variance[j] + spread) + bias[j];
        if (rectify)
            for (int64_t j = 0; j < n; j++)
                y[j] = y[j] < 0.0f ? 0.0f : y[j];
        store(out, kind, i, n, y);
        row_mean[i] = mean;
        row_variance[i] = spread;
    }
    free(memory);
    return 0;
}

/* The first pass of batch_gradient: grad_x without the columns' terms, and sums 4 x n of g, g h s, a and b. If rectify,
   g is zero where the output was made so, which the values tell again. */
static int batch_gradient_rows_share(const void *x, const void *grad, int kind, int64_t begin, int64_t end, int64_t n,
                                     const float *restrict column, const float *restrict variance,
                                     const float *restrict gain, const float *restrict bias, float share, int rectify,
                                     const float *restrict row_mean, const float *restrict row_variance, void *grad_x,
                                     double *restrict sums)
{
    float *memory = calloc(8 * n, sizeof(float));
    if (!memory)
        return 1;
    float *restrict row = memory, *restrict g = memory + n, *restrict a = memory + 2 * n, *restrict out = memory + 3 * n;
    float *restrict sum_g = memory + 4 * n, *restrict sum_w = memory + 5 * n, *restrict sum_a = memory + 6 * n,
                    *restrict sum_b = memory + 7 * n;
    for (int64_t i = begin; i < end; i++) {
        load(x, kind, i, n, row);
        load(grad, kind, i, n, g);
        float mean = row_mean[i], spread = row_variance[i], offset = n * share * mean, of_a = 0.0f, of_b = 0.0f;
        float least = rectify ? 0.0f : -INFINITY;
        APART
        for (int64_t j = 0; j < n; j++) {
            float inverse = 1.0f / sqrtf(variance[j] + spread);
            float normalized = (row[j] - column[j] - offset) * inverse;
            g[j] = normalized * gain[j] + bias[j] <= least ? 0.0f : g[j];
            float aj = g[j] * gain[j] * inverse, bj = normalized * aj * inverse;
            a[j] = aj;
            of_a += aj;
            of_b += bj;
            sum_g[j] += g[j];
            sum_w[j] += g[j] * normalized;
            sum_a[j] += aj;
            sum_b[j] += bj;
        }
        float by_mean = of_a * share, by_spread = of_b / (n > 1 ? n - 1 : 1);
        for (int64_t j = 0; j < n; j++)
            out[j] = a[j] - by_mean - (row[j] - mean) * by_spread;
        store(grad_x, kind, i, n, out);
        if ((i - begin) % BLOCK == BLOCK - 1 || i == end - 1) {
            flush(sum_g, sums, n);
            flush(sum_w, sums + n, n);
            flush(sum_a, sums + 2 * n, n);
            flush(sum_b, sums + 3 * n, n);
        }
    }
    free(memory);
    return 0;
}

/* grad_x += by_mean + by_spread (x - mean): the columns' terms. */
static int add_column_terms_share(const void *x, int kind, int64_t begin, int64_t end, int64_t n,
                                  const float *restrict mean, const float *restrict by_mean,
                                  const float *restrict by_spread, void *grad_x)
{
    float *memory = malloc(2 * n * sizeof(float));
    if (!memory)
        return 1;
    float *restrict row = memory, *restrict out = memory + n;
    for (int64_t i = begin; i < end; i++) {
        load(x, kind, i, n, row);
        load(grad_x, kind, i, n, out);
        for (int64_t j = 0; j < n; j++)
            out[j] += by_mean[j] + by_spread[j] * (row[j] - mean[j]);
        store(grad_x, kind, i, n, out);
    }
    free(memory);
    return 0;
}

/* The forward of the pullback inside rowwise_gradients: batch_gradient_rows without sums, of a normalization without
   factors; gain is D / (D - 1). */
static int pullback_rows_share(const void *x, const void *grad, int kind, int64_t begin, int64_t end, int64_t n,
                               const float *restrict column, const float *restrict variance, float gain, float share,
                               const float *restrict row_mean, const float *restrict row_variance, void *out)
{
    float *memory = malloc(4 * n * sizeof(float));
    if (!memory)
        return 1;
    float *restrict row = memory, *restrict g = memory + n, *restrict a = memory + 2 * n, *restrict y = memory + 3 * n;
    for (int64_t i = begin; i < end; i++) {
        load(x, kind, i, n, row);
        load(grad, kind, i, n, g);
        float mean = row_mean[i], spread = row_variance[i], offset = n * share * mean, of_a = 0.0f, of_b = 0.0f;
        APART
        for (int64_t j = 0; j < n; j++) {
            float inverse = 1.0f / sqrtf(variance[j] + spread);
            float aj = g[j] * gain * inverse;
            a[j] = aj;
            of_a += aj;
            of_b += (row[j] - column[j] - offset) * aj * inverse * inverse;
        }
        float by_mean = of_a * share, by_spread = of_b / (n > 1 ? n - 1 : 1);
        for (int64_t j = 0; j < n; j++)
            y[j] = a[j] - by_mean - (row[j] - mean) * by_spread;
        store(out, kind, i, n, y);
    }
    free(memory);
    return 0;
}

/* The first pass of the pullback's backward: grad_grad, grad_x without the columns' terms, and sums 2 x n of a s² rho
   and kappa. */
static int pullback_backward_rows_share(const void *x, const void *grad, const void *u, int kind, int64_t begin,
                                        int64_t end, int64_t n, const float *restrict column,
                                        const float *restrict variance, float gain, float share,
                                        const float *restrict row_mean, const float *restrict row_variance,
                                        void *grad_grad, void *grad_x, double *restrict sums)
{
    float *memory = calloc(8 * n, sizeof(float));
    if (!memory)
        return 1;
    float *restrict row = memory, *restrict g = memory + n, *restrict across = memory + 2 * n;
    float *restrict value = memory + 3 * n, *restrict by_grad = memory + 4 * n, *restrict out = memory + 5 * n;
    float *restrict sum_value = memory + 6 * n, *restrict sum_kappa = memory + 7 * n;
    float fewer = n > 1 ? n - 1 : 1;
    for (int64_t i = begin; i < end; i++) {
        load(x, kind, i, n, row);
        load(grad, kind, i, n, g);
        load(u, kind, i, n, across);
        float mean = row_mean[i], spread = row_variance[i], offset = n * share * mean;
        float rho = 0.0f, of_u = 0.0f, of_b = 0.0f, of_kappa = 0.0f, of_value = 0.0f;
        for (int64_t j = 0; j < n; j++) {
            rho += across[j] * (row[j] - mean);
            of_u += across[j];
        }
        rho /= fewer;
        APART
        for (int64_t j = 0; j < n; j++) {
            float square = 1.0f / (variance[j] + spread), scaled = gain * sqrtf(square);
            float pull = (row[j] - column[j] - offset) * square, bend = pull * rho;
            float p = across[j] - of_u * share, a = scaled * g[j];
            float kappa = (p - 3.0f * bend) * square * a;
            by_grad[j] = (p - bend) * scaled;
            value[j] = a * square * rho;
            of_b += a * pull;
            of_kappa += kappa;
            of_value += value[j];
            sum_value[j] += value[j];
            sum_kappa[j] += kappa;
        }
        float by_kappa = of_kappa / fewer, by_value = of_value * share, by_b = of_b / fewer, mean_u = of_u / n;
        for (int64_t j = 0; j < n; j++)
            out[j] = by_value - value[j] - (row[j] - mean) * by_kappa - (across[j] - mean_u) * by_b;
        store(grad_grad, kind, i, n, by_grad);
        store(grad_x, kind, i, n, out);
        if ((i - begin) % BLOCK == BLOCK - 1 || i == end - 1) {
            flush(sum_value, sums, n);
            flush(sum_kappa, sums + n, n);
        }
    }
    free(memory);
    return 0;
}

/* The functions above for all rows, in shares of as many threads as torch uses; sums are one set for each share. */
#define BEGIN (rows * k / threads)
#define END (rows * (k + 1) / threads)
#define IN_SHARES(call)                                                                                                \
    int failed = 0;                                                                                                    \
    _Pragma("omp parallel for num_threads(threads) schedule(static) reduction(| : failed)")                            \
    for (int k = 0; k < threads; k++)                                                                                  \
        failed |= call;                                                                                                \
    return failed;

int column_sums(const void *x, int kind, int64_t rows, int64_t n, const float *restrict shift,
                double *restrict sums, int threads)
{
    IN_SHARES(column_sums_share(x, kind, BEGIN, END, n, shift, sums + k * 2 * n))
}

int normalize_rows(const void *x, int kind, int64_t rows, int64_t n, const float *restrict column,
                   const float *restrict variance, const float *restrict gain, const float *restrict bias,
                   float share, int rectify, void *out, float *restrict row_mean, float *restrict row_variance,
                   int threads)
{
    IN_SHARES(normalize_rows_share(x, kind, BEGIN, END, n, column, variance, gain, bias, share, rectify, out, row_mean,
                                   row_variance))
}

int batch_gradient_rows(const void *x, const void *grad, int kind, int64_t rows, int64_t n,
                        const float *restrict column, const float *restrict variance, const float *restrict gain,
                        const float *restrict bias, float share, int rectify, const float *restrict row_mean,
                        const float *restrict row_variance, void *grad_x, double *restrict sums, int threads)
{
    IN_SHARES(batch_gradient_rows_share(x, grad, kind, BEGIN, END, n, column, variance, gain, bias, share, rectify,
                                        row_mean, row_variance, grad_x, sums + k * 4 * n))
}

int add_column_terms(const void *x, int kind, int64_t rows, int64_t n, const float *restrict mean,
                     const float *restrict by_mean, const float *restrict by_spread, void *grad_x, int threads)
{
    IN_SHARES(add_column_terms_share(x, kind, BEGIN, END, n, mean, by_mean, by_spread, grad_x))
}

int pullback_rows(const void *x, const void *grad, int kind, int64_t rows, int64_t n, const float *restrict column,
                  const float *restrict variance, float gain, float share, const float *restrict row_mean,
                  const float *restrict row_variance, void *out, int threads)
{
    IN_SHARES(pullback_rows_share(x, grad, kind, BEGIN, END, n, column, variance, gain, share, row_mean,
                                  row_variance, out))
}

int pullback_backward_rows(const void *x, const void *grad, const void *u, int kind, int64_t rows, int64_t n,
                           const float *restrict column, const float *restrict variance, float gain, float share,
                           const float *restrict row_mean, const float *restrict row_variance, void *grad_grad,
                           void *grad_x, double *restrict sums, int threads)
{
    IN_SHARES(pullback_backward_rows_share(x, grad, u, kind, BEGIN, END, n, column, variance, gain, share, row_mean,
                                           row_variance, grad_grad, grad_x, sums + k * 2 * n))
}
