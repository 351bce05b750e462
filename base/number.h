// Numbers as tables and sentences show them. Machine-readable output never passes through here: JSON has every digit.
#pragma once

#include <string>

namespace sotto {

// Four digits behind the point; below 0.001 two that mean something ("2.8e-05"), so that what is small is not shown as zero.
// "none" for what is infinite: an epsilon without a guarantee; "not known" for what is no number.
std::string shown(double value);
// The same, rounded towards infinity or minus infinity: a bound stays one.
std::string shown_up(double value);
std::string shown_down(double value);

}  // namespace sotto
