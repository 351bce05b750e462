// The statements of a template.
#include "data/jinja/jinja_expressions.h"

namespace sotto::data::jinja {
namespace {

constexpr int kMaxDepth = 60;

class Parser : private ExpressionParser {
 public:
  explicit Parser(std::vector<Token> tokens) : ExpressionParser(std::move(tokens)) {}

  Result<NodePtr> run() {
    SOTTO_TRY(auto root, sequence());
    if (!is(Token::Kind::kEnd)) return wrong("no '" + next().text + "' here: a text or a statement");
    return root;
  }

 private:
  using Statement = std::unique_ptr<Node>;

  Statement make(Node::Kind kind) const {
    auto out = std::make_unique<Node>();
    out->kind = kind;
    out->line = next().line;
    return out;
  }

  // Whether a block begins here that has one of these names: it ends the sequence before it.
  bool at_block(std::initializer_list<std::string_view> names) {
    if (!is(Token::Kind::kName)) return false;
    for (const auto name : names)
      if (next().text == name) return true;
    return false;
  }

  Result<void> end_block() {
    if (!is(Token::Kind::kBlockEnd)) return wrong("the tag's end");
    take();
    return {};
  }

  // Up to the end, or to a block that this sequence does not know; its "{%" is then taken.
  Result<NodePtr> sequence() {
    if (++depth_ > kMaxDepth) return invalid("line " + std::to_string(next().line) + ": statements nested too deeply");
    auto out = make(Node::Kind::kSequence);
    while (!is(Token::Kind::kEnd)) {
      if (is(Token::Kind::kText)) {
        auto text = make(Node::Kind::kText);
        text->text = take().text;
        out->children.push_back(std::move(text));
      } else if (is(Token::Kind::kOutputBegin)) {
        take();
        auto output = make(Node::Kind::kOutput);
        SOTTO_TRY(output->expression, expression());
        if (!is(Token::Kind::kOutputEnd)) return wrong("'}}'");
        take();
        out->children.push_back(std::move(output));
      } else {
        if (!is(Token::Kind::kBlockBegin)) return wrong("a statement");
        take();
        if (at_block({"elif", "else", "endif", "endfor", "endset", "endgeneration", "endmacro"})) break;
        SOTTO_TRY(auto node, statement());
        out->children.push_back(std::move(node));
      }
    }
    --depth_;
    return NodePtr(std::move(out));
  }

  Result<NodePtr> statement() {
    if (take_name("if")) return if_();
    if (take_name("for")) return for_();
    if (take_name("set")) return set();
    if (take_name("macro")) return macro();
    if (is_name("break") || is_name("continue")) {
      auto out = make(take().text == "break" ? Node::Kind::kBreak : Node::Kind::kContinue);
      SOTTO_TRY_VOID(end_block());
      return NodePtr(std::move(out));
    }
    if (take_name("generation")) {  // transformers' mark of what the assistant says; labels come from the contents here
      SOTTO_TRY_VOID(end_block());
      SOTTO_TRY(auto body, sequence());
      SOTTO_TRY_VOID(close("endgeneration"));
      return body;
    }
    return unsupported("line " + std::to_string(next().line) + ": the statement '" + next().text +
                       "', which this version does not read in a chat template");
  }

  Result<void> close(std::string_view name) {
    if (!take_name(name)) return wrong("'" + std::string(name) + "'");
    return end_block();
  }

  Result<NodePtr> if_() {
    auto out = make(Node::Kind::kIf);
    SOTTO_TRY(out->expression, expression());
    SOTTO_TRY_VOID(end_block());
    SOTTO_TRY(auto body, sequence());
    out->children.push_back(std::move(body));
    if (take_name("elif")) {
      if (++depth_ > kMaxDepth) return invalid("line " + std::to_string(next().line) + ": statements nested too deeply");
      SOTTO_TRY(auto other, if_());
      --depth_;
      out->children.push_back(std::move(other));
      return NodePtr(std::move(out));
    }
    if (take_name("else")) {
      SOTTO_TRY_VOID(end_block());
      SOTTO_TRY(auto other, sequence());
      out->children.push_back(std::move(other));
    }
    SOTTO_TRY_VOID(close("endif"));
    return NodePtr(std::move(out));
  }

  Result<NodePtr> for_() {
    auto out = make(Node::Kind::kFor);
    SOTTO_TRY(out->text, expect_name());
    if (take_operator(",")) {  // over a dictionary's items
      SOTTO_TRY(out->attribute, expect_name());
    }
    if (!take_name("in")) return wrong("'in'");
    SOTTO_TRY(out->expression, expression_without_choice());
    if (take_name("if")) {
      SOTTO_TRY(out->condition, expression());
    }
    SOTTO_TRY_VOID(end_block());
    SOTTO_TRY(auto body, sequence());
    out->children.push_back(std::move(body));
    if (take_name("else")) {
      SOTTO_TRY_VOID(end_block());
      SOTTO_TRY(auto other, sequence());
      out->children.push_back(std::move(other));
    }
    SOTTO_TRY_VOID(close("endfor"));
    return NodePtr(std::move(out));
  }

  Result<NodePtr> set() {
    auto out = make(Node::Kind::kSet);
    SOTTO_TRY(out->text, expect_name());
    if (take_operator(".")) {
      SOTTO_TRY(out->attribute, expect_name());
    }
    if (is(Token::Kind::kBlockEnd) && out->attribute.empty()) {
      out->kind = Node::Kind::kSetBlock;
      take();
      SOTTO_TRY(auto body, sequence());
      out->children.push_back(std::move(body));
      SOTTO_TRY_VOID(close("endset"));
      return NodePtr(std::move(out));
    }
    if (!is_operator("=")) return wrong("'='");
    take();
    SOTTO_TRY(out->expression, expression());
    SOTTO_TRY_VOID(end_block());
    return NodePtr(std::move(out));
  }

  Result<NodePtr> macro() {
    auto out = make(Node::Kind::kMacro);
    SOTTO_TRY(out->text, expect_name());
    SOTTO_TRY_VOID(expect_operator("("));
    while (!take_operator(")")) {
      Parameter parameter;
      SOTTO_TRY(parameter.name, expect_name());
      if (take_operator("=")) {
        SOTTO_TRY(parameter.otherwise, expression());
      }
      out->parameters.push_back(std::move(parameter));
      if (!is_operator(")")) SOTTO_TRY_VOID(expect_operator(","));
    }
    SOTTO_TRY_VOID(end_block());
    SOTTO_TRY(auto body, sequence());
    out->children.push_back(std::move(body));
    SOTTO_TRY_VOID(close("endmacro"));
    return NodePtr(std::move(out));
  }

  int depth_ = 0;
};

}  // namespace

Result<NodePtr> parse(std::vector<Token> tokens) { return Parser(std::move(tokens)).run(); }

}  // namespace sotto::data::jinja
