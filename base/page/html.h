// Text in a page.
#pragma once

#include <string>

namespace sotto {

// Safe between tags and inside a quoted attribute: & < > " ' become entities (HTML Living Standard, 13.1.2.3 and 13.1.4).
std::string escape_html(const std::string& text);

}  // namespace sotto
