/* What a training step on a CPU does besides matrix products, each in one pass over packed rows.

   Compiled once for REAL = float, once for REAL = double, and once for tensors in bfloat16. Rows are contiguous unless a stride is given. Every
   function returns the same bits for the same input, seed and number of threads.
*/
#include "vectors.h"

#define LEVELS 4294967296.0

/* ---- exp ---- */

/* For x <= 0. Cephes' reduction: exp(x) = 2^n exp(r), |r| <= ln(2)/2, exp(r) by its series. NaN stays NaN. */
static inline fvec exp_float(fvec x) {
  const fvec low = (fvec){0} - 87.3f;
  x = (fvec)(((ivec)low & (x < low)) | ((ivec)x & ~(x < low)));
  const float magic = 12582912.0f;
  fvec n = x * 1.44269504088896341f + magic - magic;
  fvec r = x - n * 0.693359375f + n * 2.12194440e-4f;
  fvec p = r * (1.0f / 5040) + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r * r + r + 1.0f;
  return (fvec)((ivec)p + (__builtin_convertvector(n, ivec) << 23));
}

static inline vec vexp(vec x) {
  if (IS_FLOAT) return (vec)exp_float((fvec)x);
  for (int64_t i = 0; i < LANES; i++) x[i] = exp(x[i]);
  return x;
}

#if BROAD
static inline broad broad_exp(broad x) {
  const broad low = (broad){0} - 87.3f;
  x = (broad)(((ibroad)low & (x < low)) | ((ibroad)x & ~(x < low)));
  const float magic = 12582912.0f;
  broad n = x * 1.44269504088896341f + magic - magic;
  broad r = x - n * 0.693359375f + n * 2.12194440e-4f;
  broad p = r * (1.0f / 5040) + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r * r + r + 1.0f;
  return (broad)((ibroad)p + (__builtin_convertvector(n, ibroad) << 23));
}
#endif

/* ---- dropout: one 32-bit hash of (seed, element) decides, so no mask is kept ---- */

typedef struct {
  uint32_t low, high, dropped, first;
  REAL factor;
} Dropout;

/* Elements are counted from `first` on: those of a part of a batch are what they would be in the whole. */
static Dropout dropout_of(uint64_t seed, double rate, int64_t first) {
  double dropped = floor(rate * LEVELS + 0.5);
  REAL factor = (REAL)(LEVELS / (LEVELS - dropped));
  Dropout d = {(uint32_t)seed, (uint32_t)(seed >> 32), (uint32_t)dropped, (uint32_t)first, factor};
  return d;
}

/* Wellons' "triple32" rounds, the seed's halves mixed in on the way. */
#define HASH(x, d)          \
  do {                      \
    x ^= (d).low;           \
    x ^= x >> 17;           \
    x *= 0xed5ad4bbu;       \
    x ^= x >> 11;           \
    x += (d).high;          \
    x *= 0xac4c1b51u;       \
    x ^= x >> 15;           \
    x *= 0x31848babu;       \
    x ^= x >> 14;           \
  } while (0)

/* The factor where an element stays, else 0, for LANES elements from `index` on. */
static inline vec keep(uint32_t index, Dropout d) {
  index += d.first;
  if (IS_FLOAT) {
    uvec x = (uvec){0, 1, 2, 3, 4, 5, 6, 7} + index;
    HASH(x, d);
    fvec factor = (fvec){0} + (float)d.factor;
    return (vec)((ivec)factor & (ivec)(x >= d.dropped));
  }
  vec out;
  for (int64_t i = 0; i < LANES; i++) {
    uint32_t x = index + (uint32_t)i;
    HASH(x, d);
    out[i] = x >= d.dropped ? d.factor : 0;
  }
  return out;
}

/* out = mask * x / (1 - rate); out may be x. */
void dropout(const STORED *x, STORED *out, int64_t count, double rate, uint64_t seed, int64_t first, int threads) {
  const Dropout d = dropout_of(seed, rate, first);
  const int64_t whole = count / LANES;
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t i = 0; i < whole; i++) give(out + i * LANES, take(x + i * LANES) * keep((uint32_t)(i * LANES), d));
  for (int64_t i = whole * LANES; i < count; i++) give_one(out + i, take_one(x + i) * keep((uint32_t)i, d)[0]);
}

/* ---- LayerNorm of residual + dropout(x); width is a multiple of LANES ---- */

