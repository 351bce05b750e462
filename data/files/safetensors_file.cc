#include "data/files/safetensors_file.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <utility>

#include "base/json.h"

namespace sotto::data {
namespace {

// The limit of the reference implementation (safetensors/src/tensor.rs, MAX_HEADER_SIZE).
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;

struct TypeRow {
  SafetensorsType type;
  const char* name;
  std::size_t size;
};
constexpr auto kTypes = std::to_array<TypeRow>({
    {SafetensorsType::kBool, "BOOL", 1},
    {SafetensorsType::kU8, "U8", 1},
    {SafetensorsType::kI8, "I8", 1},
    {SafetensorsType::kU16, "U16", 2},
    {SafetensorsType::kI16, "I16", 2},
    {SafetensorsType::kU32, "U32", 4},
    {SafetensorsType::kI32, "I32", 4},
    {SafetensorsType::kU64, "U64", 8},
    {SafetensorsType::kI64, "I64", 8},
    {SafetensorsType::kF16, "F16", 2},
    {SafetensorsType::kBF16, "BF16", 2},
    {SafetensorsType::kF32, "F32", 4},
    {SafetensorsType::kF64, "F64", 8},
});

const TypeRow& row_of(SafetensorsType type) {
  const auto it = std::ranges::find(kTypes, type, &TypeRow::type);
  SOTTO_CHECK(it != kTypes.end());
  return *it;
}

// nullopt on overflow.
std::optional<std::uint64_t> product(const std::vector<std::uint64_t>& factors) {
  std::uint64_t out = 1;
  for (const auto factor : factors)
    if (__builtin_mul_overflow(out, factor, &out)) return std::nullopt;
  return out;
}

Result<std::vector<std::uint64_t>> read_naturals(const Json& object, std::string_view name, const std::string& where) {
  const auto list = object.get_array(name);
  if (!list.ok()) return invalid(where + ": " + list.error().message);
  std::vector<std::uint64_t> out;
  for (const Json& item : **list) {
    if (!item.is_int() || item.as_int() < 0)
      return invalid(where + ": field '" + std::string(name) + "' holds something that is no integer of 0 or more");
    out.push_back(static_cast<std::uint64_t>(item.as_int()));
  }
  return out;
}

Result<SafetensorsInfo> read_info(const std::string& name, const Json& entry, const std::string& origin) {
  const std::string where = origin + ": tensor '" + name.substr(0, 100) + "'";
  if (!entry.is_object()) return invalid(where + " is described by no object");
  SafetensorsInfo out;
  out.name = name;
  const auto type_name = entry.get_string("dtype");
  if (!type_name.ok()) return invalid(where + ": " + type_name.error().message);
  const auto row = std::ranges::find(kTypes, *type_name, &TypeRow::name);
  if (row == kTypes.end()) return unsupported(where + ": dtype '" + type_name->substr(0, 60) + "' is not known");
  out.type = row->type;
  SOTTO_TRY(out.shape, read_naturals(entry, "shape", where));
  SOTTO_TRY(const auto place, read_naturals(entry, "data_offsets", where));
  if (place.size() != 2 || place[0] > place[1]) return invalid(where + ": data_offsets are no [begin, end]");
  const auto elements = product(out.shape);
  const auto size = elements ? product({*elements, row->size}) : std::nullopt;
  if (!size || place[1] - place[0] != *size)
    return invalid(where + ": data_offsets hold " + std::to_string(place[1] - place[0]) +
                   " bytes, which do not fit its shape and dtype " + row->name);
  out.elements = *elements;
  out.offset = place[0];
  out.size = *size;
  return out;
}

Result<std::map<std::string, std::string, std::less<>>> read_metadata(const Json& entry, const std::string& origin) {
  if (!entry.is_object()) return invalid(origin + ": __metadata__ is no object");
  std::map<std::string, std::string, std::less<>> out;
  for (const auto& [key, value] : entry.members()) {
    if (!value.is_string()) return invalid(origin + ": __metadata__ '" + key.substr(0, 60) + "' is no text");
    out[key] = value.as_string();
  }
  return out;
}

// In order of offset the tensors must lie end to end and fill the data section.
Result<void> check_places(const std::vector<SafetensorsInfo>& tensors, std::uint64_t data_bytes, const std::string& origin) {
  std::uint64_t end = 0;
  for (const auto& tensor : tensors) {
    if (tensor.offset != end)
      return invalid(origin + ": tensor '" + tensor.name.substr(0, 100) + "' begins at " + std::to_string(tensor.offset) +
                     ", but the tensors before it end at " + std::to_string(end) +
                     (tensor.offset < end ? ": they overlap" : ": a gap"));
    end = tensor.offset + tensor.size;  // no overflow: offset + size is an int64 from the header
  }
  if (end != data_bytes)
    return invalid(origin + ": the tensors take " + std::to_string(end) + " bytes but the file has " +
                   std::to_string(data_bytes) +
                   (end > data_bytes ? "; it is truncated, fetch it again" : "; what follows them belongs to nothing"));
  return {};
}

std::uint64_t read_u64(ByteSpan in) {
  std::uint64_t out = 0;
  for (std::size_t i = 0; i < 8; ++i) out |= std::uint64_t{in[i]} << (8 * i);
  return out;
}

}  // namespace

const char* to_string(SafetensorsType type) { return row_of(type).name; }
std::size_t element_size(SafetensorsType type) { return row_of(type).size; }

Result<SafetensorsFile> SafetensorsFile::open(const std::string& path) {
  SOTTO_TRY(auto bytes, FileBytes::map(path));
  return parse(std::move(bytes), path);
}

Result<SafetensorsFile> SafetensorsFile::parse(FileBytes bytes, std::string origin) {
  SafetensorsFile out(std::move(bytes), std::move(origin));
  const ByteSpan all = out.bytes_.view();
  if (all.size() < 8) return invalid(out.origin_ + ": " + std::to_string(all.size()) + " bytes are no safetensors file");
  const std::uint64_t header_bytes = read_u64(all);
  if (header_bytes > kMaxHeaderBytes || header_bytes > all.size() - 8)
    return invalid(out.origin_ + ": a header of " + std::to_string(header_bytes) + " bytes in a file of " +
                   std::to_string(all.size()) + "; it is truncated or no safetensors file");
  const ByteSpan header = all.subspan(8, static_cast<std::size_t>(header_bytes));
  if (header.empty() || header.front() != '{') return invalid(out.origin_ + ": the header does not begin with '{'");
  SOTTO_TRY(const Json json, Json::parse(as_text(header), out.origin_ + " (header)"));
  if (!json.is_object()) return invalid(out.origin_ + ": the header is no JSON object");

  std::set<std::string_view> names;
  for (const auto& [name, entry] : json.members()) {
    if (!names.insert(name).second) return invalid(out.origin_ + ": tensor '" + name.substr(0, 100) + "' occurs twice");
    if (name == "__metadata__") {
      SOTTO_TRY(out.metadata_, read_metadata(entry, out.origin_));
      continue;
    }
    SOTTO_TRY(auto info, read_info(name, entry, out.origin_));
    out.tensors_.push_back(std::move(info));
  }
  // Empty tensors share their offset with the tensor behind them: they come first.
  std::ranges::sort(out.tensors_, {}, [](const SafetensorsInfo& t) { return std::pair(t.offset, t.size); });
  out.data_ = all.subspan(8 + static_cast<std::size_t>(header_bytes));
  SOTTO_TRY_VOID(check_places(out.tensors_, out.data_.size(), out.origin_));
  return out;
}

const SafetensorsInfo* SafetensorsFile::find_tensor(std::string_view name) const {
  for (const auto& tensor : tensors_)
    if (tensor.name == name) return &tensor;
  return nullptr;
}

ByteSpan SafetensorsFile::bytes(const SafetensorsInfo& tensor) const {
  SOTTO_CHECK(tensor.offset <= data_.size() && tensor.size <= data_.size() - tensor.offset);
  return data_.subspan(static_cast<std::size_t>(tensor.offset), static_cast<std::size_t>(tensor.size));
}

std::uint64_t SafetensorsShape::bytes() const {
  const auto elements = product(shape);
  const auto size = elements ? product({*elements, element_size(type)}) : std::nullopt;
  SOTTO_CHECK(size);
  return *size;
}

Bytes safetensors_header(std::span<const SafetensorsShape> tensors,
                         const std::map<std::string, std::string, std::less<>>& metadata) {
  // Written by hand: a lookup of each name among those before would cost the square of their number.
  const auto quoted = [](const std::string& text) { return Json(text).dump(); };
  std::string text = "{";
  if (!metadata.empty()) {
    Json entries = Json::object();
    for (const auto& [key, value] : metadata) entries.set(key, value);
    text += "\"__metadata__\":" + entries.dump();
  }
  std::uint64_t end = 0;
  for (const auto& tensor : tensors) {
    Json shape = Json::array();
    for (const auto dim : tensor.shape) shape.push(dim);
    const std::uint64_t start = std::exchange(end, end + tensor.bytes());
    text += (text.size() > 1 ? "," : "") + quoted(tensor.name) + ":{\"dtype\":" + quoted(to_string(tensor.type)) +
            ",\"shape\":" + shape.dump() + ",\"data_offsets\":[" + std::to_string(start) + "," + std::to_string(end) + "]}";
  }
  text += "}";
  text.append((8 - text.size() % 8) % 8, ' ');
  return ByteWriter().u64(text.size()).raw(as_bytes(text)).take();
}

Bytes encode_safetensors(std::span<const SafetensorsTensor> tensors,
                         const std::map<std::string, std::string, std::less<>>& metadata) {
  std::set<std::string_view> names;
  std::vector<SafetensorsShape> shapes;
  std::uint64_t size = 0;
  for (const auto& tensor : tensors) {
    SOTTO_CHECK(names.insert(tensor.name).second);
    shapes.push_back({tensor.name, tensor.type, tensor.shape});
    SOTTO_CHECK(shapes.back().bytes() == tensor.bytes.size());
    size += tensor.bytes.size();
  }
  Bytes out = safetensors_header(shapes, metadata);
  out.reserve(out.size() + size);
  for (const auto& tensor : tensors) out.insert(out.end(), tensor.bytes.begin(), tensor.bytes.end());
  return out;
}

}  // namespace sotto::data
