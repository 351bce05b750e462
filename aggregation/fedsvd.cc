#include "aggregation/fedsvd.h"

#include <Eigen/Dense>
#include <cmath>
#include <limits>
#include <numbers>
#include <optional>

#include "crypto/kdf.h"
#include "crypto/stream_random.h"

namespace sotto::aggregation {
namespace {

using Eigen::MatrixXd;
using RowMajorFloats = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// Smallest over largest singular value below which a product counts as of lower rank: fp32 factors carry 6e-8 of rounding.
constexpr double kRankTolerance = 1e-6;

MatrixXd matrix(const std::vector<float>& values, std::uint32_t rows, std::uint32_t columns) {
  SOTTO_CHECK(values.size() == std::size_t{rows} * columns);
  return Eigen::Map<const RowMajorFloats>(values.data(), rows, columns).cast<double>();
}

std::vector<float> floats(const MatrixXd& m) {
  const RowMajorFloats rounded = m.cast<float>();
  return {rounded.data(), rounded.data() + rounded.size()};
}

MatrixXd a_of(const AdapterState& state, std::size_t i) {
  return matrix(state.factors[i].a, state.layout.modules[i].rank, state.layout.modules[i].in);
}
MatrixXd b_of(const AdapterState& state, std::size_t i) {
  return matrix(state.factors[i].b, state.layout.modules[i].out, state.layout.modules[i].rank);
}

struct ThinQr {
  MatrixXd q;  // [rows, k], k = min(rows, columns)
  MatrixXd r;  // [k, columns]
};

ThinQr thin_qr(const MatrixXd& m) {
  const Eigen::Index k = std::min(m.rows(), m.cols());
  const Eigen::HouseholderQR<MatrixXd> qr(m);
  MatrixXd q = qr.householderQ() * MatrixXd::Identity(m.rows(), k);
  MatrixXd r = qr.matrixQR().topRows(k).triangularView<Eigen::Upper>();
  return {std::move(q), std::move(r)};
}

// Multiplies row i of A and column i of B by -1 where that makes the row's entry of largest magnitude positive.
void fix_signs(MatrixXd& a, MatrixXd& b) {
  for (Eigen::Index i = 0; i < a.rows(); ++i) {
    Eigen::Index largest = 0;
    a.row(i).cwiseAbs().maxCoeff(&largest);
    if (a(i, largest) < 0) {
      a.row(i) *= -1;
      b.col(i) *= -1;
    }
  }
}

// Nothing when B A has lower rank than A has rows.
std::optional<LoraFactors> refactored(const MatrixXd& a, const MatrixXd& b) {
  if (b.rows() < a.rows()) return std::nullopt;
  const ThinQr right = thin_qr(a.transpose());
  const ThinQr left = thin_qr(b);
  const Eigen::JacobiSVD<MatrixXd> svd(left.r * right.r.transpose(), Eigen::ComputeFullU | Eigen::ComputeFullV);
  const auto& s = svd.singularValues();
  if (!(s(s.size() - 1) > kRankTolerance * s(0))) return std::nullopt;
  MatrixXd new_a = (right.q * svd.matrixV()).transpose();
  MatrixXd new_b = left.q * svd.matrixU() * s.asDiagonal();
  fix_signs(new_a, new_b);
  return LoraFactors{floats(new_a), floats(new_b)};
}

Result<void> check_ranks(const AdapterLayout& layout) {
  for (const LoraModule& m : layout.modules) {
    if (m.rank >= 1 && m.rank <= m.in) continue;
    return invalid("module '" + m.path + "' has rank " + std::to_string(m.rank) + " and input width " +
                   std::to_string(m.in) +
                   ": A can have orthonormal rows only with a rank from 1 to the width; lower lora.rank");
  }
  return {};
}

// Box and Muller (1958): two normal variables from two uniform ones, of which the first is never 0.
void fill_gaussian(MatrixXd& m, RandomSource& source) {
  const auto uniform = [&] { return (static_cast<double>(source.bits64() >> 11) + 0.5) * 0x1p-53; };
  for (Eigen::Index i = 0; i < m.size(); i += 2) {
    const double radius = std::sqrt(-2 * std::log(uniform()));
    const double angle = 2 * std::numbers::pi * uniform();
    m.data()[i] = radius * std::cos(angle);
    if (i + 1 < m.size()) m.data()[i + 1] = radius * std::sin(angle);
  }
}

std::vector<float> initial_prompt(const PromptShape& shape, const Digest& seed) {
  ByteWriter info;
  info.text("sotto/initial-prompt/v1");
  crypto::StreamRandom source(crypto::StreamKey(crypto::hkdf_sha256<32>({}, seed, info.view())));
  MatrixXd gaussian(shape.tokens, shape.width);
  fill_gaussian(gaussian, source);
  return floats(gaussian * shape.deviation);
}

}  // namespace

Result<AdapterState> refactor(const AdapterState& state) {
  SOTTO_CHECK(state.factors.size() == state.layout.modules.size());
  SOTTO_TRY_VOID(check_ranks(state.layout));
  AdapterState out = state;
  for (std::size_t i = 0; i < out.factors.size(); ++i) {
    if (auto factors = refactored(a_of(state, i), b_of(state, i))) out.factors[i] = std::move(*factors);
  }
  return out;
}

Result<AdapterState> initial_adapter(const AdapterLayout& layout, const Digest& seed) {
  SOTTO_TRY_VOID(check_ranks(layout));
  AdapterState state{layout, {}, {}};
  if (layout.prompt.tokens > 0) state.prompt = initial_prompt(layout.prompt, seed);
  for (std::size_t i = 0; i < layout.modules.size(); ++i) {
    const LoraModule& m = layout.modules[i];
    ByteWriter info;
    info.text("sotto/initial-adapter/v1").u32(static_cast<std::uint32_t>(i));
    crypto::StreamRandom source(crypto::StreamKey(crypto::hkdf_sha256<32>({}, seed, info.view())));
    MatrixXd gaussian(m.in, m.rank);
    fill_gaussian(gaussian, source);
    MatrixXd a = thin_qr(gaussian).q.transpose();
    MatrixXd b = MatrixXd::Zero(m.out, m.rank);
    fix_signs(a, b);
    state.factors.push_back({floats(a), std::vector<float>(std::size_t{m.out} * m.rank, 0.0f)});
  }
  return state;
}

double orthonormality_error(const AdapterState& state) {
  double error = 0;
  for (std::size_t i = 0; i < state.factors.size(); ++i) {
    const MatrixXd a = a_of(state, i);
    error = std::max(error, (a * a.transpose() - MatrixXd::Identity(a.rows(), a.rows())).cwiseAbs().maxCoeff());
  }
  return error;
}

double product_distance(const AdapterState& expected, const AdapterState& other) {
  SOTTO_CHECK(expected.layout == other.layout);
  double distance = 0;
  for (std::size_t i = 0; i < expected.factors.size(); ++i) {
    // B A - B' A' = [B, -B'] [A; A'], whose norm is that of the two R factors' product.
    const MatrixXd a = a_of(expected, i);
    const MatrixXd b = b_of(expected, i);
    MatrixXd lefts(b.rows(), 2 * b.cols());
    lefts << b, -b_of(other, i);
    MatrixXd rights(2 * a.rows(), a.cols());
    rights << a, a_of(other, i);
    const double difference = (thin_qr(lefts).r * thin_qr(rights.transpose()).r.transpose()).norm();
    const double norm = (thin_qr(b).r * thin_qr(a.transpose()).r.transpose()).norm();
    if (difference > 0)
      distance = std::max(distance, norm > 0 ? difference / norm : std::numeric_limits<double>::infinity());
  }
  return distance;
}

double row_space_distance(const AdapterState& expected, const AdapterState& other) {
  SOTTO_CHECK(expected.layout == other.layout);
  double distance = 0;
  for (std::size_t i = 0; i < expected.factors.size(); ++i) {
    const MatrixXd basis = thin_qr(a_of(expected, i).transpose()).q;
    const MatrixXd other_basis = thin_qr(a_of(other, i).transpose()).q;
    // What of the other basis lies outside of the expected space; its norm is the root of the sum of squared sines.
    distance = std::max(distance, (other_basis - basis * (basis.transpose() * other_basis)).norm());
  }
  return distance;
}

}  // namespace sotto::aggregation
