#include "model/parts/mla_absorbed.h"

#include <utility>

#include "kernels/gemm.h"
#include "model/finite_watch.h"
#include "ops/attention/eager_attention.h"
#include "ops/columns.h"

namespace modelslim {
namespace {

// Columns [out_first, ...) of `out` = x times a head's part of kv_b, rounded to out's type.
void MultiplyHead(const ConstView& x, const ConstView& part, bool transpose, int64_t out_first, const View& out) {
  const int64_t cols = transpose ? part.rows() : part.cols();
  Tensor product(DType::kF32, {x.rows(), cols});
  MatMul(x, part, product.view(), {.transpose_b = transpose});
  CopyColumns(std::as_const(product).view(), out, {{0, out_first, cols}});
}

// What the hook makes of x, or a view of x itself.
ConstView Through(const AbsorbedInputs& in, FaHook& hook, FaPart part, const ConstView& x, const RowGroups& groups,
                  Tensor* kept) {
  if (groups.watch != nullptr)
    groups.watch->Enter(in.attention, part == FaPart::kQuery ? "queries" : "keys", x, groups);
  std::optional<Tensor> changed = hook.Apply(part, x, groups);
  if (!changed) return x;
  *kept = std::move(*changed);
  return std::as_const(*kept).view();
}

}  // namespace

Tensor AbsorbedAttention(const MlaSizes& sizes, float scale, const AbsorbedInputs& in, FaHook& hook,
                         const RowGroups& groups) {
  const int64_t rows = in.q.rows(), latent = sizes.kv_lora, width = latent + sizes.rope,
                per_head = sizes.nope + sizes.v;
  Tensor absorbed(in.q.dtype, {rows, sizes.heads * latent});
  for (int64_t h = 0; h < sizes.heads; ++h) {
    const Tensor nope = TakeColumns(in.q, h * sizes.qk(), sizes.nope);
    MultiplyHead(nope.view(), in.kv_b.Rows(h * per_head, h * per_head + sizes.nope), false, h * latent,
                 absorbed.view());
  }
  Tensor kept_q, kept_c, kept_v;
  const ConstView query = Through(in, hook, FaPart::kQuery, std::as_const(absorbed).view(), groups, &kept_q);
  const ConstView key = Through(in, hook, FaPart::kKey, in.c, groups, &kept_c);
  Through(in, hook, FaPart::kValue, key, groups, &kept_v);  // observed only: the reference drops what comes back

  Tensor q(Promote(query.dtype, in.q.dtype), {rows, sizes.heads * width}),
      k(Promote(key.dtype, in.k_pe.dtype), {rows, width});
  std::vector<ColumnCopy> latents, rotated;
  for (int64_t h = 0; h < sizes.heads; ++h) {
    latents.push_back({h * latent, h * width, latent});
    rotated.push_back({h * sizes.qk() + sizes.nope, h * width + latent, sizes.rope});
  }
  CopyColumns(query, q.view(), latents);
  CopyColumns(in.q, q.view(), rotated);
  CopyColumns(key, k.view(), {{0, 0, latent}});
  CopyColumns(in.k_pe, k.view(), {{0, latent, sizes.rope}});

  Tensor context(Promote(in.q.dtype, key.dtype), {rows, sizes.heads * latent});
  const AttentionShape shape{.heads = sizes.heads, .kv_heads = 1, .dim = width, .v_dim = latent, .scale = scale};
  EagerAttention(shape, std::as_const(q).view(), std::as_const(k).view(), key, groups.offsets, context.view());
  Tensor out(context.dtype(), {rows, sizes.heads * sizes.v});
  for (int64_t h = 0; h < sizes.heads; ++h) {
    const Tensor mine = TakeColumns(std::as_const(context).view(), h * latent, latent);
    MultiplyHead(mine.view(), in.kv_b.Rows(h * per_head + sizes.nope, (h + 1) * per_head), true, h * sizes.v,
                 out.view());
  }
  return out;
}

}  // namespace modelslim
