// A visitor of a std::variant from one lambda for each alternative:
//     std::visit(Overloaded{[](const Send& s) { .. }, [](const Drop& d) { .. }}, action);
// An alternative without a lambda does not compile.
#pragma once

namespace sotto {

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

}  // namespace sotto
