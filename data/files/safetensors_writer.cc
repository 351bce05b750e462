#include "data/files/safetensors_writer.h"

#include "base/check.h"

namespace sotto::data {

Result<SafetensorsWriter> SafetensorsWriter::create(const std::string& path, std::vector<SafetensorsShape> tensors,
                                                    const std::map<std::string, std::string, std::less<>>& metadata) {
  SOTTO_TRY(auto file, NewFile::create(path, FileMode::kPublic));
  SOTTO_TRY_VOID(file.append(safetensors_header(tensors, metadata)));
  return SafetensorsWriter(std::move(file), std::move(tensors));
}

Result<void> SafetensorsWriter::add(ByteSpan bytes) {
  SOTTO_CHECK(next_ < tensors_.size() && bytes.size() == tensors_[next_].bytes());
  ++next_;
  return file_.append(bytes);
}

Result<void> SafetensorsWriter::commit() {
  SOTTO_CHECK(next_ == tensors_.size());
  return file_.commit();
}

}  // namespace sotto::data
