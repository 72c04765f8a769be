/* Products on processors with vectors of 64 bytes: of float32, or of bfloat16 with float32 sums.

   The right side is packed into panels of PANEL columns, and rounded on the way where it is of float32 and the left one
   is not; the left side is read where it lies. A tile of STRIP rows and a panel stays in registers over the whole
   depth. A unit is what one lane multiplies at once: a float, or two neighbouring numbers in bfloat16. The order of
   additions depends on the depth alone.
*/
#include "vectors.h"

#if defined(__AVX512F__) && (!defined(NARROW) || defined(__AVX512BF16__))

#define STRIP 12
#define WIDTH 16
#define PANEL (2 * WIDTH)
#define DEPTH 1024 /* units of a slab; sums that are kept in bfloat16 are not taken apart */

typedef float wide __attribute__((vector_size(64), aligned(4), may_alias));
typedef float unit __attribute__((may_alias));

typedef struct {
  const void *left, *right;
  const float *bias;
  int64_t rows, columns, depth;          /* of the product, in numbers */
  int64_t left_stride, right_stride;     /* in numbers */
  int left_turned, right_turned;         /* (depth, rows); (columns, depth) */
  int right_whole;                       /* whether the right side is of float32 beside a left one of bfloat16 */
  int narrow, add;                       /* whether the result is of bfloat16; whether it is added to what is there */
  void *spare;                           /* (depth / 2, rows) units, where the left side is turned and of bfloat16 */
  int threads;
} Wide;

#ifdef NARROW
#define UNITS(numbers) (((numbers) + 1) / 2)
static inline wide times(wide sum, unit x, wide y) {
  const __m512i pair = _mm512_castps_si512(_mm512_set1_ps(x));
  return (wide)_mm512_dpbf16_ps((__m512)sum, (__m512bh)pair, (__m512bh)_mm512_castps_si512((__m512)y));
}
#else
#define UNITS(numbers) (numbers)
static inline wide times(wide sum, unit x, wide y) { return sum + x * y; }
#endif

/* What a tile's sums go to: (rows, columns), `narrow` for bfloat16. */
static inline void put(void *out, int64_t at, int narrow, int64_t left, wide v) {
  const __mmask16 some = left >= WIDTH ? 0xffff : (__mmask16)((1u << left) - 1);
#ifdef NARROW
  if (narrow) {
    _mm256_mask_storeu_epi16((uint16_t *)out + at, some, (__m256i)_mm512_cvtneps_pbh((__m512)v));
    return;
  }
#endif
  _mm512_mask_storeu_ps((float *)out + at, some, (__m512)v);
}

static inline wide get(const void *from, int64_t at, int narrow, int64_t left) {
  const __mmask16 some = left >= WIDTH ? 0xffff : (__mmask16)((1u << left) - 1);
#ifdef NARROW
  if (narrow) {
    const __m256i numbers = _mm256_maskz_loadu_epi16(some, (const uint16_t *)from + at);
    return (wide)_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(numbers), 16));
  }
#endif
  return (wide)_mm512_maskz_loadu_ps(some, (const float *)from + at);
}

/* out (height, `left` of PANEL columns) = rows (height, depth) panel (depth, PANEL), plus bias or what out holds. */
static inline __attribute__((always_inline)) void tile(const int height, const unit *const rows[STRIP], int64_t step,
                                                       const unit *panel, int64_t depth, const float *bias, int more,
                                                       int narrow, void *out, const int64_t at[STRIP], int64_t left) {
  wide sum[STRIP][2];
#pragma GCC unroll 12
  for (int r = 0; r < height; r++)
#pragma GCC unroll 2
    for (int h = 0; h < 2; h++)
      sum[r][h] = left <= h * WIDTH ? (wide){0}
                  : more            ? get(out, at[r] + h * WIDTH, narrow, left - h * WIDTH)
                  : bias            ? get(bias, h * WIDTH, 0, left - h * WIDTH)
                                    : (wide){0};
  for (int64_t p = 0; p < depth; p++) {
    const wide one = *(const wide *)(panel + p * PANEL), two = *(const wide *)(panel + p * PANEL + WIDTH);
#pragma GCC unroll 12
    for (int r = 0; r < height; r++) {
      const unit x = rows[r][p * step];
      sum[r][0] = times(sum[r][0], x, one);
      sum[r][1] = times(sum[r][1], x, two);
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < height; r++)
#pragma GCC unroll 2
    for (int h = 0; h < 2; h++)
      if (left > h * WIDTH) put(out, at[r] + h * WIDTH, narrow, left - h * WIDTH, sum[r][h]);
}

/* Units of two rows of bfloat16, number by number; the second row may be missing. */
static inline void pair_up(const uint16_t *one, const uint16_t *two, int64_t count, uint32_t *out) {
  int64_t i = 0;
#ifdef NARROW
  for (; two && i + WIDTH <= count; i += WIDTH) {
    const __m512i low = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(one + i)));
    const __m512i high = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(two + i)));
    _mm512_storeu_si512(out + i, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
  }
