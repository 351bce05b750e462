#include "client/training/training_facts.h"

#include "plan/plan_json.h"

namespace sotto::client {

Json data_facts(const Digest& fingerprint, const SitePlan& site, privacy::Unit unit) {
  return Json::object({{"fingerprint", to_hex(fingerprint)},
                       {"declared_units", site.declared_size},
                       {"unit", to_string(unit)},
                       {"sampling_rate", site.sampling_rate}});
}

Json log_facts(const audit::LogImage& log) {
  return Json::object({{"id", to_hex(log.id())}, {"entries", log.records.size()}, {"root", to_hex(log.tree.root())}});
}

}  // namespace sotto::client
