// What was spent, as a set with counts: two accounts of the same log are compared and joined by it. A step counts as often as
// its events say; the choices of one selection (privacy/mechanism/event.h) stand together and are one item. Pure functions.
#pragma once

#include "audit/ledger/spending.h"

namespace sotto::client {

// The larger count of every item: what is in either.
audit::Spent joined(const audit::Spent& a, const audit::Spent& b);
// What is in `a` beyond `b`.
audit::Spent beyond(const audit::Spent& a, const audit::Spent& b);
bool is_nothing(const audit::Spent& spent);

}  // namespace sotto::client