#endif
  for (; i < count; i++) out[i] = one[i] | (two ? (uint32_t)two[i] << 16 : 0);
}

#ifdef NARROW
/* 16 numbers rounded to bfloat16. */
static inline __m256i round_off(const float *numbers) { return (__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(numbers)); }

/* `pack` of a right side of float32. */
static void pack_whole(const Wide *w, int64_t from, int64_t count, int64_t first, int64_t depth, uint32_t *out) {
  const float *right = w->right;
  const int64_t stride = w->right_stride;
  for (int64_t p = 0; p < depth; p += 8) {
    const int64_t some = depth - p < 8 ? depth - p : 8;
    for (int64_t j = 0; j < count; j += 8) {
      uint32_t units[8][8] = {{0}};
      for (int64_t k = 0; k < 8 && j + k < count; k++) {
        const float *line = right + (from + j + k) * stride + 2 * (first + p);
        if (some == 8 && 2 * (first + p + 8) <= w->depth) {
          _mm256_storeu_si256((__m256i *)units[k], round_off(line));
          continue;
        }
        float numbers[16] = {0};
        for (int64_t i = 0; i < 2 * some && 2 * (first + p) + i < w->depth; i++) numbers[i] = line[i];
        _mm256_storeu_si256((__m256i *)units[k], round_off(numbers));
      }
      if (some == 8 && j + 8 <= count) {
        turn((const float *)units, 8, (float *)(out + p * PANEL + j), PANEL);
        continue;
      }
      for (int64_t i = 0; i < some; i++)
        for (int64_t k = 0; k < 8 && j + k < count; k++) out[(p + i) * PANEL + j + k] = units[k][i];
    }
  }
}

/* The same of one that is not turned. */
static void pack_whole_lines(const Wide *w, int64_t from, int64_t count, int64_t first, int64_t depth, uint32_t *out) {
  for (int64_t p = 0; p < depth; p++) {
    const int64_t row = 2 * (first + p);
    const float *one = (const float *)w->right + row * w->right_stride + from;
    const float *two = row + 1 < w->depth ? one + w->right_stride : NULL;
    for (int64_t j = 0; j < count; j += WIDTH) {
      const __mmask16 some = count - j >= WIDTH ? 0xffff : (__mmask16)((1u << (count - j)) - 1);
      __m512i unit = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(some, one + j)));
      if (two) {
        const __m256i high = (__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(some, two + j));
        unit = _mm512_or_si512(unit, _mm512_slli_epi32(_mm512_cvtepu16_epi32(high), 16));
      }
      _mm512_mask_storeu_epi32(out + p * PANEL + j, some, unit);
    }
  }
}
#endif

