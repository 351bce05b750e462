// A parsed template. Private to jinja*.cc. Plain values; immutable after parsing.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "data/jinja/jinja_lexer.h"

namespace sotto::data::jinja {

struct Expression;
using ExpressionPtr = std::unique_ptr<const Expression>;

struct Expression {
  enum class Kind {
    kString,      // text
    kInteger,     // number
    kName,        // text
    kList,        // parts
    kDictionary,  // parts: key, value, key, value, ...
    kAttribute,   // parts[0].text
    kSubscript,   // parts[0][parts[1]]
    kSlice,       // parts[0][parts[1]:parts[2]:parts[3]]; nullptr where left out
    kCall,        // parts[0](parts[1]...); parts[0] may be kAttribute: a method
    kFilter,      // parts[0] | text(parts[1]...)
    kTest,        // parts[0] is text(parts[1]...)
    kNot,         // parts[0]
    kNegative,    // parts[0]
    kBinary,      // parts[0] text parts[1]: or and + - * // % ~ == != < <= > >= in
    kChoice,      // parts[0] if parts[1] else parts[2], which may be nullptr
  };
  Kind kind;
  std::size_t line = 0;
  std::string text;
  std::int64_t number = 0;
  std::vector<ExpressionPtr> parts;
  std::vector<std::string> keywords;  // of calls: names of the last parts, where they are given by name
};

struct Parameter {
  std::string name;
  ExpressionPtr otherwise;  // its default; nullptr: none
};

struct Node {
  enum class Kind {
    kSequence,  // children
    kText,      // text
    kOutput,    // expression
    kIf,        // expression; children[0] if true, children[1], which may be missing, if not
    kFor,  // text, or text and attribute, in expression, where condition; children[0] for each, children[1], which may be missing, for none
    kSet,  // text, or text.attribute, = expression
    kSetBlock,  // text = what children[0] renders
    kMacro,     // text(parameters): what children[0] renders
    kBreak,
    kContinue,
  };
  Kind kind;
  std::size_t line = 0;
  std::string text;
  std::string attribute;
  ExpressionPtr expression;
  ExpressionPtr condition;
  std::vector<Parameter> parameters;
  std::vector<std::unique_ptr<const Node>> children;
};
using NodePtr = std::unique_ptr<const Node>;

Result<NodePtr> parse(std::vector<Token> tokens);

}  // namespace sotto::data::jinja
