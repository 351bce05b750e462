#include "data/chat/chat_encoder.h"

#include <algorithm>

namespace sotto::data {
namespace {

// What a chat is made of: control tokens of the template, and texts between them.
struct Item {
  std::string text;
  std::int32_t control = -1;  // a token's id; -1: text
  bool content = false;
  bool learnt = false;
};

// Roles that every template knows are as good as the template's own text; others come from outside.
bool known_role(std::string_view role) { return role == "user" || role == "assistant" || role == "system"; }

std::vector<Item> items_of(const MarkedText& chat, const Tokenizer& tokenizer,
                           const std::function<bool(std::int32_t)>& learnt) {
  std::vector<MarkedText::Part> parts;  // known roles joined to the template's text around them: "<|" + role + "|>"
  for (auto part : chat.parts()) {
    if (part.source == MarkedText::kRole && known_role(part.text)) part.source = MarkedText::kTemplate;
    if (part.source == MarkedText::kTemplate && !parts.empty() && parts.back().source == part.source)
      parts.back().text += part.text;
    else
      parts.push_back(std::move(part));
  }
  std::vector<Item> out;
  for (const auto& part : parts) {
    if (part.source != MarkedText::kTemplate) {
      out.push_back({part.text, -1, part.source >= 0, part.source >= 0 && learnt(part.source)});
      continue;
    }
    for (const auto& [text, id] : tokenizer.split_control(part.text))
      out.push_back({id ? std::string() : std::string(text), id.value_or(-1), false, false});
  }
  return out;
}

// What ends an answer belongs to it: the control token behind it, with nothing but white space between.
void learn_ends(std::vector<Item>& items) {
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (!items[i].learnt || !items[i].content) continue;
    std::size_t end = i + 1;
    const auto blank = [](const Item& item) {
      return item.control < 0 && !item.content && item.text.find_first_not_of(" \n\t") == std::string::npos;
    };
    if (end < items.size() && blank(items[end])) ++end;
    if (end >= items.size() || items[end].control < 0) continue;
    for (std::size_t k = i + 1; k <= end; ++k) items[k].learnt = true;
  }
}

class Encoder {
 public:
  explicit Encoder(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  void put(std::int32_t id, bool learnt) {
    out_.ids.push_back(id);
    out_.labels.push_back(learnt ? id : kNoLabel);
    position_ = Position::kBehindToken;
  }

  // Texts that stand next to each other: encoded as one, as the reference does it, and each token is learnt if its last byte
  // is.
  void put(std::span<const Item> stretch) {
    std::string whole;
    for (const Item& item : stretch) whole += item.text;
    if (whole.empty()) return;
    std::vector<std::int32_t> ids;
    tokenizer_.encode_part(whole, position_, ids);
    if (!put_by_place(stretch, whole.size(), ids)) put_one_by_one(stretch);
    position_ = Position::kBehindText;
  }

  Example take() { return std::move(out_); }

 private:
  bool put_by_place(std::span<const Item> stretch, std::size_t size, const std::vector<std::int32_t>& ids) {
    const bool mixed = std::ranges::any_of(stretch, [&](const Item& item) { return item.learnt != stretch.front().learnt; });
    std::size_t total = 0;
    for (const auto id : ids) total += tokenizer_.text_size(id);
    // Mixed text whose tokens do not add up to it (a normalizer changed it) cannot be told apart by place.
    if (mixed && total != size && total != size + 1) return false;
    const std::size_t prefix = mixed ? total - size : 0;  // what the tokenizer put before the text
    std::size_t end = 0;
    for (const auto id : ids) {
      end += tokenizer_.text_size(id);
      const bool learnt = mixed ? learnt_at(stretch, end > prefix ? end - prefix - 1 : 0) : stretch.front().learnt;
      out_.ids.push_back(id);
      out_.labels.push_back(learnt ? id : kNoLabel);
    }
    return true;
  }

  static bool learnt_at(std::span<const Item> stretch, std::size_t byte) {
    for (const Item& item : stretch) {
      if (byte < item.text.size()) return item.learnt;
      byte -= item.text.size();
    }
    return stretch.back().learnt;
  }

  void put_one_by_one(std::span<const Item> stretch) {
    for (const Item& item : stretch) {
      std::vector<std::int32_t> ids;
      tokenizer_.encode_part(item.text, position_, ids);
      for (const auto id : ids) {
        out_.ids.push_back(id);
        out_.labels.push_back(item.learnt ? id : kNoLabel);
      }
      position_ = Position::kBehindText;
    }
  }

  const Tokenizer& tokenizer_;
  Example out_;
  Position position_ = Position::kStart;
};

}  // namespace

Example encode_marked(const MarkedText& chat, const Tokenizer& tokenizer, const std::function<bool(std::int32_t)>& learnt) {
  auto items = items_of(chat, tokenizer, learnt);
  learn_ends(items);
  Encoder encoder(tokenizer);
  std::size_t from = 0;
  for (std::size_t i = 0; i <= items.size(); ++i) {
    const bool end = i == items.size() || items[i].control >= 0;
    // The template's line break before a content stays apart from the content's own white space.
    const bool cut = !end && i > from && items[i].content && items[i - 1].text.ends_with('\n') && !items[i - 1].content;
    if (!end && !cut) continue;
    encoder.put(std::span(items).subspan(from, i - from));
    from = i;
    if (!end || i == items.size()) continue;
    encoder.put(items[i].control, items[i].learnt);
    from = i + 1;
  }
  return encoder.take();
}

}  // namespace sotto::data
