/* Vectors of REAL, which is float or double, and of STORED, which tensors hold: the same, or bfloat16 (NARROW), which is
   computed with in float. What the sources share. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

#ifndef REAL
#define REAL float
#endif
#define BYTES 32
#define LANES ((int64_t)(BYTES / sizeof(REAL)))

typedef REAL vec __attribute__((vector_size(BYTES), aligned(sizeof(REAL)), may_alias));
typedef __typeof__((vec){0} < (vec){0}) mask; /* all bits of an element, or none */
typedef uint32_t uvec __attribute__((vector_size(BYTES)));
typedef int32_t ivec __attribute__((vector_size(BYTES)));
typedef float fvec __attribute__((vector_size(BYTES)));

static inline vec load(const REAL *p) { return *(const vec *)p; }
static inline void store(REAL *p, vec v) { *(vec *)p = v; }
static inline vec all(REAL x) { return x - (vec){0}; }

#ifdef NARROW
typedef uint16_t STORED;
typedef uint16_t halves __attribute__((vector_size(BYTES / 2), aligned(2), may_alias));
static inline vec take(const STORED *p) { return (vec)(__builtin_convertvector(*(const halves *)p, uvec) << 16); }
/* To the nearest, ties to even. NaN stays NaN. */
static inline void give(STORED *p, vec v) {
#if defined(__AVX512BF16__) && defined(__AVX512VL__)
  *(halves *)p = (halves)_mm256_cvtneps_pbh((__m256)v);
#else
  const uvec bits = (uvec)v, rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16, quiet = bits >> 16 | 0x40u;
  const ivec number = v == v;
  *(halves *)p = __builtin_convertvector((rounded & (uvec)number) | (quiet & ~(uvec)number), halves);
#endif
}
static inline REAL take_one(const STORED *p) {
  const uint32_t bits = (uint32_t)*p << 16;
  REAL out;
  __builtin_memcpy(&out, &bits, sizeof(out));
  return out;
}
static inline void give_one(STORED *p, REAL x) {
  STORED lanes[LANES];
  give(lanes, all(x));
  *p = lanes[0];
}
#else
typedef REAL STORED;
static inline vec take(const STORED *p) { return load(p); }
static inline void give(STORED *p, vec v) { store(p, v); }
static inline REAL take_one(const STORED *p) { return *p; }
static inline void give_one(STORED *p, REAL x) { *p = x; }
#endif
#define IS_FLOAT (sizeof(REAL) == 4)
#define SHUFFLE(a, b, ...) __builtin_shuffle((fvec)(a), (fvec)(b), (ivec){__VA_ARGS__})

static inline REAL total(vec v) {
  if (IS_FLOAT) {
    v += (vec)SHUFFLE(v, v, 4, 5, 6, 7, 0, 1, 2, 3);
    v += (vec)SHUFFLE(v, v, 2, 3, 0, 1, 6, 7, 4, 5);
    v += (vec)SHUFFLE(v, v, 1, 0, 3, 2, 5, 4, 7, 6);
    return v[0];
  }
  REAL sum = 0;
  for (int64_t i = 0; i < LANES; i++) sum += v[i];
  return sum;
}
static inline vec larger(vec a, vec b) {
  if (IS_FLOAT) return (vec)(((ivec)a & ((fvec)a > (fvec)b)) | ((ivec)b & ~((fvec)a > (fvec)b)));
  for (int64_t i = 0; i < LANES; i++) a[i] = a[i] > b[i] ? a[i] : b[i];
  return a;
}
static inline REAL largest(vec v) {
  if (IS_FLOAT) {
    v = larger(v, (vec)SHUFFLE(v, v, 4, 5, 6, 7, 0, 1, 2, 3));
    v = larger(v, (vec)SHUFFLE(v, v, 2, 3, 0, 1, 6, 7, 4, 5));
    v = larger(v, (vec)SHUFFLE(v, v, 1, 0, 3, 2, 5, 4, 7, 6));
    return v[0];
  }
  REAL top = v[0];
  for (int64_t i = 1; i < LANES; i++) top = v[i] > top ? v[i] : top;
  return top;
}
/* Vectors of twice the width, where the processor has them: lane by lane the same bits. */
#if defined(__AVX512F__) && !defined(DOUBLE)
#define BROAD 1
typedef float broad __attribute__((vector_size(2 * BYTES), aligned(4), may_alias));
typedef int32_t ibroad __attribute__((vector_size(2 * BYTES)));
static inline broad broad_load(const float *p) { return *(const broad *)p; }
static inline void broad_store(float *p, broad v) { *(broad *)p = v; }
#ifdef NARROW
typedef uint16_t sixteen __attribute__((vector_size(BYTES), aligned(2), may_alias));
typedef uint32_t ubroad __attribute__((vector_size(2 * BYTES)));
static inline broad broad_take(const STORED *p) {
  return (broad)(__builtin_convertvector(*(const sixteen *)p, ubroad) << 16);
}
static inline void broad_give(STORED *p, broad v) {
#ifdef __AVX512BF16__
  *(sixteen *)p = (sixteen)_mm512_cvtneps_pbh((__m512)v);
#else
  give(p, ((vec *)&v)[0]);
  give(p + LANES, ((vec *)&v)[1]);
#endif
}
#else
static inline broad broad_take(const STORED *p) { return broad_load(p); }
static inline void broad_give(STORED *p, broad v) { broad_store(p, v); }
#endif
#else
#define BROAD 0
#endif

static inline int64_t round_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

/* Keeps a value in a register, where the compiler would load it again for each use. */
#ifdef __x86_64__
#define HOLD(v) __asm__("" : "+x"(v))
#else
#define HOLD(v)
#endif

/* out (8, 8) = rows (8, 8) turned. */
static inline void turn(const float *rows, int64_t stride, float *out, int64_t columns) {
  fvec a[8], b[8];
  for (int i = 0; i < 8; i++) a[i] = (fvec)*(const vec *)(rows + i * stride);
  for (int i = 0; i < 8; i += 2) {
    b[i] = SHUFFLE(a[i], a[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
    b[i + 1] = SHUFFLE(a[i], a[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  }
  for (int i = 0; i < 8; i += 4)
    for (int j = 0; j < 2; j++) {
      a[i + 2 * j] = SHUFFLE(b[i + j], b[i + j + 2], 0, 1, 8, 9, 4, 5, 12, 13);
      a[i + 2 * j + 1] = SHUFFLE(b[i + j], b[i + j + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    }
  for (int i = 0; i < 4; i++) {
    *(vec *)(out + i * columns) = (vec)SHUFFLE(a[i], a[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    *(vec *)(out + (i + 4) * columns) = (vec)SHUFFLE(a[i], a[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
}
