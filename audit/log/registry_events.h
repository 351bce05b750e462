// The events of a model registry's log (lineage/model_registry.h): which models there are, and which one is in use and why.
#pragma once

#include <string>

#include "audit/log/event_type.h"
#include "plan/run_plan.h"

namespace sotto::audit {

// Record 0 of every registry's log.
struct RegistryCreated {
  PublicKeyBytes identity{};  // Ed25519: signs the log's heads
  Digest salt{};
  static constexpr auto kType = EventType::kRegistryCreated;
  static constexpr const char* kName = "registry_created";
  static constexpr auto fields() {
    return std::tuple{Field{"identity", &RegistryCreated::identity}, Field{"salt", &RegistryCreated::salt}};
  }
};

struct ModelRegistered {
  Digest model{};        // of its weights (lineage/weights.h)
  std::string domain;    // the line of models that it belongs to
  std::string passport;  // JSON, as it stood in the adapter
  static constexpr auto kType = EventType::kModelRegistered;
  static constexpr const char* kName = "model_registered";
  static constexpr auto fields() {
    return std::tuple{Field{"model", &ModelRegistered::model}, Field{"domain", &ModelRegistered::domain},
                      Field{"passport", &ModelRegistered::passport}};
  }
};

// The gate let it through: from now on it is the domain's model.
struct ModelPromoted {
  Digest model{};
  std::string domain;
  std::string by;    // who answers for it
  std::string gate;  // JSON: each check, what it found, and the SHA-256 of the file that it was found in
  static constexpr auto kType = EventType::kModelPromoted;
  static constexpr const char* kName = "model_promoted";
  static constexpr auto fields() {
    return std::tuple{Field{"model", &ModelPromoted::model}, Field{"domain", &ModelPromoted::domain},
                      Field{"by", &ModelPromoted::by}, Field{"gate", &ModelPromoted::gate}};
  }
};

// The domain goes back to a model that was promoted before.
struct ModelRolledBack {
  std::string domain;
  Digest from{};
  Digest to{};
  std::string by;
  std::string reason;
  static constexpr auto kType = EventType::kModelRolledBack;
  static constexpr const char* kName = "model_rolled_back";
  static constexpr auto fields() {
    return std::tuple{Field{"domain", &ModelRolledBack::domain}, Field{"from", &ModelRolledBack::from},
                      Field{"to", &ModelRolledBack::to}, Field{"by", &ModelRolledBack::by},
                      Field{"reason", &ModelRolledBack::reason}};
  }
};

}  // namespace sotto::audit
