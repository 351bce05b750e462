// Text that remembers where each part of it came from: the chat template, a message's role, or a message's content.
// Rendering a chat keeps the marks, so that contents can be spelled out and answers labelled. A content that is empty keeps
// its mark, too: an empty answer still ends. A plain value.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sotto::data {

class MarkedText {
 public:
  static constexpr std::int32_t kTemplate = -1;
  static constexpr std::int32_t kRole = -2;
  struct Part {
    std::string text;                 // empty only where a content is
    std::int32_t source = kTemplate;  // or kRole, or the number of the message whose content it is
    bool operator==(const Part&) const = default;
  };

  MarkedText() = default;
  MarkedText(std::string_view text, std::int32_t source);

  const std::vector<Part>& parts() const { return parts_; }
  std::size_t size() const;
  bool empty() const { return size() == 0; }
  std::string text() const;

  void append(const MarkedText& other);
  MarkedText substr(std::size_t begin, std::size_t count) const;  // bytes; cut to what there is
  bool operator==(const MarkedText&) const = default;

 private:
  void append(std::string_view text, std::int32_t source);
  std::vector<Part> parts_;  // neighbours differ in their source
};

}  // namespace sotto::data
