// The privacy loss of a mechanism, as a dominating pair of distributions (P, Q): what composition and epsilon are computed
// from. The loss of an output o is ln(P(o)/Q(o)), its distribution is taken under P, and
//   delta(epsilon) = E_P[max(0, 1 - e^(epsilon - loss))]
// bounds the mechanism's in one direction; the other direction is another pair. Zhu, Dong, Wang 2022 (arXiv 2106.08567);
// Doroshenko et al. 2022 (arXiv 2207.04380). A new mechanism needs a class with the one function `masses`, or the list of
// its outputs (AtomicLoss). Values; any thread.
#pragma once

#include <span>
#include <vector>

#include "base/result.h"

namespace sotto::privacy {

// Bounds on the probabilities, under P and Q, that the loss lies in one interval. Relative precision counts: the bounds of a
// far tail should be as near to each other, relatively, as those of the centre.
struct LossMass {
  double p_low = 0;
  double p_high = 0;
  double q_low = 0;
  double q_high = 0;
};

inline constexpr double kEdgeError = 0x1p-48;  // 32 roundings

inline constexpr double kLargestLoss =
    690;  // e^loss fits a double; what is larger counts as infinite (upper), as this (lower)

class PrivacyLoss {
 public:
  virtual ~PrivacyLoss() = default;

  // Masses of (-inf, e0), [e0, e1), .., [en, inf) for ascending edges: edges.size() + 1 of them. An infinite loss (Q = 0)
  // belongs to the last, with q = 0.
  virtual std::vector<LossMass> masses(std::span<const double> edges) const = 0;

  // An edge may be met to within this loss times max(1, |edge|). It is charged on epsilon in each step, so that an inverse
  // function in double precision is good enough.
  virtual double edge_error() const { return kEdgeError; }

  // Losses of atoms are whole multiples of this, to within edge_error(); 0 when there are no atoms or no such number. The
  // grid is then laid through them, where an atom costs no precision.
  virtual double atom_spacing() const { return 0; }
};

// A mechanism with finitely many outputs, as seen by the one neighbour (p) and the other (q).
struct LossAtom {
  double p = 0;  // probability under P
  double q = 0;  // under Q; 0: infinite loss
};

class AtomicLoss final : public PrivacyLoss {
 public:
  // Each probability is right to within `relative_error`. Refused: negative or non-finite ones, no atom with p > 0.
  static Result<AtomicLoss> make(std::span<const LossAtom> atoms, double relative_error = 0x1p-50, double atom_spacing = 0);

  std::vector<LossMass> masses(std::span<const double> edges) const override;
  double atom_spacing() const override { return atom_spacing_; }

 private:
  struct Placed {
    double loss;
    double p;
    double q;
  };
  AtomicLoss(std::vector<Placed> atoms, double relative_error, double atom_spacing)
      : atoms_(std::move(atoms)), relative_error_(relative_error), atom_spacing_(atom_spacing) {}
  std::vector<Placed> atoms_;  // by loss
  double relative_error_;
  double atom_spacing_;
};

}  // namespace sotto::privacy