/* `sum` (rows, width) keeps residual + dropout(x), `mean` and `scale` (rows,) its moments. */
void add_norm(const STORED *x, const STORED *residual, const REAL *weight, const REAL *bias, STORED *out, STORED *sum,
              REAL *mean, REAL *scale, int64_t rows, int64_t width, double eps, double rate, uint64_t seed,
              int64_t first, int threads) {
  const Dropout d = dropout_of(seed, rate, first);
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t row = 0; row < rows; row++) {
    const int64_t at = row * width;
    vec sums = {0}, squares = {0};
    for (int64_t i = 0; i < width; i += LANES) {
      vec v = take(x + at + i);
      if (rate > 0) v *= keep((uint32_t)(at + i), d);
      give(sum + at + i, v + take(residual + at + i));
      sums += take(sum + at + i);
    }
    const REAL middle = total(sums) / width;
    for (int64_t i = 0; i < width; i += LANES) {
      const vec v = take(sum + at + i) - middle;
      squares += v * v;
    }
    const REAL factor = 1 / (REAL)sqrt(total(squares) / width + eps);
    mean[row] = middle;
    scale[row] = factor;
    for (int64_t i = 0; i < width; i += LANES)
      give(out + at + i, (take(sum + at + i) - middle) * factor * load(weight + i) + load(bias + i));
  }
}

/* Gradients of add_norm: of the residual, of x (the same tensor where rate is 0), of weight and bias (or NULL). */
void add_norm_backward(const STORED *grad, const STORED *sum, const REAL *mean, const REAL *scale, const REAL *weight,
                       STORED *grad_residual, STORED *grad_x, REAL *grad_weight, REAL *grad_bias, int64_t rows,
                       int64_t width, double rate, uint64_t seed, int64_t first, int threads) {
  const Dropout d = dropout_of(seed, rate, first);
  REAL *partial = grad_weight ? calloc((size_t)(2 * threads * width), sizeof(REAL)) : NULL;
#pragma omp parallel for num_threads(threads) schedule(static, 1)
  for (int part = 0; part < threads; part++) {
    REAL *own = partial ? partial + 2 * part * width : NULL;
    for (int64_t row = rows * part / threads; row < rows * (part + 1) / threads; row++) {
      const int64_t at = row * width;
      const REAL middle = mean[row], factor = scale[row];
      vec plain = {0}, weighted = {0};
      for (int64_t i = 0; i < width; i += LANES) {
        const vec g = take(grad + at + i), normed = (take(sum + at + i) - middle) * factor;
        const vec scaled = g * load(weight + i);
        plain += scaled;
        weighted += scaled * normed;
        if (own) {
          store(own + i, load(own + i) + g * normed);
          store(own + width + i, load(own + width + i) + g);
        }
      }
      const REAL mean_plain = total(plain) / width, mean_weighted = total(weighted) / width;
      for (int64_t i = 0; i < width; i += LANES) {
        const vec normed = (take(sum + at + i) - middle) * factor;
        const vec g = (take(grad + at + i) * load(weight + i) - mean_plain - normed * mean_weighted) * factor;
        give(grad_residual + at + i, g);
        if (rate > 0) give(grad_x + at + i, g * keep((uint32_t)(at + i), d));
      }
    }
  }
  if (partial) {
    for (int64_t i = 0; i < width; i++) {
      grad_weight[i] = grad_bias[i] = 0;
      for (int part = 0; part < threads; part++) {
        grad_weight[i] += partial[2 * part * width + i];
        grad_bias[i] += partial[(2 * part + 1) * width + i];
      }
    }
    free(partial);
  }
}

/* ---- attention inside each text ---- */

#define BLOCK 6 /* rows of which the products of two vectors fill the registers */

/* c (BLOCK, cols) = a (BLOCK, depth) b (depth, cols): a's element (r, i) lies at rows[r] + i * step; cols is a multiple
   of LANES. Rows may be given twice. */
static inline void product(const REAL *const rows[BLOCK], int64_t step, const REAL *b, int64_t b_stride, int64_t depth,
                           REAL *const c[BLOCK], int64_t cols, REAL factor) {
  int64_t col = 0;
#if BROAD
  for (; col + 4 * LANES <= cols; col += 4 * LANES) {
    broad sum[BLOCK][2] = {{{0}}};
    for (int64_t i = 0; i < depth; i++) {
      broad left = broad_load(b + i * b_stride + col), right = broad_load(b + i * b_stride + col + 2 * LANES);
#pragma GCC unroll 8
      for (int r = 0; r < BLOCK; r++) {
        const REAL a = rows[r][i * step];
        sum[r][0] += a * left;
        sum[r][1] += a * right;
      }
    }
#pragma GCC unroll 8
    for (int r = BLOCK - 1; r >= 0; r--) {
      broad_store(c[r] + col, sum[r][0] * factor);
      broad_store(c[r] + col + 2 * LANES, sum[r][1] * factor);
    }
  }
#endif
  for (; col + 2 * LANES <= cols; col += 2 * LANES) {
    vec sum[BLOCK][2] = {{{0}}};
    for (int64_t i = 0; i < depth; i++) {
      vec left = load(b + i * b_stride + col), right = load(b + i * b_stride + col + LANES);
      HOLD(left);
      HOLD(right);
#pragma GCC unroll 8
      for (int r = 0; r < BLOCK; r++) {
        const REAL a = rows[r][i * step];
        sum[r][0] += a * left;
        sum[r][1] += a * right;
      }
    }
#pragma GCC unroll 8
    for (int r = BLOCK - 1; r >= 0; r--) {
      store(c[r] + col, sum[r][0] * factor);
      store(c[r] + col + LANES, sum[r][1] * factor);
    }
  }
  for (; col < cols; col += LANES) {
    vec sum[BLOCK] = {{0}};
    for (int64_t i = 0; i < depth; i++) {
      vec left = load(b + i * b_stride + col);
      HOLD(left);
#pragma GCC unroll 8
      for (int r = 0; r < BLOCK; r++) sum[r] += rows[r][i * step] * left;
    }
#pragma GCC unroll 8
    for (int r = BLOCK - 1; r >= 0; r--) store(c[r] + col, sum[r] * factor);
  }
}

