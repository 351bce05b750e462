#include "curation/record_selection.h"

#include "curation/file_writer.h"
#include "data/files/line_source.h"

namespace sotto::curation {
namespace {

// Why a line is left out; empty: it is kept. `kept` says what became of earlier lines: a repeat of one that went is none.
std::vector<std::string> reasons_against(const DataCheck::Verdict& verdict, const SelectionOptions& options,
                                         const std::vector<bool>& kept) {
  const bool low = verdict.score < options.min_score;
  const bool repeat = verdict.repeats && kept[*verdict.repeats] && !options.keep_repeats;
  if (!verdict.broken && !low && !repeat) return {};
  auto out = verdict.why;
  if (low && !verdict.broken)
    out.insert(out.begin(), "its score is below " + std::to_string(options.min_score).substr(0, 4));
  return out;
}

Json line_of(const std::string& where, double score, const std::vector<std::string>& why) {
  Json list = Json::array();
  for (const auto& reason : why) list.push(reason);
  return Json::object({{"where", where}, {"score", score}, {"why", std::move(list)}});
}

}  // namespace

Result<Selection> select(const DataCheck& check, const SelectionOptions& options, const std::string& out,
                         const std::string& reasons) {
  if (check.verdicts().empty()) return invalid("the files hold no record to select from; give one JSON object a line");
  SOTTO_TRY(auto kept, FileWriter::create(out));
  SOTTO_TRY(auto dropped, FileWriter::create(reasons));
  Selection result;
  std::vector<bool> is_kept;
  const auto& verdicts = check.verdicts();
  std::string line;
  for (std::size_t i = 0; i < verdicts.size();) {  // verdicts stand in the order of files and lines
    const std::uint32_t file = verdicts[i].file;
    SOTTO_TRY(auto lines, data::LineSource::open(check.files()[file], check.options().key_file));
    for (; i < verdicts.size() && verdicts[i].file == file; ++i) {
      while (lines.number() < verdicts[i].line) {
        SOTTO_TRY(const bool some, lines.next(line));
        if (!some) return invalid("'" + check.files()[file] + "' has changed since it was checked");
      }
      const auto why = reasons_against(verdicts[i], options, is_kept);
      is_kept.push_back(why.empty());
      if (why.empty()) {
        SOTTO_TRY_VOID(kept.line(line));
        ++result.kept;
      } else {
        SOTTO_TRY_VOID(dropped.line(line_of(lines.where(), verdicts[i].score, why).dump()));
        ++result.dropped;
      }
    }
  }
  SOTTO_TRY_VOID(kept.finish());
  SOTTO_TRY_VOID(dropped.finish());
  return result;
}

}  // namespace sotto::curation
