#include "evaluation/task_items.h"

#include <algorithm>

#include "data/text/patient_id.h"

namespace sotto::evaluation {
namespace {

// A string, or an integer's digits.
Result<std::string> text_of(const Json& value, std::string_view field) {
  if (value.is_string()) return value.as_string();
  if (value.is_int()) return std::to_string(value.as_int());
  return invalid("field '" + std::string(field) + "' has " + value.dump().substr(0, 60) +
                 ", which is neither a text nor an integer");
}

Result<std::vector<std::string>> texts_of(const Json& line, std::string_view field) {
  const Json* value = line.find(field);
  if (!value) return std::vector<std::string>{};
  std::vector<std::string> out;
  if (!value->is_array()) {
    SOTTO_TRY(out.emplace_back(), text_of(*value, field));
    return out;
  }
  for (const auto& item : value->items()) {
    SOTTO_TRY(out.emplace_back(), text_of(item, field));
  }
  return out;
}

Result<std::vector<std::string>> required_texts(const Json& line, std::string_view field, std::string_view why) {
  SOTTO_TRY(auto out, texts_of(line, field));
  if (out.empty())
    return invalid("field '" + std::string(field) + "' is missing or empty; " + std::string(why) + " needs it");
  return out;
}

// Each entry is a text with its forms between bars, or an array of forms.
Result<std::vector<Term>> terms_of(const Json& line, std::string_view field) {
  std::vector<Term> out;
  const Json* value = line.find(field);
  if (!value) return out;
  if (!value->is_array()) return invalid("field '" + std::string(field) + "' is no array");
  for (const auto& item : value->items()) {
    std::string forms;
    if (item.is_array()) {
      for (const auto& form : item.items()) {
        SOTTO_TRY(const auto text, text_of(form, field));
        forms += (forms.empty() ? "" : " | ") + text;
      }
    } else {
      SOTTO_TRY(forms, text_of(item, field));
    }
    auto term = Term::make(forms);
    if (!term.ok())
      return invalid("field '" + std::string(field) + "' has " + item.dump().substr(0, 60) + ": " + term.error().message);
    out.push_back(std::move(*term));
  }
  return out;
}

// {field} becomes the line's field; {{ and }} are braces themselves.
Result<std::string> fill(std::string_view prompt, const Json& line) {
  std::string out;
  while (!prompt.empty()) {
    const char c = prompt.front();
    if ((c == '{' || c == '}') && prompt.size() > 1 && prompt[1] == c) {
      out += c;
      prompt.remove_prefix(2);
    } else if (c == '{') {
      const std::size_t close = prompt.find('}');
      if (close == prompt.npos) return invalid("the task's prompt has a '{' without '}'; write {{ for a brace");
      const auto field = prompt.substr(1, close - 1);
      const Json* value = line.find(field);
      if (!value) return invalid("field '" + std::string(field) + "' is missing; the task's prompt shows it");
      SOTTO_TRY(const auto text, text_of(*value, field));
      out += text;
      prompt.remove_prefix(close + 1);
    } else {
      out += c;
      prompt.remove_prefix(1);
    }
  }
  if (out.find_first_not_of(" \t\r\n") == out.npos) return invalid("the prompt is empty");
  return out;
}

Result<void> read_choices(const Json& line, Item& item) {
  SOTTO_TRY(item.choices, required_texts(line, "choices", "a choice task"));
  if (item.choices.size() < 2) return invalid("field 'choices' has one choice; give two or more");
  for (const auto& choice : item.choices)
    if (choice.empty()) return invalid("field 'choices' has an empty choice");
  const Json* answer = line.find("answer");
  if (!answer) return invalid("field 'answer' is missing: the right choice's index from 0, or its text");
  if (answer->is_int()) {
    if (answer->as_int() < 0 || static_cast<std::size_t>(answer->as_int()) >= item.choices.size())
      return invalid("field 'answer' is " + answer->dump() + "; there are " + std::to_string(item.choices.size()) +
                     " choices, counted from 0");
    item.answer = static_cast<std::size_t>(answer->as_int());
    return {};
  }
  SOTTO_TRY(const auto text, text_of(*answer, "answer"));
  const auto at = std::ranges::find(item.choices, text);
  if (at == item.choices.end())
    return invalid("field 'answer' is '" + text.substr(0, 60) + "', which is none of the choices");
  item.answer = static_cast<std::size_t>(at - item.choices.begin());
  return {};
}

Result<void> read_mentions(const Json& line, bool spans, Item& item) {
  const Json* mentions = line.find("mentions");
  if (!mentions || !mentions->is_array())
    return invalid("field 'mentions' is no array; concepts and spans need it (it may be empty)");
  auto read = mentions_in(mentions->dump());
  if (!read.ok()) return invalid("field 'mentions': " + read.error().message);
  for (const auto& m : *read) {
    if (spans && m.start < 0)
      return invalid("field 'mentions' has one of label '" + m.label + "' without 'start' and 'end'; spans need them");
    if (!spans && m.text.empty())
      return invalid("field 'mentions' has one of label '" + m.label + "' without 'text'; concepts need it");
  }
  item.mentions = std::move(*read);
  return {};
}

Result<void> read_rules(const Json& line, const ItemFormat& format, Item& item) {
  if (!line.find("rules")) {
    item.rules = format.rules;
    return {};
  }
  SOTTO_TRY(const auto names, texts_of(line, "rules"));
  for (const auto& name : names) {
    const auto at = std::ranges::find(format.rules, name, &SafetyRule::name);
    if (at == format.rules.end())
      return invalid("field 'rules' names '" + name + "', which is no [[safety]] rule of the task");
    item.rules.push_back(*at);
  }
  return {};
}

Result<void> read_terms(const Json& line, const ItemFormat& format, Item& item) {
  SOTTO_TRY(item.terms, terms_of(line, "terms"));
  SOTTO_TRY(item.avoid, terms_of(line, "avoid_terms"));
  item.avoid.insert(item.avoid.end(), format.avoid.begin(), format.avoid.end());
  if (line.find("terms")) return {};
  for (const auto& reference : item.references)
    for (const auto& term : format.preferred)
      if (term.in(words(reference)) && std::ranges::find(item.terms, term.name(), &Term::name) == item.terms.end())
        item.terms.push_back(term);
  return {};
}

Result<void> read_expected(const Json& line, const ItemFormat& format, Item& item) {
  const auto& metrics = format.task->metrics;
  SOTTO_TRY(item.references, texts_of(line, "reference"));
  for (const auto* metric : {"exact_match", "literal_match", "token_f1", "rouge_l", "codes"})
    if (metrics.contains(metric) && item.references.empty())
      return invalid("field 'reference' is missing or empty; metric '" + std::string(metric) + "' needs it");
  if (metrics.contains("citations")) {
    SOTTO_TRY(const auto wanted, texts_of(line, "citations"));
    if (!line.find("citations"))
      return invalid("field 'citations' is missing; metric 'citations' needs it (it may be empty)");
    item.citations.wanted = {wanted.begin(), wanted.end()};
    SOTTO_TRY(item.citations.sources, texts_of(line, "sources"));
  }
  if (metrics.contains("concepts")) SOTTO_TRY_VOID(read_mentions(line, false, item));
  if (metrics.contains("spans")) SOTTO_TRY_VOID(read_mentions(line, true, item));
  if (metrics.contains("terms")) SOTTO_TRY_VOID(read_terms(line, format, item));
  if (metrics.contains("safety")) SOTTO_TRY_VOID(read_rules(line, format, item));
  if (metrics.contains("code_runs")) {
    SOTTO_TRY(const auto tests, required_texts(line, "tests", "metric 'code_runs'"));
    for (const auto& test : tests) item.tests += test + "\n";
  }
  if (metrics.contains("facts")) {
    SOTTO_TRY(item.facts, terms_of(line, "facts"));
    if (item.facts.empty()) return invalid("field 'facts' is missing or empty; metric 'facts' needs it");
  }
  return {};
}

}  // namespace

Result<Item> read_item(const Json& line, const ItemFormat& format) {
  if (!line.is_object()) return invalid("the line is no JSON object");
  Item item;
  for (const auto* field : {"unit", "patient_id"})
    if (item.unit.empty() && line.find(field)) {
      SOTTO_TRY(const auto raw, text_of(line.at(field), field));
      const auto id = data::patient_id(raw);
      if (!id.ok()) return invalid("field '" + std::string(field) + "' is blank; it names whom the item is about");
      item.unit = *id;
    }
  if (line.find("id")) {
    SOTTO_TRY(item.id, text_of(line.at("id"), "id"));
  }
  SOTTO_TRY(item.prompt, fill(format.prompt, line));
  switch (format.task->kind) {
    case TaskKind::kChoice: {
      SOTTO_TRY_VOID(read_choices(line, item));
      break;
    }
    case TaskKind::kLoss: {
      SOTTO_TRY(item.references, required_texts(line, "reference", "a loss task"));
      if (item.references.size() != 1 || item.references.front().empty())
        return invalid("field 'reference' must be one text that is not empty in a loss task");
      break;
    }
    case TaskKind::kGenerate: {
      SOTTO_TRY_VOID(read_expected(line, format, item));
      break;
    }
  }
  return item;
}

}  // namespace sotto::evaluation