/* Copies (count, size) rows with a stride into (size, columns), zeros behind count. */
static void transpose(const REAL *rows, int64_t stride, int64_t count, int64_t size, REAL *out, int64_t columns) {
  const int64_t blocks = IS_FLOAT ? count / 8 * 8 : 0, whole = IS_FLOAT ? size / 8 * 8 : 0;
  for (int64_t j = 0; j < blocks; j += 8)
    for (int64_t d = 0; d < whole; d += 8)
      turn((const float *)(rows + j * stride + d), stride, (float *)(out + d * columns + j), columns);
  for (int64_t d = 0; d < size; d++) {
    REAL *line = out + d * columns;
    for (int64_t j = d < whole ? blocks : 0; j < count; j++) line[j] = rows[j * stride + d];
    for (int64_t j = count; j < columns; j++) line[j] = 0;
  }
}

/* x where element `at` + lane lies in `from` .. `to`, else `other`. */
static inline vec inside(vec x, int64_t at, int64_t from, int64_t to, REAL other) {
  static const REAL counted[] = {0, 1, 2, 3, 4, 5, 6, 7};
  if (at >= from && at + LANES <= to) return x;
  const vec place = load(counted) + (REAL)at;
  const mask in = (place >= (REAL)from) & (place < (REAL)to);
  return (vec)(((mask)x & in) | ((mask)all(other) & ~in));
}

/* `count` rows of scores (`columns` wide) into probabilities; those outside of `from` .. `to` are not seen. The rows
   go side by side, so that the processor need not wait for each row's largest and sum. */
static inline __attribute__((always_inline)) void softmax(const int count, REAL *const p[], const int64_t from[],
                                                          const int64_t to[], int64_t columns) {
  vec tops[BLOCK], sums[BLOCK];
  for (int r = 0; r < count; r++) tops[r] = all(-INFINITY), sums[r] = (vec){0};
  for (int64_t j = 0; j < columns; j += LANES)
#pragma GCC unroll 8
    for (int r = 0; r < count; r++) tops[r] = larger(tops[r], inside(load(p[r] + j), j, from[r], to[r], -INFINITY));
#pragma GCC unroll 8
  for (int r = 0; r < count; r++) tops[r] = all(largest(tops[r]));
  int64_t first = 0;
#if BROAD
  /* What all rows see whole; their sums go lane by lane as they do below. */
  int64_t most = 0, least = columns;
  for (int r = 0; r < count; r++) most = from[r] > most ? from[r] : most, least = to[r] < least ? to[r] : least;
  for (; most == 0 && first + 2 * LANES <= least; first += 2 * LANES)
#pragma GCC unroll 8
    for (int r = 0; r < count; r++) {
      const broad e = broad_exp(broad_load(p[r] + first) - (float)tops[r][0]);
      broad_store(p[r] + first, e);
      sums[r] += load(p[r] + first);
      sums[r] += load(p[r] + first + LANES);
    }
#endif
  for (int64_t j = first; j < columns; j += LANES)
#pragma GCC unroll 8
    for (int r = 0; r < count; r++) {
      const vec e = inside(vexp(load(p[r] + j) - tops[r]), j, from[r], to[r], 0);
      store(p[r] + j, e);
      sums[r] += e;
    }
#pragma GCC unroll 8
  for (int r = 0; r < count; r++) sums[r] = all(1 / total(sums[r]));
  for (int64_t j = 0; j < columns; j += LANES)
#pragma GCC unroll 8
    for (int r = 0; r < count; r++) store(p[r] + j, load(p[r] + j) * sums[r]);
}

/* `bias` (heads, distances), or NULL, is added to the scores: what belongs to the distance key - query of d lies at
   `zero` + d. It goes on for 2 * LANES beyond the longest text's. */
