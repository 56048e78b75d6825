// As much of Metal's library as naga's output takes, for a C++ compiler that checks its syntax and its types:
//
//   c++ -std=gnu++20 -fpermissive -w -fsyntax-only -include metal.hpp -x c++ kernel.metal
//
// Address spaces and attributes vanish, and nothing here is Metal's semantics. A compiler of Apple's has the last word.
// A swizzle, `v.zw`, is written `v.template swizzle<'z', 'w'>()` before.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#define kernel
#define device
#define constant
#define threadgroup
#define thread
namespace metal {
typedef unsigned int uint; typedef unsigned char uchar; typedef unsigned short ushort;
template <class T, int N> struct vec;
template <class T> struct cell { T v; operator T() const { return v; } cell &operator=(T x) { v = x; return *this; }
  cell &operator+=(T x) { v += x; return *this; } };
#define COMMON(N) \
  template <char... C> vec<T, sizeof...(C)> swizzle() const { vec<T, sizeof...(C)> r; int i = 0; ((r[i++] = (*this)[C == 'w' ? 3 : C - 'x']), ...); return r; } \
  T &operator[](uint i) { return (&x)[i]; } T operator[](uint i) const { return (&x)[i]; } \
  template <class U> explicit vec(const vec<U, N> &o) { for (int i = 0; i < N; i++) (*this)[i] = T(o[i]); }
template <class T> struct vec<T, 2> { union { struct { T x, y; }; }; vec() : x(), y() {} vec(T a) : x(a), y(a) {} vec(T a, T b) : x(a), y(b) {}
  COMMON(2) };
template <class T> struct vec<T, 3> { T x, y, z; vec() : x(), y(), z() {} vec(T a) : x(a), y(a), z(a) {} vec(T a, T b, T c) : x(a), y(b), z(c) {}
  vec(vec<T, 2> a, T c) : x(a.x), y(a.y), z(c) {} COMMON(3) };
template <class T> struct vec<T, 4> { T x, y, z, w; vec() : x(), y(), z(), w() {} vec(T a) : x(a), y(a), z(a), w(a) {}
  vec(T a, T b, T c, T d) : x(a), y(b), z(c), w(d) {} vec(vec<T, 2> a, vec<T, 2> b) : x(a.x), y(a.y), z(b.x), w(b.y) {}
  vec(vec<T, 3> a, T d) : x(a.x), y(a.y), z(a.z), w(d) {} vec(T a, vec<T, 3> b) : x(a), y(b.x), z(b.y), w(b.z) {}
  vec(vec<T, 2> a, T c, T d) : x(a.x), y(a.y), z(c), w(d) {} vec(T a, T b, vec<T, 2> c) : x(a), y(b), z(c.x), w(c.y) {} COMMON(4) };
#define EACH(R, expr) { vec<R, N> r; for (int i = 0; i < N; i++) r[i] = (expr); return r; }
#define BINARY(op) \
  template <class T, int N> vec<T, N> operator op(vec<T, N> a, vec<T, N> b) EACH(T, a[i] op b[i]) \
  template <class T, int N, class S> vec<T, N> operator op(vec<T, N> a, S b) requires(std::is_arithmetic_v<S>) EACH(T, a[i] op T(b)) \
  template <class T, int N, class S> vec<T, N> operator op(S a, vec<T, N> b) requires(std::is_arithmetic_v<S>) EACH(T, T(a) op b[i]) \
  template <class T, int N, class S> vec<T, N> &operator op##=(vec<T, N> &a, S b) { return a = a op b; }
BINARY(+) BINARY(-) BINARY(*) BINARY(/) BINARY(%) BINARY(&) BINARY(|) BINARY(^) BINARY(<<) BINARY(>>)
#define RELATION(op) \
  template <class T, int N> vec<bool, N> operator op(vec<T, N> a, vec<T, N> b) EACH(bool, a[i] op b[i]) \
  template <class T, int N, class S> vec<bool, N> operator op(vec<T, N> a, S b) requires(std::is_arithmetic_v<S>) EACH(bool, a[i] op T(b))
RELATION(<) RELATION(<=) RELATION(>) RELATION(>=) RELATION(==) RELATION(!=)
template <class T, int N> vec<T, N> operator-(vec<T, N> a) EACH(T, -a[i])
template <class T, int N> vec<T, N> operator~(vec<T, N> a) EACH(T, ~a[i])
template <int N> vec<bool, N> operator!(vec<bool, N> a) EACH(bool, !a[i])
#define ALIASES(T) typedef vec<T, 2> T##2; typedef vec<T, 3> T##3; typedef vec<T, 4> T##4; \
  typedef vec<T, 2> packed_##T##2; typedef vec<T, 3> packed_##T##3;
ALIASES(float) ALIASES(int) ALIASES(uint) ALIASES(bool)
#define ONE(f) inline float f(float a) { return std::f(a); } template <int N> vec<float, N> f(vec<float, N> a) EACH(float, std::f(a[i]))
ONE(exp) ONE(exp2) ONE(log) ONE(log2) ONE(sin) ONE(cos) ONE(tan) ONE(tanh) ONE(sqrt) ONE(floor) ONE(ceil) ONE(trunc) ONE(round) ONE(rint) ONE(atan)
#define MORE(f, expr) inline float f(float a) { return expr; } template <int N> vec<float, N> f(vec<float, N> v) EACH(float, f(v[i]))
MORE(rsqrt, 1 / std::sqrt(a)) MORE(fract, a - std::floor(a)) MORE(sign, float((a > 0) - (a < 0))) MORE(fabs, std::fabs(a))
inline float abs(float a) { return std::fabs(a); } inline int abs(int a) { return a < 0 ? -a : a; }
template <class T, int N> vec<T, N> abs(vec<T, N> a) EACH(T, abs(a[i]))
#define TWO(f, expr) inline float f(float a, float b) { return expr; } inline int f(int a, int b) { return expr; } inline uint f(uint a, uint b) { return expr; } \
  template <class T, int N> vec<T, N> f(vec<T, N> p, vec<T, N> q) EACH(T, f(p[i], q[i]))
TWO(min, a < b ? a : b) TWO(max, a < b ? b : a)
inline float pow(float a, float b) { return std::pow(a, b); } template <int N> vec<float, N> pow(vec<float, N> a, vec<float, N> b) EACH(float, std::pow(a[i], b[i]))
inline float powr(float a, float b) { return std::pow(a, b); } template <int N> vec<float, N> powr(vec<float, N> a, vec<float, N> b) EACH(float, std::pow(a[i], b[i]))
inline float fma(float a, float b, float c) { return std::fma(a, b, c); } template <int N> vec<float, N> fma(vec<float, N> a, vec<float, N> b, vec<float, N> c) EACH(float, std::fma(a[i], b[i], c[i]))
template <class T, class U, class V> T clamp(T a, U b, V c) { return min(max(a, T(b)), T(c)); } template <class T> T mix(T a, T b, T c) { return a + (b - a) * c; }
template <int C, int R> struct matrix { vec<float, R> c[C]; matrix() {} template <class... V> matrix(V... v) : c{v...} {}
  vec<float, R> &operator[](uint i) { return c[i]; } vec<float, R> operator[](uint i) const { return c[i]; } };
template <int C, int R> vec<float, R> operator*(const matrix<C, R> &m, vec<float, C> v) { vec<float, R> r; for (int i = 0; i < C; i++) r += m[i] * v[i]; return r; }
inline vec<float, 3> cross(vec<float, 3> a, vec<float, 3>) { return a; }
template <int C, int R> matrix<C, R> operator*(matrix<C, R> m, float f) { for (int i = 0; i < C; i++) m[i] *= f; return m; }
template <int C, int R> matrix<C, R> operator*(float f, matrix<C, R> m) { return m * f; }
template <int C, int R, int K> matrix<C, R> operator*(const matrix<K, R> &a, const matrix<C, K> &b) { matrix<C, R> m; for (int i = 0; i < C; i++) m[i] = a * b[i]; return m; }
template <int C, int R> matrix<C, R> operator+(matrix<C, R> a, matrix<C, R> b) { for (int i = 0; i < C; i++) a[i] += b[i]; return a; }
template <int C, int R> matrix<C, R> operator-(matrix<C, R> a, matrix<C, R> b) { for (int i = 0; i < C; i++) a[i] -= b[i]; return a; }
template <int C, int R> matrix<R, C> transpose(const matrix<C, R> &m) { matrix<R, C> t; for (int i = 0; i < C; i++) for (int j = 0; j < R; j++) t.c[j][i] = m[i][j]; return t; }
template <int N> float determinant(const matrix<N, N> &m) { return m[0][0]; }
typedef matrix<2, 2> float2x2; typedef matrix<3, 2> float3x2; typedef matrix<2, 3> float2x3; typedef matrix<3, 3> float3x3; typedef matrix<4, 4> float4x4;
template <class T, int N> T dot(vec<T, N> a, vec<T, N> b) { T s = 0; for (int i = 0; i < N; i++) s += a[i] * b[i]; return s; }
template <int N> float length(vec<float, N> a) { return std::sqrt(dot(a, a)); }
template <int C, int R> vec<float, C> operator*(vec<float, R> v, const matrix<C, R> &m) { vec<float, C> r; for (int i = 0; i < C; i++) r[i] = dot(v, m[i]); return r; }
template <class T, class U> T select(T a, U b, bool c) requires std::is_arithmetic_v<T> { return c ? T(b) : a; }
template <class T, int N> vec<T, N> select(vec<T, N> a, vec<T, N> b, vec<bool, N> c) EACH(T, c[i] ? b[i] : a[i])
template <class T, int N, class S> vec<T, N> select(vec<T, N> a, S b, vec<bool, N> c) requires std::is_arithmetic_v<S> EACH(T, c[i] ? T(b) : a[i])
template <class T, int N> vec<T, N> select(vec<T, N> a, vec<T, N> b, bool c) EACH(T, c ? b[i] : a[i])
template <int N> bool any(vec<bool, N> a) { bool r = false; for (int i = 0; i < N; i++) r |= a[i]; return r; }
template <int N> bool all(vec<bool, N> a) { bool r = true; for (int i = 0; i < N; i++) r &= a[i]; return r; }
inline uint ctz(uint a) { return __builtin_ctz(a); } inline uint clz(uint a) { return __builtin_clz(a); } inline uint popcount(uint a) { return __builtin_popcount(a); }
inline bool isinf(float a) { return std::isinf(a); } inline bool isnan(float a) { return std::isnan(a); }
template <class T> T simd_shuffle(T a, ushort) { return a; } template <class T> T quad_shuffle(T a, ushort) { return a; }
template <class T> T simd_sum(T a) { return a; } template <class T> T simd_max(T a) { return a; } template <class T> T simd_broadcast(T a, ushort) { return a; }
template <class T> T simd_shuffle_xor(T a, ushort) { return a; } template <class T> T simd_shuffle_down(T a, ushort) { return a; } template <class T> T simd_shuffle_up(T a, ushort) { return a; }
enum class mem_flags { mem_none, mem_device, mem_threadgroup }; inline void threadgroup_barrier(mem_flags) {}
enum memory_order { memory_order_relaxed };
template <class T> struct atomic { T v; }; typedef atomic<uint> atomic_uint; typedef atomic<int> atomic_int;
template <class T, class V> void atomic_store_explicit(atomic<T> *a, V v, memory_order) { a->v = v; }
template <class T> T atomic_load_explicit(const atomic<T> *a, memory_order) { return a->v; }
#define FETCH(f) template <class T, class V> T atomic_fetch_##f##_explicit(atomic<T> *a, V v, memory_order) { return a->v; }
FETCH(or) FETCH(and) FETCH(add) FETCH(max) FETCH(min) FETCH(xor)
template <class To, class From> To bit_cast(From f) { To t; std::memcpy(&t, &f, sizeof t); return t; }
template <class T, size_t N> struct array { T e[N]; T &operator[](uint i) { return e[i]; } const T &operator[](uint i) const { return e[i]; } };
}
namespace metal { namespace fast { using namespace metal; } namespace precise { using namespace metal; } }
#define as_type metal::bit_cast
#define GLOBAL(T) using metal::T##2; using metal::T##3; using metal::T##4; using metal::packed_##T##2; using metal::packed_##T##3;
using metal::uint; using metal::uchar; using metal::ushort; using metal::float2x2; using metal::float3x2; using metal::float2x3; using metal::float3x3; using metal::float4x4;
GLOBAL(float) GLOBAL(int) GLOBAL(uint) GLOBAL(bool)
