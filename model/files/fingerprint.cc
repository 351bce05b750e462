#include "model/files/fingerprint.h"

#include <filesystem>

#include "base/files.h"
#include "crypto/hash.h"
#include "model/files/checkpoint.h"

namespace sotto::model {
namespace {

constexpr const char* kTextFiles[] = {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja",
                                      "special_tokens_map.json", "added_tokens.json"};

}  // namespace

Result<Digest> model_hash(const std::string& path) {
  ByteWriter covered;
  covered.text("sotto/model/v1");
  if (!std::filesystem::is_directory(path)) {
    SOTTO_TRY(const auto digest, crypto::sha256_file(path));
    covered.text("gguf").raw(digest);
    return crypto::sha256(covered.view());
  }
  std::vector<std::string> files = {"config.json"};
  SOTTO_TRY(const auto weights, weight_files(path));
  files.insert(files.end(), weights.begin(), weights.end());
  for (const char* const name : kTextFiles)
    if (file_exists(path + "/" + name)) files.emplace_back(name);
  for (const auto& name : files) {
    SOTTO_TRY(const auto digest, crypto::sha256_file(path + "/" + name));
    covered.text(name).raw(digest);
  }
  return crypto::sha256(covered.view());
}

}  // namespace sotto::model