typedef struct {
  const STORED *query, *key, *value;
  const int64_t *starts, *lengths;
  const REAL *bias;
  int64_t texts, heads, size, distances, zero;
  int first_only;
  int64_t window;
  double scale, rate;
  uint64_t seed;
  int64_t first;
  int threads;
} Attention;

/* The first element of dropout's count for each text: heads * queries * keys of those before it. */
static int64_t *element_offsets(const Attention *a) {
  int64_t *out = malloc((size_t)(a->texts + 1) * sizeof(int64_t));
  out[0] = 0;
  for (int64_t t = 0; t < a->texts; t++) {
    const int64_t columns = round_up(a->lengths[t], 2 * LANES);
    out[t + 1] = out[t] + a->heads * columns * (a->first_only ? 1 : a->lengths[t]);
  }
  return out;
}

static int64_t longest(const Attention *a) {
  int64_t most = 0;
  for (int64_t t = 0; t < a->texts; t++) most = a->lengths[t] > most ? a->lengths[t] : most;
  return round_up(most, 2 * LANES);
}

/* (count, size) rows of one head, `width` apart, as REAL and STRIDE apart: where they lie, or copied into `room`. */
#ifdef NARROW
#define STRIDE(a) ((a)->size)
#define ROOMS(count) ((count) * a->size)
static const REAL *plain(const STORED *rows, int64_t width, int64_t count, int64_t size, REAL *room) {
  for (int64_t i = 0; i < count; i++)
    for (int64_t j = 0; j < size; j += LANES) store(room + i * size + j, take(rows + i * width + j));
  return room;
}
/* Where such rows are to be computed, and what brings them to where they belong. */
static REAL *target(STORED *rows, REAL *room) { return room; }
static void deliver(const REAL *room, int64_t count, int64_t size, STORED *rows, int64_t width) {
  for (int64_t i = 0; i < count; i++)
    for (int64_t j = 0; j < size; j += LANES) give(rows + i * width + j, load(room + i * size + j));
}
#else
#define STRIDE(a) ((a)->heads * (a)->size)
#define ROOMS(count) 0
static const REAL *plain(const STORED *rows, int64_t width, int64_t count, int64_t size, REAL *room) { return rows; }
static REAL *target(STORED *rows, REAL *room) { return rows; }
static void deliver(const REAL *room, int64_t count, int64_t size, STORED *rows, int64_t width) {}
#endif

/* p (columns,) + bias. */
static inline void add_bias(REAL *p, const REAL *bias, int64_t columns) {
  for (int64_t j = 0; j < columns; j += LANES) store(p + j, load(p + j) + load(bias + j));
}

/* BLOCK rows of probabilities of one text and head, into p[0..3]. */
static void probabilities(const Attention *a, const REAL *query, int64_t row, int64_t queries, const REAL *keys,
                          int64_t head, int64_t length, int64_t columns, REAL *const p[BLOCK]) {
  const REAL *q[BLOCK];
  for (int r = 0; r < BLOCK; r++) q[r] = query + (row + r < queries ? row + r : queries - 1) * STRIDE(a);
  product(q, 1, keys, columns, a->size, p, columns, (REAL)a->scale);
  int64_t from[BLOCK], to[BLOCK];
  for (int r = 0; r < BLOCK; r++) {
    const int64_t place = row + r < queries ? row + r : queries - 1;
    from[r] = 0, to[r] = length;
    if (a->bias) add_bias(p[r], a->bias + head * a->distances + a->zero - place, columns);
    if (a->window >= 0) {
      from[r] = place > a->window ? place - a->window : 0;
      to[r] = place + a->window + 1 < length ? place + a->window + 1 : length;
    }
  }
  softmax(BLOCK, p, from, to, columns);
}

