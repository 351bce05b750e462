#include "model/fingerprint.h"

#include <filesystem>

#include "base/files.h"
#include "crypto/hash.h"

namespace sotto::model {
namespace {

struct ModelFile {
  const char* name;
  bool optional;
};
constexpr ModelFile kFolderFiles[] = {{"config.json", false},
                                      {"model.safetensors", false},
                                      {"tokenizer.json", true},
                                      {"tokenizer_config.json", true},
                                      {"chat_template.jinja", true}};

}  // namespace

Result<Digest> model_hash(const std::string& path) {
  ByteWriter covered;
  covered.text("sotto/model/v1");
  if (!std::filesystem::is_directory(path)) {
    SOTTO_TRY(const auto digest, crypto::sha256_file(path));
    covered.text("gguf").raw(digest);
    return crypto::sha256(covered.view());
  }
  for (const auto& [name, optional] : kFolderFiles) {
    const std::string file = path + "/" + name;
    if (optional && !file_exists(file)) continue;
    SOTTO_TRY(const auto digest, crypto::sha256_file(file));
    covered.text(name).raw(digest);
  }
  return crypto::sha256(covered.view());
}

}  // namespace sotto::model
