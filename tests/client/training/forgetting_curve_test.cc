#include "client/training/forgetting_curve.h"

#include "tests/support/catch.h"

namespace sotto::client {

TEST_CASE("a model forgets where its newest loss on general text lies further above the first than the limit", "[client]") {
  ForgettingCurve curve(0.1);
  CHECK(curve.risen_by() == 0);
  CHECK_FALSE(curve.forgets());
  curve.add({0, 3.0});
  CHECK_FALSE(curve.forgets());
  curve.add({4, 3.05});
  CHECK(curve.risen_by() == Approx(0.05));
  CHECK_FALSE(curve.forgets());
  CHECK_FALSE(curve.ever_forgot());
  curve.add({8, 3.2});
  CHECK(curve.forgets());
  curve.add({12, 2.9});
  CHECK(curve.risen_by() == Approx(-0.1));
  CHECK_FALSE(curve.forgets());
  CHECK(curve.ever_forgot());
  CHECK(curve.points().size() == 4);
}

}  // namespace sotto::client