/* out (rows or texts, heads * size) = dropout(softmax(scale q k' + bias)) v inside each text. */
void attend(const Attention *a, STORED *out) {
  int64_t *offsets = element_offsets(a);
  const Dropout d = dropout_of(a->seed, a->rate, a->first);
  const int64_t widest = longest(a), width = a->heads * a->size, stride = STRIDE(a);
#pragma omp parallel num_threads(a->threads)
  {
    REAL *keys = malloc((size_t)(widest * (a->size + BLOCK + ROOMS(3))) * sizeof(REAL));
    REAL *block = keys + widest * a->size, *room = block + widest * BLOCK;
#pragma omp for schedule(dynamic, 4)
    for (int64_t item = 0; item < a->texts * a->heads; item++) {
      const int64_t text = item / a->heads, head = item % a->heads;
      const int64_t length = a->lengths[text], columns = round_up(length, 2 * LANES);
      const int64_t queries = a->first_only ? 1 : length;
      const int64_t own = a->starts[text] * width + head * a->size;
      const int64_t asked = (a->first_only ? text : a->starts[text]) * width + head * a->size;
      REAL *to = target(out + asked, room);
      uint32_t element = (uint32_t)(offsets[text] + head * queries * columns);
      transpose(plain(a->key + own, width, length, a->size, room), stride, length, a->size, keys, columns);
      const REAL *query = plain(a->query + asked, width, queries, a->size, room + ROOMS(1) * widest);
      const REAL *value = plain(a->value + own, width, length, a->size, room + ROOMS(2) * widest);
      for (int64_t row = 0; row < queries; row += BLOCK) {
        REAL *p[BLOCK];
        for (int r = 0; r < BLOCK; r++) p[r] = block + r * columns;
        probabilities(a, query, row, queries, keys, head, length, columns, p);
        REAL *c[BLOCK];
        for (int r = 0; r < BLOCK; r++) {
          const int64_t place = row + r < queries ? row + r : queries - 1;
          c[r] = to + place * stride;
          if (a->rate > 0)
            for (int64_t j = 0; j < columns; j += LANES)
              store(p[r] + j, load(p[r] + j) * keep(element + (uint32_t)(place * columns + j), d));
        }
        product((const REAL *const *)p, 1, value, stride, length, c, a->size, 1);
      }
      deliver(to, queries, a->size, out + asked, width);
    }
    free(keys);
  }
  free(offsets);
}

/* Gradients of attend, laid out as queries, keys and values are. The probabilities are computed again. `grad_bias`
   (texts, heads, distances), zeros or NULL, gets each text's part. */
void attend_backward(const Attention *a, const STORED *grad, STORED *grad_query, STORED *grad_key, STORED *grad_value,
                     REAL *grad_bias) {
  int64_t *offsets = element_offsets(a);
  const Dropout d = dropout_of(a->seed, a->rate, a->first);
  const int64_t widest = longest(a), width = a->heads * a->size, stride = STRIDE(a);
  const int64_t rows = a->first_only ? BLOCK : widest + BLOCK;
#pragma omp parallel num_threads(a->threads)
  {
    REAL *keys = malloc((size_t)(widest * (2 * a->size + 2 * rows + BLOCK + ROOMS(4))) * sizeof(REAL));
    REAL *values = keys + widest * a->size, *block = values + widest * a->size;
    REAL *kept = block + BLOCK * widest, *scores = kept + rows * widest, *room = scores + rows * widest;
#pragma omp for schedule(dynamic, 4)
    for (int64_t item = 0; item < a->texts * a->heads; item++) {
      const int64_t text = item / a->heads, head = item % a->heads;
      const int64_t length = a->lengths[text], columns = round_up(length, 2 * LANES);
      const int64_t queries = a->first_only ? 1 : length;
      const int64_t first = a->starts[text] * width + head * a->size;
      const int64_t first_query = (a->first_only ? text : a->starts[text]) * width + head * a->size;
      const REAL *query = plain(a->query + first_query, width, queries, a->size, room);
      const REAL *above = plain(grad + first_query, width, queries, a->size, room + ROOMS(1) * widest);
      const REAL *key = plain(a->key + first, width, length, a->size, room + ROOMS(2) * widest);
      REAL *spare = room + ROOMS(3) * widest;
      const uint32_t element = (uint32_t)(offsets[text] + head * queries * columns);
      REAL *c[BLOCK];
      const REAL *from[BLOCK];
      transpose(key, stride, length, a->size, keys, columns);
      transpose(plain(a->value + first, width, length, a->size, spare), stride, length, a->size, values, columns);
      for (int64_t row = 0; row < queries; row += BLOCK) {
        REAL *p[BLOCK];
        for (int r = 0; r < BLOCK; r++) p[r] = block + r * columns;
        probabilities(a, query, row, queries, keys, head, length, columns, p);
        for (int r = 0; r < BLOCK; r++) {
          from[r] = above + (row + r < queries ? row + r : queries - 1) * stride;
          c[r] = scores + (row + r) * columns;
        }
        product(from, 1, values, columns, a->size, c, columns, 1);
        for (int r = 0; r < BLOCK; r++) {
          REAL *after = kept + (row + r) * columns;
          vec sums = {0};
          for (int64_t j = 0; j < columns; j += LANES) {
            vec probability = load(p[r] + j);
            if (a->rate > 0) probability *= keep(element + (uint32_t)((row + r) * columns + j), d);
            const vec inner = probability * load(c[r] + j);
            sums += inner;
            store(after + j, probability);
            store(c[r] + j, inner);
          }
          const REAL sum = total(sums), scale = (REAL)a->scale;
          if (grad_bias && row + r < queries) {
            REAL *own = grad_bias + item * a->distances + a->zero - (row + r);
            for (int64_t j = 0; j < columns; j += LANES)
              store(own + j, load(own + j) + load(c[r] + j) - load(p[r] + j) * sum);
          }
          for (int64_t j = 0; j < columns; j += LANES)
            store(c[r] + j, (load(c[r] + j) - load(p[r] + j) * sum) * scale);
        }
      }
      REAL *to = target(grad_query + first_query, spare);
      for (int64_t row = 0; row < queries; row += BLOCK) {
        for (int r = 0; r < BLOCK; r++) {
          const int64_t place = row + r < queries ? row + r : queries - 1;
          from[r] = scores + place * columns;
          c[r] = to + place * stride;
        }
        product(from, 1, key, stride, length, c, a->size, 1);
      }
      deliver(to, queries, a->size, grad_query + first_query, width);
      to = target(grad_key + first, spare);
      for (int64_t row = 0; row < length; row += BLOCK) {
        for (int r = 0; r < BLOCK; r++) {
          const int64_t place = row + r < length ? row + r : length - 1;
          from[r] = scores + place;
          c[r] = to + place * stride;
        }
        product(from, columns, query, stride, queries, c, a->size, 1);
      }
      deliver(to, length, a->size, grad_key + first, width);
      to = target(grad_value + first, spare);
      for (int64_t row = 0; row < length; row += BLOCK) {
        for (int r = 0; r < BLOCK; r++) {
          const int64_t place = row + r < length ? row + r : length - 1;
          from[r] = kept + place;
          c[r] = to + place * stride;
        }
        product(from, columns, above, stride, queries, c, a->size, 1);
      }
      deliver(to, length, a->size, grad_value + first, width);
    }
    free(keys);
  }
  free(offsets);
}

