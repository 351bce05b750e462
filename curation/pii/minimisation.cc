#include "curation/pii/minimisation.h"

#include <functional>

#include "curation/file_writer.h"
#include "curation/record_lines.h"

namespace sotto::curation {
namespace {

using Done = std::function<Result<void>(const std::string& where, const Json& before, const Json& after)>;

Result<Minimised> minimise_each(Minimiser& minimiser, const std::vector<std::string>& files, const std::string& key_file,
                                const Done& done) {
  Minimised out;
  SOTTO_TRY_VOID(for_each_record(
      files, key_file, [&](const std::string& line, const std::string& where, const data::Record& record) -> Result<void> {
        SOTTO_TRY(const Json before, Json::parse(line, where));
        std::vector<Replacement> replaced;
        SOTTO_TRY(const Json after, minimiser.record(before, record.patient_id, replaced, out.kept));
        ++out.records;
        out.changed += replaced.empty() ? 0 : 1;
        for (const auto& one : replaced) ++out.counts[static_cast<std::size_t>(one.kind)];
        return done(where, before, after);
      }));
  return out;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> out(1);
  for (const char c : text) {
    if (c == '\n')
      out.emplace_back();
    else
      out.back() += c;
  }
  return out;
}

// Surrogates have no line breaks, so that lines stay in step.
void show_text(const std::string& before, const std::string& after, std::ostream& out) {
  const auto old = lines_of(before);
  const auto fresh = lines_of(after);
  for (std::size_t i = 0; i < old.size() && i < fresh.size(); ++i)
    if (old[i] != fresh[i]) out << "- " << old[i] << "\n+ " << fresh[i] << '\n';
}

void show_value(const Json& before, const Json& after, std::ostream& out) {
  if (before.is_string()) return show_text(before.as_string(), after.as_string(), out);
  if (before.is_array())
    for (std::size_t i = 0; i < before.items().size(); ++i) show_value(before.at(i), after.at(i), out);
  if (!before.is_object()) return;
  for (std::size_t i = 0; i < before.members().size(); ++i) {  // members stay in their order
    show_text(before.members()[i].first, after.members()[i].first, out);
    show_value(before.members()[i].second, after.members()[i].second, out);
  }
}

}  // namespace

Result<Minimised> minimise_files(Minimiser& minimiser, const std::vector<std::string>& files, const std::string& key_file,
                                 const std::string& out) {
  SOTTO_TRY(auto writer, FileWriter::create(out));
  SOTTO_TRY(const auto done,
            minimise_each(minimiser, files, key_file,
                          [&](const std::string&, const Json&, const Json& after) { return writer.line(after.dump()); }));
  SOTTO_TRY_VOID(writer.finish());
  return done;
}

Result<Minimised> preview_files(Minimiser& minimiser, const std::vector<std::string>& files, const std::string& key_file,
                                std::ostream& out) {
  return minimise_each(minimiser, files, key_file,
                       [&](const std::string& where, const Json& before, const Json& after) -> Result<void> {
                         if (before.dump() == after.dump()) return {};
                         out << "@@ " << where << '\n';
                         show_value(before, after, out);
                         return {};
                       });
}

}  // namespace sotto::curation
