/* Products of rows with a weight matrix, of which every tile stays in registers.

   Differs from a general library in two things: the work is handed out in small pieces, so that a core that is slowed
   down by neighbours does less of it; and the output's tile is fetched before it is written. The order of additions
   depends on the sizes of the weight alone, so a row's result is the same bits whatever rows stand beside it.
*/
#include "vectors.h"

#define STRIP 6
#define PANEL (2 * LANES)
#define DEPTH 384
#define ROWS 450
#define PANELS 2

typedef struct {
  const REAL *rows, *weight, *bias;
  int64_t count, in, out, rows_stride, weight_stride;
  int turned, threads;
} Product;

/* c (height, halves * LANES) = a (height, depth) b (depth, ..), plus `bias` or (where `more`) what c holds. a's
   rows are a_stride apart, those of b PANEL. */
static inline __attribute__((always_inline)) void tile(const int height, const int halves, const REAL *a,
                                                       int64_t a_stride, const REAL *b, int64_t depth,
                                                       const REAL *bias, int more, REAL *c, int64_t c_stride) {
  vec sum[STRIP][2];
#pragma GCC unroll 6
  for (int r = 0; r < height; r++) {
    __builtin_prefetch(c + r * c_stride, 1, 3);
    for (int h = 0; h < halves; h++)
      sum[r][h] = more ? load(c + r * c_stride + h * LANES) : bias ? load(bias + h * LANES) : (vec){0};
  }
  for (int64_t p = 0; p < depth; p++) {
    const vec left = load(b + p * PANEL), right = halves > 1 ? load(b + p * PANEL + LANES) : left;
#pragma GCC unroll 6
    for (int r = 0; r < height; r++) {
      const vec x = all(a[r * a_stride + p]);
      sum[r][0] += x * left;
      if (halves > 1) sum[r][1] += x * right;
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < height; r++)
    for (int h = 0; h < halves; h++) store(c + r * c_stride + h * LANES, sum[r][h]);
}

#define CASES(halves, ...)                                                \
  switch (height) {                                                       \
    case 1: tile(1, halves, __VA_ARGS__); break;                          \
    case 2: tile(2, halves, __VA_ARGS__); break;                          \
    case 3: tile(3, halves, __VA_ARGS__); break;                          \
    case 4: tile(4, halves, __VA_ARGS__); break;                          \
    case 5: tile(5, halves, __VA_ARGS__); break;                          \
    case 6: tile(6, halves, __VA_ARGS__); break;                          \
  }

/* Up to STRIP rows of a product; b is packed. */
static void some_rows(int64_t height, int64_t halves, const REAL *a, int64_t a_stride, const REAL *b, int64_t depth,
                      const REAL *bias, int more, REAL *c, int64_t c_stride) {
  if (halves > 1)
    CASES(2, a, a_stride, b, depth, bias, more, c, c_stride)
  else
    CASES(1, a, a_stride, b, depth, bias, more, c, c_stride)
}

/* out (depth, PANEL) = `halves` * LANES columns of b (depth, ..), or rows of b where it is `turned`. */
static void pack(const REAL *b, int64_t stride, int turned, int64_t depth, int64_t halves, REAL *out) {
  int64_t p = 0;
  if (!turned)
    for (; p < depth; p++) {
      store(out + p * PANEL, load(b + p * stride));
      if (halves > 1) store(out + p * PANEL + LANES, load(b + p * stride + LANES));
    }
  if (IS_FLOAT)
    for (; p + 8 <= depth; p += 8)
      for (int h = 0; h < halves; h++)
        turn((const float *)(b + h * LANES * stride + p), stride, (float *)(out + p * PANEL + h * LANES), PANEL);
  for (; p < depth; p++)
    for (int64_t j = 0; j < halves * LANES; j++) out[p * PANEL + j] = b[j * stride + p];
}

/* out (count, out) = rows (count, in) weight + bias; the weight is (in, out), or (out, in) where it is `turned`. `out`
   is a multiple of LANES; bias may be NULL. */
void product(const Product *a, REAL *out) {
  const int64_t blocks = (a->count + ROWS - 1) / ROWS, wide = PANELS * PANEL;
  const int64_t high = round_up((a->count + blocks - 1) / blocks, STRIP), across = (a->out + wide - 1) / wide;
  const int64_t slabs = (a->in + DEPTH - 1) / DEPTH, deep = slabs ? round_up((a->in + slabs - 1) / slabs, 8) : 0;
#pragma omp parallel for num_threads(a->threads) schedule(dynamic, 1)
  for (int64_t item = 0; item < blocks * across; item++) {
    /* On the stack: memory asked for between two tensors would keep the second from reusing what the first freed. */
    REAL panel[DEPTH * PANEL] __attribute__((aligned(64)));
    const int64_t top = item / across * high, left = item % across * wide;
    const int64_t bottom = top + high < a->count ? top + high : a->count;
    const int64_t right = left + wide < a->out ? left + wide : a->out;
    for (int64_t p = 0; p < a->in; p += deep) {
      const int64_t depth = a->in - p < deep ? a->in - p : deep;
      for (int64_t j = left; j < right; j += PANEL) {
        const REAL *corner = a->turned ? a->weight + j * a->weight_stride + p : a->weight + p * a->weight_stride + j;
        const int64_t halves = right - j < PANEL ? 1 : 2;
        pack(corner, a->weight_stride, a->turned, depth, halves, panel);
        for (int64_t i = top; i < bottom; i += STRIP)
          some_rows(bottom - i < STRIP ? bottom - i : STRIP, halves, a->rows + i * a->rows_stride + p, a->rows_stride,
                    panel, depth, a->bias ? a->bias + j : NULL, p > 0, out + i * a->out + j, a->out);
      }
    }
  }
}
