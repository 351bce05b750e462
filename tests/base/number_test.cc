#include "base/number.h"

#include <limits>

#include "tests/support/catch.h"

namespace sotto {

TEST_CASE("numbers are shown with the digits that mean something", "[number]") {
  CHECK(shown(7.99931) == "7.9993");
  CHECK(shown(0) == "0.0000");
  CHECK(shown(0.0012) == "0.0012");
  CHECK(shown(2.8e-5) == "2.8e-05");
  CHECK(shown(-2.8e-5) == "-2.8e-05");
  CHECK(shown(std::numeric_limits<double>::infinity()) == "none");
  CHECK(shown(std::numeric_limits<double>::quiet_NaN()) == "not known");
}

TEST_CASE("a bound that is shown stays a bound", "[number]") {
  CHECK(shown_up(6.71280001) == "6.7129");
  CHECK(shown_down(6.71289999) == "6.7128");
  CHECK(shown_up(2.81e-5) == "2.9e-05");
  CHECK(shown_down(2.89e-5) == "2.8e-05");
  CHECK(shown_up(0.00099999) == "0.0010");
  CHECK(shown_up(-1.00005) == "-1.0000");
  CHECK(shown_down(-1.00005) == "-1.0001");
  for (const double exact : {0.0, 1.0, 6.7128, 0.5, 2.8e-5, 8.0}) {
    CHECK(shown_up(exact) == shown(exact));
    CHECK(shown_down(exact) == shown(exact));
  }
}

}  // namespace sotto
