// A registry of models: one folder with a signed log. The log is the truth about which models exist, which one each domain
// uses, who decided it, and on what evidence. Everything else in the folder is made from the log.
//   log, head.json      the event log (audit/log/event_log.h) and the signed head over the whole of it
//   models/ID/          what commands put beside a model: its adapter, its card
// Opening replays the log and refuses one that contradicts itself. One process at a time writes it; one thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "audit/log/event_log.h"
#include "base/random.h"
#include "crypto/signature.h"
#include "lineage/gate.h"

namespace sotto::lineage {

struct Model {
  Passport passport;
  std::string domain;
  audit::Time registered{};
};

// One change of the model that a domain uses: a promotion or a rollback.
struct Change {
  Digest model{};
  std::string by;
  audit::Time at{};
  Json gate;           // of a promotion: a list of findings
  std::string reason;  // of a way back
  bool rolled_back = false;
};

class ModelRegistry {
 public:
  // Makes the folder and its log when they are missing. `key` signs heads and must outlive this.
  static Result<ModelRegistry> open(const std::string& folder, const crypto::SigningKey& key, RandomSource& random);

  const std::string& folder() const { return folder_; }
  const std::vector<Model>& models() const { return models_; }                            // in order of registration
  const std::map<std::string, std::vector<Change>>& changes() const { return changes_; }  // by domain
  // By the beginning of its id, at least 6 digits; refused when none or several fit.
  Result<const Model*> find(const std::string& id) const;
  const Model* find(const Digest& model) const;
  std::optional<Digest> in_use(const std::string& domain) const;
  std::string model_folder(const Digest& model) const { return folder_ + "/models/" + to_hex(model).substr(0, 12); }

  // Refused when the model is registered already, when its parent is not, or when neither the passport nor `domain` names a
  // domain.
  Result<const Model*> add(const Passport& passport, const std::string& domain, audit::Time now);
  // Refused, naming every check that did not pass, when the gate does not let it through.
  Result<void> promote(const Model& model, const std::string& by, const std::vector<Finding>& findings, audit::Time now);
  // Back to what was in use before, or to `to`, which was in use once.
  Result<Digest> roll_back(const std::string& domain, const std::optional<Digest>& to, const std::string& by,
                           const std::string& reason, audit::Time now);

  std::optional<audit::Time> promoted_at(const Digest& model) const;

 private:
  ModelRegistry(std::string folder, audit::EventLog log, const crypto::SigningKey& key)
      : folder_(std::move(folder)), log_(std::move(log)), key_(&key) {}
  Result<void> apply(const audit::Event& event, audit::Time at);
  Result<void> write(const audit::Event& event, audit::Time now);
  Result<void> write_head() const;
  bool was_in_use(const std::string& domain, const Digest& model) const;

  std::string folder_;
  audit::EventLog log_;
  const crypto::SigningKey* key_;
  std::vector<Model> models_;
  std::map<std::string, std::vector<Change>> changes_;
};

}  // namespace sotto::lineage