/* ---- attention of one query per head on the rows themselves, inside each text ---- */

typedef struct {
  const REAL *query, *rows;
  const int64_t *starts, *lengths;
  const REAL *bias; /* as in Attention */
  int64_t texts, heads, width, distances, zero;
  double scale, rate;
  uint64_t seed;
  int64_t first;
  int threads;
} Pool;

/* The first element of dropout's count for each text, and the most columns in `widest`. */
static int64_t *pool_offsets(const Pool *a, int64_t *widest) {
  int64_t *out = malloc((size_t)(a->texts + 1) * sizeof(int64_t));
  out[0] = *widest = 0;
  for (int64_t t = 0; t < a->texts; t++) {
    const int64_t columns = round_up(a->lengths[t], 2 * LANES);
    out[t + 1] = out[t] + a->heads * columns;
    *widest = columns > *widest ? columns : *widest;
  }
  return out;
}

/* c (heads, columns) = the products of one text's vectors (heads, texts, width) with its rows, `turned`. */
static void pool_products(const Pool *a, const REAL *vectors, int64_t text, const REAL *turned, int64_t columns,
                          REAL factor, REAL *out) {
  for (int64_t head = 0; head < a->heads; head += BLOCK) {
    const REAL *from[BLOCK];
    REAL *c[BLOCK];
    for (int r = 0; r < BLOCK; r++) {
      const int64_t place = head + r < a->heads ? head + r : a->heads - 1;
      from[r] = vectors + (place * a->texts + text) * a->width;
      c[r] = out + place * columns;
    }
    product(from, 1, turned, columns, a->width, c, columns, factor);
  }
}

/* One text's vectors (heads, texts, width) = weights (heads, columns) times its rows. */
static void pool_sums(const Pool *a, const REAL *weights, int64_t columns, int64_t text, REAL *vectors) {
  for (int64_t head = 0; head < a->heads; head += BLOCK) {
    const REAL *from[BLOCK];
    REAL *c[BLOCK];
    for (int r = 0; r < BLOCK; r++) {
      const int64_t place = head + r < a->heads ? head + r : a->heads - 1;
      from[r] = weights + place * columns;
      c[r] = vectors + (place * a->texts + text) * a->width;
    }
    product(from, 1, a->rows + a->starts[text] * a->width, a->width, a->lengths[text], c, a->width, 1);
  }
}

