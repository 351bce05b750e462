#include "plan/plan_json.h"

#include "base/enum_names.h"
#include "crypto/signature.h"
#include "plan/plan_fields.h"

namespace sotto {
namespace {

// Puts each field where its row says; "group.name" makes an object of the fields that follow one another in a group.
class JsonFields {
 public:
  void operator()(const plan::Row& row, const RunId& v) { put(row, v.value()); }
  void operator()(const plan::Row& row, const RoundId& v) { put(row, v.value()); }
  void operator()(const plan::Row& row, const AttemptId& v) { put(row, v.value()); }
  void operator()(const plan::Row& row, const Digest& v) { put(row, to_hex(v)); }
  void operator()(const plan::Row& row, const std::optional<Digest>& v) {
    if (v) put(row, to_hex(*v));
  }
  template <NamedEnum Enum>
  void operator()(const plan::Row& row, Enum v) {
    put(row, name_of(v));
  }
  void operator()(const plan::Row& row, const std::vector<std::string>& v) {
    Json list = Json::array();
    for (const auto& text : v) list.push(text);
    put(row, std::move(list));
  }
  void operator()(const plan::Row& row, const std::vector<SitePlan>& v) {
    Json list = Json::array();
    for (const auto& site : v) {
      JsonFields fields;
      plan::for_each_field(site, fields);
      list.push(std::move(fields).take());
    }
    put(row, std::move(list));
  }
  template <class Value>  // numbers, texts, truth values
    requires(!NamedEnum<Value>)
  void operator()(const plan::Row& row, const Value& v) {
    put(row, v);
  }

  Json take() && {
    close();
    return Json(std::move(members_));
  }
  // The member `name` behind the member `after`, for people; the bytes have another order.
  void move_behind(std::string_view name, std::string_view after) {
    close();
    const auto at = [&](std::string_view wanted) { return std::ranges::find(members_, wanted, &Json::Member::first); };
    const auto from = at(name);
    Json::Member member = std::move(*from);
    members_.erase(from);
    members_.insert(at(after) + 1, std::move(member));
  }

 private:
  void put(const plan::Row& row, Json value) {
    const auto dot = row.json.find('.');
    const auto group = dot == std::string_view::npos ? "" : row.json.substr(0, dot);
    if (group != group_) close();
    group_ = group;
    (group.empty() ? members_ : in_group_).emplace_back(row.json.substr(group.empty() ? 0 : dot + 1), std::move(value));
  }
  void close() {
    if (!group_.empty()) members_.emplace_back(group_, Json(std::exchange(in_group_, {})));
    group_ = {};
  }
  Json::Object members_, in_group_;
  std::string_view group_;
};

}  // namespace

Json to_json(const RunPlan& p) {
  JsonFields fields;
  plan::for_each_field(p, fields);
  fields.move_behind("prompt", "trained");
  fields.move_behind("private_step", "clip_norm");
  fields.move_behind("seed", "audit_failure");
  return std::move(fields).take();
}

Json to_json(const Roster& roster) {
  Json sites = Json::array();
  for (const auto& s : roster.sites) {
    sites.push(Json::object({{"name", s.name},
                             {"identity", to_hex(s.identity)},
                             {"fingerprint", crypto::fingerprint(crypto::VerifyKey(s.identity))},
                             {"transport", to_hex(s.transport)},
                             {"declared_size", s.declared_size}}));
  }
  return Json::object(
      {{"coordinator", Json::object({{"identity", to_hex(roster.coordinator)},
                                     {"fingerprint", crypto::fingerprint(crypto::VerifyKey(roster.coordinator))}})},
       {"colluders", roster.colluders},
       {"sites", std::move(sites)}});
}

Json to_json(const RoundDescriptor& d) {
  JsonFields fields;
  plan::for_each_field(d, fields);
  return std::move(fields).take();
}

}  // namespace sotto