/* out (depth, PANEL) units = columns `from` on, `count` of them, of the right side; zeros beyond. */
static void pack(const Wide *w, int64_t from, int64_t count, int64_t first, int64_t depth, unit *out) {
  if (count < PANEL)
    for (int64_t i = 0; i < depth * PANEL; i++) out[i] = 0;
#ifdef NARROW
  if (w->right_whole) {
    (w->right_turned ? pack_whole : pack_whole_lines)(w, from, count, first, depth, (uint32_t *)out);
    return;
  }
  const uint16_t *right = w->right;
  if (!w->right_turned) {
    for (int64_t p = 0; p < depth; p++) {
      const int64_t row = 2 * (first + p);
      const uint16_t *one = right + row * w->right_stride + from;
      pair_up(one, row + 1 < w->depth ? one + w->right_stride : NULL, count, (uint32_t *)(out + p * PANEL));
    }
    return;
  }
  const unit *lines = (const unit *)(right + from * w->right_stride) + first;
  const int64_t stride = w->right_stride / 2;
#else
  const unit *right = w->right;
  if (!w->right_turned) {
    for (int64_t p = 0; p < depth; p++)
      for (int64_t j = 0; j < count; j++) out[p * PANEL + j] = right[(first + p) * w->right_stride + from + j];
    return;
  }
  const unit *lines = right + from * w->right_stride + first;
  const int64_t stride = w->right_stride;
#endif
  int64_t p = 0;
  for (; p + 8 <= depth; p += 8) {
    int64_t j = 0;
    for (; j + 8 <= count; j += 8) turn(lines + j * stride + p, stride, out + p * PANEL + j, PANEL);
    for (; j < count; j++)
      for (int64_t i = p; i < p + 8; i++) out[i * PANEL + j] = lines[j * stride + i];
  }
  for (; p < depth; p++)
    for (int64_t j = 0; j < count; j++) out[p * PANEL + j] = lines[j * stride + p];
}

/* Room of the thread's own, which stays: asked for and returned with every product it would cost page faults. */
static unit *room_of(int64_t units) {
  static _Thread_local unit *room;
  static _Thread_local int64_t holds;
  if (units > holds) {
    free(room);
    room = aligned_alloc(64, (size_t)round_up(units * (int64_t)sizeof(unit), 64));
    holds = room ? units : 0;
  }
  return room;
}

/* out (rows, columns) = left right + bias (columns,), which may be NULL. */
void wide_product(const Wide *w, void *out) {
  const int64_t units = UNITS(w->depth), panels = (w->columns + PANEL - 1) / PANEL;
  const int64_t slabs = w->narrow || !units ? 1 : (units + DEPTH - 1) / DEPTH, deep = (units + slabs - 1) / slabs;
  /* Pieces enough for threads of uneven speed, and not more: each packs its panel. */
  int64_t blocks = (8 * w->threads + panels - 1) / panels;
  const int64_t most = (w->rows + 8 * STRIP - 1) / (8 * STRIP);
  blocks = blocks > most ? most : blocks;
  const int64_t high = blocks ? round_up((w->rows + blocks - 1) / blocks, STRIP) : 0;
  const unit *left = w->left;
  int64_t row_stride = UNITS(w->left_stride), step = 1;
  if (w->left_turned) row_stride = 1, step = w->left_stride;
#ifdef NARROW
  if (w->left_turned) {
    const uint16_t *numbers = w->left;
#pragma omp parallel for num_threads(w->threads) schedule(static)
    for (int64_t p = 0; p < units; p++) {
      const uint16_t *one = numbers + 2 * p * w->left_stride;
      pair_up(one, 2 * p + 1 < w->depth ? one + w->left_stride : NULL, w->rows, (uint32_t *)w->spare + p * w->rows);
    }
    left = w->spare, step = w->rows;
  }
#endif
#pragma omp parallel num_threads(w->threads)
  {
    unit *panel = room_of(deep * PANEL);
#pragma omp for schedule(dynamic, 1)
    for (int64_t item = 0; item < blocks * panels; item++) {
      const int64_t top = item / panels * high, from = item % panels * PANEL;
      const int64_t bottom = top + high < w->rows ? top + high : w->rows;
      const int64_t count = w->columns - from < PANEL ? w->columns - from : PANEL;
      for (int64_t first = 0, slab = 0; slab < slabs; slab++, first += deep) {
        const int64_t depth = units - first < deep ? units - first : deep;
        pack(w, from, count, first, depth, panel);
        for (int64_t i = top; i < bottom; i += STRIP) {
          const unit *rows[STRIP];
          int64_t at[STRIP];
          for (int r = 0; r < STRIP; r++) {
            const int64_t row = i + r < bottom ? i + r : bottom - 1;
            rows[r] = left + row * row_stride + first * step;
            at[r] = row * w->columns + from;
          }
          const float *bias = w->bias ? w->bias + from : NULL;
          if (bottom - i > STRIP / 2)
            tile(STRIP, rows, step, panel, depth, bias, w->add || slab > 0, w->narrow, out, at, count);
          else
            tile(STRIP / 2, rows, step, panel, depth, bias, w->add || slab > 0, w->narrow, out, at, count);
        }
      }
    }
  }
}
#endif