/* out (heads, texts, width) = dropout(softmax(scale query rows' + bias)) rows; sums (texts, heads) of the kept weights. */
void pool(const Pool *a, REAL *out, REAL *sums) {
  int64_t widest, *offsets = pool_offsets(a, &widest);
  const Dropout d = dropout_of(a->seed, a->rate, a->first);
#pragma omp parallel num_threads(a->threads)
  {
    REAL *turned = malloc((size_t)(widest * (a->width + a->heads)) * sizeof(REAL));
    REAL *weights = turned + widest * a->width;
#pragma omp for schedule(dynamic, 1)
    for (int64_t text = 0; text < a->texts; text++) {
      const int64_t length = a->lengths[text], columns = round_up(length, 2 * LANES);
      transpose(a->rows + a->starts[text] * a->width, a->width, length, a->width, turned, columns);
      pool_products(a, a->query, text, turned, columns, (REAL)a->scale, weights);
      for (int64_t head = 0; head < a->heads; head++) {
        REAL *p = weights + head * columns;
        vec kept = {0};
        if (a->bias) add_bias(p, a->bias + head * a->distances + a->zero, columns);
        softmax(1, &p, &(int64_t){0}, &length, columns);
        for (int64_t j = 0; j < columns; j += LANES) {
          if (a->rate > 0) store(p + j, load(p + j) * keep((uint32_t)(offsets[text] + head * columns + j), d));
          kept += load(p + j);
        }
        sums[text * a->heads + head] = total(kept);
      }
      pool_sums(a, weights, columns, text, out);
    }
    free(turned);
  }
  free(offsets);
}

/* Gradients of pool, of its queries and (or NULL) its rows and its bias, as attend_backward has that. The weights are
   computed again. */
void pool_backward(const Pool *a, const REAL *grad, const REAL *grad_sums, REAL *grad_query, REAL *grad_rows,
                   REAL *grad_bias) {
  int64_t widest, *offsets = pool_offsets(a, &widest);
  const Dropout d = dropout_of(a->seed, a->rate, a->first);
#pragma omp parallel num_threads(a->threads)
  {
    REAL *turned = malloc((size_t)(widest * (a->width + 2 * a->heads) + BLOCK * a->width) * sizeof(REAL));
    REAL *weights = turned + widest * a->width, *scores = weights + widest * a->heads;
    REAL *spare = scores + widest * a->heads;
#pragma omp for schedule(dynamic, 1)
    for (int64_t text = 0; text < a->texts; text++) {
      const int64_t length = a->lengths[text], columns = round_up(length, 2 * LANES);
      const int64_t first = a->starts[text] * a->width;
      transpose(a->rows + first, a->width, length, a->width, turned, columns);
      pool_products(a, a->query, text, turned, columns, (REAL)a->scale, weights);
      pool_products(a, grad, text, turned, columns, 1, scores);
      for (int64_t head = 0; head < a->heads; head++) {
        REAL *p = weights + head * columns, *s = scores + head * columns;
        const REAL above = grad_sums[text * a->heads + head], scale = (REAL)a->scale;
        vec sum = {0};
        if (a->bias) add_bias(p, a->bias + head * a->distances + a->zero, columns);
        softmax(1, &p, &(int64_t){0}, &length, columns);
        for (int64_t j = 0; j < columns; j += LANES) {
          vec kept = load(s + j) + above;
          if (a->rate > 0) kept *= keep((uint32_t)(offsets[text] + head * columns + j), d);
          store(s + j, kept);
          sum += kept * load(p + j);
        }
        const REAL mean = total(sum);
        for (int64_t j = 0; j < columns; j += LANES) {
          const vec score = load(p + j) * (load(s + j) - mean);
          store(s + j, score * scale);
          if (grad_bias) store(grad_bias + (text * a->heads + head) * a->distances + a->zero + j, score);
          if (a->rate > 0) store(p + j, load(p + j) * keep((uint32_t)(offsets[text] + head * columns + j), d));
        }
      }
      pool_sums(a, scores, columns, text, grad_query);
      for (int64_t row = 0; grad_rows && row < length; row += BLOCK) {
        const REAL *from[2][BLOCK];
        REAL *c[BLOCK], *other[BLOCK];
        for (int r = 0; r < BLOCK; r++) {
          const int64_t place = row + r < length ? row + r : length - 1;
          from[0][r] = weights + place;
          from[1][r] = scores + place;
          c[r] = grad_rows + first + place * a->width;
          other[r] = spare + r * a->width;
        }
        const int64_t apart = a->texts * a->width, own = text * a->width;
        product(from[0], columns, grad + own, apart, a->heads, c, a->width, 1);
        product(from[1], columns, a->query + own, apart, a->heads, other, a->width, 1);
        for (int r = 0; r < BLOCK && row + r < length; r++)
          for (int64_t j = 0; j < a->width; j += LANES) store(c[r] + j, load(c[r] + j) + load(other[r] + j));
      }
    }
    free(turned);
  }
  free(offsets);
}

/* ---- GELU, x Phi(x) (Hendrycks & Gimpel 2016, arXiv:1606.08415) ---- */

/* Phi(x). In float 1/2 plus an odd quotient of polynomials, fitted for the smallest error, 3e-8, and for exactly 0 and 1
   beyond 5.55. NaN stays NaN. */
