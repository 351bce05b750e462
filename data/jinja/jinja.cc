#include "data/jinja/jinja.h"

#include "data/jinja/jinja_evaluator.h"

namespace sotto::data {
namespace jinja {
namespace {

constexpr std::size_t kMaxTemplateBytes = 256 << 10;
constexpr std::size_t kMaxTokens = 20'000;

Members globals(const Jinja::Context& context) {
  List messages;
  for (std::size_t i = 0; i < context.messages.size(); ++i)
    messages.push_back({Dictionary{{{"role", text_value(context.messages[i].role, MarkedText::kRole)},
                                    {"content", text_value(context.messages[i].content, static_cast<std::int32_t>(i))}}}});
  Members out = {{"messages", {std::move(messages)}},
                 {"add_generation_prompt", {context.add_generation_prompt}},
                 {"tools", {None{}}},
                 {"documents", {None{}}}};
  if (!context.bos_token.empty()) out.emplace_back("bos_token", text_value(context.bos_token));
  if (!context.eos_token.empty()) out.emplace_back("eos_token", text_value(context.eos_token));
  return out;
}

// Far above what any conversation needs of an honest template.
Limits limits(const Jinja::Context& context) {
  std::size_t bytes = 0;
  for (const auto& message : context.messages) bytes += message.content.size();
  return {100'000 + 1000 * context.messages.size(), (std::size_t{1} << 20) + 64 * bytes};
}

Error in_template(const Error& error) { return {error.code, "chat template: " + error.message}; }

}  // namespace
}  // namespace jinja

Jinja::Jinja(std::unique_ptr<const jinja::Node> root) : root_(std::move(root)) {}
Jinja::Jinja(Jinja&&) noexcept = default;
Jinja& Jinja::operator=(Jinja&&) noexcept = default;
Jinja::~Jinja() = default;

Result<Jinja> Jinja::parse(std::string_view source) {
  if (source.size() > jinja::kMaxTemplateBytes)
    return invalid("chat template: " + std::to_string(source.size()) + " bytes are too long for one");
  auto tokens = jinja::tokenize(source);
  if (!tokens.ok()) return jinja::in_template(tokens.error());
  if (tokens->size() > jinja::kMaxTokens) return invalid("chat template: it is too long");
  auto root = jinja::parse(std::move(*tokens));
  if (!root.ok()) return jinja::in_template(root.error());
  return Jinja(std::move(*root));
}

Result<MarkedText> Jinja::render(const Context& context) const {
  auto out = jinja::evaluate(*root_, jinja::globals(context), jinja::limits(context), context.today);
  if (!out.ok() && out.error().code != ErrorCode::kRefused) return jinja::in_template(out.error());
  return out;
}

}  // namespace sotto::data
