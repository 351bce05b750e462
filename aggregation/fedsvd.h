// FedSVD (arXiv 2505.12805): after B was averaged, the product B A is factored anew so that A has orthonormal rows:
//   A^T = Q_a R_a, B = Q_b R_b (thin QR);  R_b R_a^T = U S V^T (r x r);  new A = (Q_a V)^T, new B = Q_b U S.
// Each row of A gets the sign that makes its entry of largest magnitude positive (the first of equals), so that the result
// is determined. A module whose product is zero or of lower rank than r stays as it is. Double precision inside, fp32 out.
// QR and SVD differ in the last bits between CPUs: products are compared by adapters_agree (server_step.h), bytes are not.
// With rows of A orthonormal before, and B alone trained, the rows of the new A span the same space: A is turned within it
// to B's principal directions. Pure functions, any thread.
#pragma once

#include "base/adapter.h"

namespace sotto::aggregation {

// Fails (kInvalid) when a module's rank exceeds its input width: its A cannot have orthonormal rows.
Result<AdapterState> refactor(const AdapterState& state);

// B = 0 and A with orthonormal rows, drawn from a public seed: QR of a Gaussian matrix from a StreamRandom under
// HKDF-SHA256(ikm = seed, info = "sotto/initial-adapter/v1" | module index). A prompt: normal numbers of its deviation,
// drawn likewise (info = "sotto/initial-prompt/v1"). Fails as refactor does.
Result<AdapterState> initial_adapter(const AdapterLayout& layout, const Digest& seed);

// The largest |entry| of A A^T - I over all modules.
double orthonormality_error(const AdapterState& state);

// The largest of ||B A - B' A'|| / ||B A|| (Frobenius) over the modules; a module counts 0 where both products are zero and
// infinity where only the first is. The layouts must be equal.
double product_distance(const AdapterState& expected, const AdapterState& other);

// The largest over the modules of sqrt(sum of sin^2 of the principal angles) between the row spaces of both A: 0 if equal,
// up to sqrt(rank). The layouts must be equal, every A of full rank.
double row_space_distance(const AdapterState& expected, const AdapterState& other);

}  // namespace sotto::aggregation
