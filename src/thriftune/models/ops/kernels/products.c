/* Products of rows with a weight matrix, of which every tile stays in registers.

   Differs from a general library in three things: the work is handed out in small pieces, so that a core that is
   slowed down by neighbours does less of it; the output's tile is fetched before it is written; and a product of low
   rank is added on the way. The order of additions depends on the sizes of the weight alone, so a row's result is the
   same bits whatever rows stand beside it.
*/
#include "vectors.h"

#define STRIP 6
#define PANEL (2 * LANES)
#define DEPTH 384
#define ROWS 450
#define PANELS 2
#define FEW_ROWS 64

typedef struct {
  const REAL *rows, *weight, *bias, *low_rows, *low_weight;
  int64_t count, in, out, low;
  int64_t rows_stride, weight_stride, low_rows_stride, low_weight_stride;
  int turned, threads;
} Product;

/* c (height, halves * LANES) = a (height, depth) b (depth, ..), plus `bias` or (where `more`) what c holds. a's element
   (r, p) lies at r * a_stride + p * a_step. */
static inline __attribute__((always_inline)) void tile(const int height, const int halves, const REAL *a,
                                                       int64_t a_stride, int64_t a_step, const REAL *b,
                                                       int64_t b_stride, int64_t depth, const REAL *bias, int more,
                                                       REAL *c, int64_t c_stride) {
  vec sum[STRIP][2];
#pragma GCC unroll 6
  for (int r = 0; r < height; r++) {
    __builtin_prefetch(c + r * c_stride, 1, 3);
    for (int h = 0; h < halves; h++)
      sum[r][h] = more ? load(c + r * c_stride + h * LANES) : bias ? load(bias + h * LANES) : (vec){0};
  }
  for (int64_t p = 0; p < depth; p++) {
    const vec left = load(b + p * b_stride), right = halves > 1 ? load(b + p * b_stride + LANES) : left;
#pragma GCC unroll 6
    for (int r = 0; r < height; r++) {
      const vec x = all(a[r * a_stride + p * a_step]);
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
    CASES(2, a, a_stride, 1, b, PANEL, depth, bias, more, c, c_stride)
  else
    CASES(1, a, a_stride, 1, b, PANEL, depth, bias, more, c, c_stride)
}

/* Up to STRIP rows of a product whose left side is turned; b is as it is. */
static void some_columns(int64_t height, int64_t halves, const REAL *a, int64_t a_step, const REAL *b,
                         int64_t b_stride, int64_t depth, int more, REAL *c, int64_t c_stride) {
  if (halves > 1)
    CASES(2, a, 1, a_step, b, b_stride, depth, NULL, more, c, c_stride)
  else
    CASES(1, a, 1, a_step, b, b_stride, depth, NULL, more, c, c_stride)
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

typedef struct {
  const REAL *rows, *weight;
  int64_t rows_stride, weight_stride, depth;
} Term;

/* out (count, out) = rows (count, in) weight + bias + low_rows (count, low) low_weight; the weights are (in, out) and
   (low, out), or (out, in) and (out, low) where they are `turned`. `out` is a multiple of LANES; bias may be NULL. */
void product(const Product *a, REAL *out) {
  const Term terms[2] = {{a->rows, a->weight, a->rows_stride, a->weight_stride, a->in},
                         {a->low_rows, a->low_weight, a->low_rows_stride, a->low_weight_stride, a->low}};
  const int64_t blocks = (a->count + ROWS - 1) / ROWS, wide = PANELS * PANEL;
  const int64_t high = round_up((a->count + blocks - 1) / blocks, STRIP), across = (a->out + wide - 1) / wide;
#pragma omp parallel for num_threads(a->threads) schedule(dynamic, 1)
  for (int64_t item = 0; item < blocks * across; item++) {
    /* On the stack: memory asked for between two tensors would keep the second from reusing what the first freed. */
    REAL panel[DEPTH * PANEL] __attribute__((aligned(64)));
    const int64_t top = item / across * high, left = item % across * wide;
    const int64_t bottom = top + high < a->count ? top + high : a->count;
    const int64_t right = left + wide < a->out ? left + wide : a->out;
    int more = 0;
    for (const Term *t = terms; t < terms + 2; t++) {
      const int64_t slabs = (t->depth + DEPTH - 1) / DEPTH;
      const int64_t deep = slabs ? round_up((t->depth + slabs - 1) / slabs, 8) : 0;
      for (int64_t p = 0; p < t->depth; p += deep, more = 1) {
        const int64_t depth = t->depth - p < deep ? t->depth - p : deep;
        for (int64_t j = left; j < right; j += PANEL) {
          const REAL *corner = a->turned ? t->weight + j * t->weight_stride + p : t->weight + p * t->weight_stride + j;
          const int64_t halves = right - j < PANEL ? 1 : 2;
          pack(corner, t->weight_stride, a->turned, depth, halves, panel);
          for (int64_t i = top; i < bottom; i += STRIP)
            some_rows(bottom - i < STRIP ? bottom - i : STRIP, halves, t->rows + i * t->rows_stride + p,
                      t->rows_stride, panel, depth, a->bias ? a->bias + j : NULL, more, out + i * a->out + j, a->out);
        }
      }
    }
  }
}

/* out (few, many) = left' right, of left (rows, few) and right (rows, many): the gradient of a small weight. `many` is
   a multiple of LANES. */
void cross(const REAL *left, const REAL *right, REAL *out, int64_t rows, int64_t few, int64_t many,
           int64_t left_stride, int64_t right_stride, int threads) {
  const int64_t wide = 4 * PANEL;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
  for (int64_t first = 0; first < many; first += wide) {
    const int64_t last = first + wide < many ? first + wide : many;
    for (int64_t p = 0; p < rows; p += FEW_ROWS)
      for (int64_t j = first; j < last; j += PANEL)
        for (int64_t i = 0; i < few; i += STRIP)
          some_columns(few - i < STRIP ? few - i : STRIP, last - j < PANEL ? 1 : 2, left + p * left_stride + i,
                       left_stride, right + p * right_stride + j, right_stride,
                       rows - p < FEW_ROWS ? rows - p : FEW_ROWS, p > 0, out + i * many + j, many);
  }
}
