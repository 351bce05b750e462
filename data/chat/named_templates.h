// Chat templates that are well known by name, in their published text: for models that bring none, or one that is refused.
// Constants.
#pragma once

#include <span>
#include <string_view>

namespace sotto::data {

struct NamedTemplate {
  std::string_view name;
  std::string_view jinja;
  std::string_view
      control_token;  // one that the vocabulary must have, for the template to make sense; empty: BOS and EOS do
};

std::span<const NamedTemplate> named_templates();

}  // namespace sotto::data