static inline vec normal(vec x) {
  if (IS_FLOAT) {
    const vec low = all(-5.55f), high = all(5.55f);
    x = (vec)(((ivec)low & (ivec)(x < low)) | ((ivec)x & ~(ivec)(x < low)));
    x = (vec)(((ivec)high & (ivec)(x > high)) | ((ivec)x & ~(ivec)(x > high)));
    const vec u = x * x;
    vec over = u * (REAL)2.3306907129579575e-08 + (REAL)6.016478355380757e-06;
    over = over * u + (REAL)0.0001456314830902248;
    over = over * u + (REAL)0.004535499673641662;
    over = over * u + (REAL)0.03176979867268762;
    over = over * u + (REAL)0.3989424428648207;
    vec under = u * (REAL)1.1887235670855632e-06 + (REAL)6.52608442707024e-05;
    under = under * u + (REAL)0.0017547141593680102;
    under = under * u + (REAL)0.02741680269692378;
    under = under * u + (REAL)0.24630368187154372;
    under = under * u + 1;
    return x * over / under + (REAL)0.5;
  }
  for (int64_t i = 0; i < LANES; i++) x[i] = erfc(-x[i] * M_SQRT1_2) / 2;
  return x;
}

static inline vec gelu_of(vec x) { return x * normal(x); }

static inline vec gelu_gradient(vec grad, vec x) {
  const vec e = vexp(x * x * (REAL)-0.5);
  return grad * (normal(x) + x * e * (REAL)(M_2_SQRTPI * M_SQRT1_2 / 2));
}

#if BROAD
static inline broad broad_normal(broad x) {
  const broad low = (broad){0} - 5.55f, high = (broad){0} + 5.55f;
  x = (broad)(((ibroad)low & (x < low)) | ((ibroad)x & ~(x < low)));
  x = (broad)(((ibroad)high & (x > high)) | ((ibroad)x & ~(x > high)));
  const broad u = x * x;
  broad over = u * 2.3306907129579575e-08f + 6.016478355380757e-06f;
  over = over * u + 0.0001456314830902248f;
  over = over * u + 0.004535499673641662f;
  over = over * u + 0.03176979867268762f;
  over = over * u + 0.3989424428648207f;
  broad under = u * 1.1887235670855632e-06f + 6.52608442707024e-05f;
  under = under * u + 0.0017547141593680102f;
  under = under * u + 0.02741680269692378f;
  under = under * u + 0.24630368187154372f;
  under = under * u + 1;
  return x * over / under + 0.5f;
}
#endif

/* out = gelu(x). */
void gelu(const STORED *x, STORED *out, int64_t count, int threads) {
  const int64_t step = BROAD ? 2 * LANES : LANES, whole = count / step * step;
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t i = 0; i < whole; i += step) {
#if BROAD
    const broad v = broad_take(x + i);
    broad_give(out + i, v * broad_normal(v));
#else
    give(out + i, gelu_of(take(x + i)));
#endif
  }
  for (int64_t i = whole; i < count; i++) give_one(out + i, gelu_of(all(take_one(x + i)))[0]);
}

/* out = the gradient of gelu at x, times grad. */
void gelu_backward(const STORED *grad, const STORED *x, STORED *out, int64_t count, int threads) {
  const int64_t step = BROAD ? 2 * LANES : LANES, whole = count / step * step;
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t i = 0; i < whole; i += step) {
#if BROAD
    const broad v = broad_take(x + i), e = broad_exp(v * v * -0.5f);
    const broad slope = broad_normal(v) + v * e * (float)(M_2_SQRTPI * M_SQRT1_2 / 2);
    broad_give(out + i, broad_take(grad + i) * slope);
#else
    give(out + i, gelu_gradient(take(grad + i), take(x + i)));
#endif
  }
  for (int64_t i = whole; i < count; i++)
    give_one(out + i, gelu_gradient(all(take_one(grad + i)), all(take_one(x + i)))[0]);
}

/* ---- sums over rows ---- */

/* out (width,) = the sums of `rows` rows, `stride` apart, in the order of the rows whatever the threads. */
void column_sums(const STORED *x, REAL *out, int64_t rows, int64_t width, int64_t stride, int threads) {
  const int64_t strip = 8 * LANES, strips = width / strip;
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t s = 0; s < strips; s++) {
    vec sums[8] = {{0}};
    for (int64_t row = 0; row < rows; row++)
#pragma GCC unroll 8
      for (int i = 0; i < 8; i++) sums[i] += take(x + row * stride + s * strip + i * LANES);
    for (int i = 0; i < 8; i++) store(out + s * strip + i * LANES, sums[i]);
  }
  for (int64_t column = strips * strip; column < width; column++) {
    out[column] = 0;
    for (int64_t row = 0; row < rows; row++) out[column] += take_one(x + row * stride + column);
  }
}
