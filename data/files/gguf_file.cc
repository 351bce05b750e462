#include "data/files/gguf_file.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <optional>
#include <set>

namespace sotto::data {
namespace {

constexpr std::uint32_t kMaxDims = 4;
constexpr std::size_t kMaxNameBytes = 1024;
constexpr std::uint64_t kDefaultAlignment = 32;

// ggml.h, enum ggml_type, and the block structs of ggml-common.h.
constexpr auto kTypes = std::to_array<GgufType>({
    {0, "F32", 1, 4},         {1, "F16", 1, 2},         {2, "Q4_0", 32, 18},      {3, "Q4_1", 32, 20},
    {6, "Q5_0", 32, 22},      {7, "Q5_1", 32, 24},      {8, "Q8_0", 32, 34},      {9, "Q8_1", 32, 36},
    {10, "Q2_K", 256, 84},    {11, "Q3_K", 256, 110},   {12, "Q4_K", 256, 144},   {13, "Q5_K", 256, 176},
    {14, "Q6_K", 256, 210},   {15, "Q8_K", 256, 292},   {16, "IQ2_XXS", 256, 66}, {17, "IQ2_XS", 256, 74},
    {18, "IQ3_XXS", 256, 98}, {19, "IQ1_S", 256, 50},   {20, "IQ4_NL", 32, 18},   {21, "IQ3_S", 256, 110},
    {22, "IQ2_S", 256, 82},   {23, "IQ4_XS", 256, 136}, {24, "I8", 1, 1},         {25, "I16", 1, 2},
    {26, "I32", 1, 4},        {27, "I64", 1, 8},        {28, "F64", 1, 8},        {29, "IQ1_M", 256, 56},
    {30, "BF16", 1, 2},       {34, "TQ1_0", 256, 54},   {35, "TQ2_0", 256, 66},   {39, "MXFP4", 32, 17},
});

std::optional<GgufType> type_of(std::uint32_t id) {
  for (const auto& type : kTypes)
    if (type.id == id) return type;
  return std::nullopt;
}

// The value types of the metadata, gguf.h: enum gguf_type.
enum class ValueType : std::uint32_t {
  kU8 = 0,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kF32,
  kBool,
  kString,
  kArray,
  kU64,
  kI64,
  kF64,
};

std::optional<std::uint64_t> multiply(std::uint64_t a, std::uint64_t b) {
  std::uint64_t out = 0;
  if (__builtin_mul_overflow(a, b, &out)) return std::nullopt;
  return out;
}

std::string in_quotes(std::string_view text) {
  std::string out = "'";
  for (const char c : text.substr(0, 60)) out += c >= 0x20 && c < 0x7f ? c : '?';
  return out + (text.size() > 60 ? "...'" : "'");
}

// Reads front to back; the first failed read is kept as an error that names what was being read.
class Cursor {
 public:
  Cursor(ByteSpan in, const std::string& origin) : in_(in), origin_(origin) {}

  bool ok() const { return !error_; }
  const Error& error() const { return *error_; }
  std::size_t position() const { return at_; }
  std::size_t left() const { return in_.size() - at_; }
  void set_field(std::string field) { field_ = std::move(field); }

  void fail(const std::string& why) {
    if (!error_) error_ = invalid(origin_ + ": " + field_ + ": " + why + " (at byte " + std::to_string(at_) + ")");
  }

  template <class T>
  T number() {
    T out{};
    if (error_ || left() < sizeof(T)) {
      fail("the file ends here; it is truncated or no GGUF file");
      return out;
    }
    std::uint64_t bits = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) bits |= std::uint64_t{in_[at_ + i]} << (8 * i);
    at_ += sizeof(T);
    if constexpr (std::is_same_v<T, float>) return std::bit_cast<float>(static_cast<std::uint32_t>(bits));
    if constexpr (std::is_same_v<T, double>) return std::bit_cast<double>(bits);
    if constexpr (std::is_integral_v<T>) return static_cast<T>(bits);
    return out;
  }

  bool boolean() {
    const auto v = number<std::uint8_t>();
    if (v > 1) fail("a truth value is " + std::to_string(v) + ", not 0 or 1");
    return v == 1;
  }

  std::string text() {
    const auto size = number<std::uint64_t>();
    if (error_ || size > left()) {
      fail("a text of " + std::to_string(size) + " bytes is longer than what is left of the file");
      return {};
    }
    std::string out(reinterpret_cast<const char*>(in_.data() + at_), static_cast<std::size_t>(size));
    at_ += static_cast<std::size_t>(size);
    return out;
  }

  std::string name() {
    std::string out = text();
    if (out.empty() || out.size() > kMaxNameBytes) fail("a name of " + std::to_string(out.size()) + " bytes");
    return out;
  }

  // A count of items that take at least `item_bytes` each: checked before memory is taken.
  std::size_t count(std::size_t item_bytes) {
    const auto n = number<std::uint64_t>();
    if (error_ || n > left() / item_bytes) {
      fail("a count of " + std::to_string(n) + " does not fit in what is left of the file");
      return 0;
    }
    return static_cast<std::size_t>(n);
  }

 private:
  ByteSpan in_;
  const std::string& origin_;
  std::size_t at_ = 0;
  std::string field_ = "header";
  std::optional<Error> error_;
};

template <class Out, class Read>
GgufValue read_array(Cursor& in, std::size_t item_bytes, Read read) {
  std::vector<Out> out;
  const std::size_t n = in.count(item_bytes);
  out.reserve(n);
  for (std::size_t i = 0; i < n && in.ok(); ++i) out.push_back(read());
  return out;
}

template <class Wide, class T>
GgufValue read_numbers(Cursor& in, bool array) {
  if (!array) return static_cast<Wide>(in.number<T>());
  return read_array<Wide>(in, sizeof(T), [&in] { return static_cast<Wide>(in.number<T>()); });
}

GgufValue read_value(Cursor& in, std::uint32_t type, bool array) {
  switch (static_cast<ValueType>(type)) {
    case ValueType::kU8: return read_numbers<std::uint64_t, std::uint8_t>(in, array);
    case ValueType::kI8: return read_numbers<std::int64_t, std::int8_t>(in, array);
    case ValueType::kU16: return read_numbers<std::uint64_t, std::uint16_t>(in, array);
    case ValueType::kI16: return read_numbers<std::int64_t, std::int16_t>(in, array);
    case ValueType::kU32: return read_numbers<std::uint64_t, std::uint32_t>(in, array);
    case ValueType::kI32: return read_numbers<std::int64_t, std::int32_t>(in, array);
    case ValueType::kU64: return read_numbers<std::uint64_t, std::uint64_t>(in, array);
    case ValueType::kI64: return read_numbers<std::int64_t, std::int64_t>(in, array);
    case ValueType::kF32: return read_numbers<double, float>(in, array);
    case ValueType::kF64: return read_numbers<double, double>(in, array);
    case ValueType::kBool:
      if (!array) return in.boolean();
      return read_array<bool>(in, 1, [&in] { return in.boolean(); });
    case ValueType::kString:
      if (!array) return in.text();
      return read_array<std::string>(in, 8, [&in] { return in.text(); });
    case ValueType::kArray:
      if (!array) return read_value(in, in.number<std::uint32_t>(), true);
      in.fail("an array of arrays, which this version does not read");
      return {};
  }
  in.fail("unknown value type " + std::to_string(type));
  return {};
}

GgufTensorInfo read_tensor_info(Cursor& in, std::size_t index) {
  in.set_field("tensor " + std::to_string(index));
  GgufTensorInfo out;
  out.name = in.name();
  if (!in.ok()) return out;
  in.set_field("tensor " + in_quotes(out.name));
  const auto dims = in.number<std::uint32_t>();
  if (in.ok() && (dims == 0 || dims > kMaxDims)) in.fail(std::to_string(dims) + " dimensions; 1 to 4 are possible");
  out.elements = 1;
  for (std::uint32_t d = 0; d < dims && in.ok(); ++d) {
    out.dims.push_back(in.number<std::uint64_t>());
    const auto product = multiply(out.elements, out.dims.back());
    if (out.dims.back() == 0) in.fail("dimension " + std::to_string(d) + " is 0");
    if (!product) in.fail("its dimensions multiply to more than 2^64 elements");
    out.elements = product.value_or(0);
  }
  const auto id = in.number<std::uint32_t>();
  out.offset = in.number<std::uint64_t>();
  if (!in.ok()) return out;
  const auto type = type_of(id);
  if (!type) {
    in.fail("unknown tensor type " + std::to_string(id));
    return out;
  }
  out.type = *type;
  if (out.dims[0] % type->block_elements != 0)
    in.fail("rows of " + std::to_string(out.dims[0]) + " elements are no whole number of " + type->name + " blocks");
  const auto size = multiply(out.elements / type->block_elements, type->block_bytes);
  if (!size) in.fail("more than 2^64 bytes");
  out.size = size.value_or(0);
  return out;
}

Result<void> check_places(const std::vector<GgufTensorInfo>& tensors, std::uint64_t data_bytes, std::uint64_t alignment,
                          const std::string& origin) {
  std::vector<const GgufTensorInfo*> order;
  for (const auto& tensor : tensors) order.push_back(&tensor);
  std::ranges::sort(order, {}, [](const GgufTensorInfo* t) { return t->offset; });
  const GgufTensorInfo* before = nullptr;
  for (const GgufTensorInfo* tensor : order) {
    const std::string what = origin + ": tensor " + in_quotes(tensor->name) + ": offset " + std::to_string(tensor->offset);
    if (tensor->offset % alignment != 0)
      return invalid(what + " is no multiple of the alignment " + std::to_string(alignment));
    if (tensor->offset > data_bytes || tensor->size > data_bytes - tensor->offset)
      return invalid(what + " and size " + std::to_string(tensor->size) + " go beyond the data section of " +
                     std::to_string(data_bytes) + " bytes; the file is truncated or damaged, fetch it again");
    if (before != nullptr && before->offset + before->size > tensor->offset)
      return invalid(what + " overlaps tensor " + in_quotes(before->name));
    before = tensor;
  }
  return {};
}

Error wrong_value(const std::string& origin, std::string_view key, bool present, const char* wanted) {
  if (!present) return not_found(origin + ": no metadata '" + std::string(key) + "'");
  return invalid(origin + ": metadata '" + std::string(key) + "' is not " + wanted);
}

// llama.cpp cuts large models into files (tools/gguf-split): each has the numbers of all, and its own from 0.
Result<void> refuse_part(const GgufFile& file) {
  const auto parts = file.get_uint("split.count"), number = file.get_uint("split.no");
  if (!parts.ok() || *parts <= 1) return {};
  return unsupported(file.origin() + ": split.count is " + std::to_string(*parts) + ": this is part " +
                     (number.ok() ? std::to_string(*number + 1) : "?") + " of " + std::to_string(*parts) +
                     " of a model, and this version reads a model from one file; join the parts first (llama.cpp's "
                     "llama-gguf-split --merge FIRST-PART OUT.gguf)");
}

}  // namespace

Result<GgufFile> GgufFile::open(const std::string& path) {
  SOTTO_TRY(auto bytes, FileBytes::map(path));
  return parse(std::move(bytes), path);
}

Result<GgufFile> GgufFile::parse(FileBytes bytes, std::string origin) {
  GgufFile out(std::move(bytes), std::move(origin));
  Cursor in(out.bytes_.view(), out.origin_);
  if (in.number<std::uint32_t>() != 0x46554747 && in.ok()) in.fail("does not begin with 'GGUF': it is no GGUF file");
  out.version_ = in.number<std::uint32_t>();
  if (in.ok() && (out.version_ & 0xffff) == 0) in.fail("the file is big-endian, which this version does not read");
  if (in.ok() && out.version_ != 2 && out.version_ != 3)
    in.fail("version " + std::to_string(out.version_) + "; versions 2 and 3 are read");
  in.set_field("number of tensors");
  const std::size_t tensor_count = in.count(8 + 1 + 4 + 8 + 4 + 8);
  in.set_field("number of metadata values");
  const std::size_t value_count = in.count(8 + 1 + 4 + 1);

  for (std::size_t i = 0; i < value_count && in.ok(); ++i) {
    in.set_field("metadata " + std::to_string(i));
    const std::string key = in.name();
    if (!in.ok()) break;
    in.set_field("metadata " + in_quotes(key));
    const std::size_t start = in.position();
    const auto type = in.number<std::uint32_t>();
    auto value = in.ok() ? read_value(in, type, false) : GgufValue{};
    out.raw_.emplace(key, out.bytes_.view().subspan(start, in.position() - start));
    if (!out.metadata_.emplace(key, std::move(value)).second) in.fail("the key occurs twice");
  }
  std::set<std::string_view> names;
  out.tensors_.reserve(tensor_count);
  for (std::size_t i = 0; i < tensor_count && in.ok(); ++i) {
    out.tensors_.push_back(read_tensor_info(in, i));
    if (in.ok() && !names.insert(out.tensors_.back().name).second) in.fail("the name occurs twice");
  }
  if (!in.ok()) return in.error();

  std::uint64_t alignment = kDefaultAlignment;
  if (out.find("general.alignment") != nullptr) {
    SOTTO_TRY(alignment, out.get_uint("general.alignment"));
  }
  if (alignment == 0 || alignment > (1U << 20) || !std::has_single_bit(alignment))
    return invalid(out.origin_ + ": metadata 'general.alignment' is " + std::to_string(alignment) +
                   ", no power of two up to 2^20");
  const std::uint64_t start = (in.position() + alignment - 1) / alignment * alignment;
  const ByteSpan all = out.bytes_.view();
  if (start < all.size()) out.data_ = all.subspan(static_cast<std::size_t>(start));
  SOTTO_TRY_VOID(check_places(out.tensors_, out.data_.size(), alignment, out.origin_));
  SOTTO_TRY_VOID(refuse_part(out));
  return out;
}

const GgufValue* GgufFile::find(std::string_view key) const {
  const auto it = metadata_.find(key);
  return it == metadata_.end() ? nullptr : &it->second;
}

ByteSpan GgufFile::raw(std::string_view key) const {
  const auto it = raw_.find(key);
  SOTTO_CHECK(it != raw_.end());
  return it->second;
}

Result<std::uint64_t> GgufFile::get_uint(std::string_view key) const {
  const GgufValue* value = find(key);
  if (const auto* v = value != nullptr ? std::get_if<std::uint64_t>(value) : nullptr) return *v;
  if (const auto* v = value != nullptr ? std::get_if<std::int64_t>(value) : nullptr; v != nullptr && *v >= 0)
    return static_cast<std::uint64_t>(*v);
  return wrong_value(origin_, key, value != nullptr, "an integer of 0 or more");
}

Result<double> GgufFile::get_double(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value != nullptr) {
    if (const auto* v = std::get_if<double>(value)) return *v;
    if (const auto* v = std::get_if<std::uint64_t>(value)) return static_cast<double>(*v);
    if (const auto* v = std::get_if<std::int64_t>(value)) return static_cast<double>(*v);
  }
  return wrong_value(origin_, key, value != nullptr, "a number");
}

Result<bool> GgufFile::get_bool(std::string_view key) const {
  const GgufValue* value = find(key);
  if (const auto* v = value != nullptr ? std::get_if<bool>(value) : nullptr) return *v;
  return wrong_value(origin_, key, value != nullptr, "true or false");
}

Result<std::string> GgufFile::get_string(std::string_view key) const {
  const GgufValue* value = find(key);
  if (const auto* v = value != nullptr ? std::get_if<std::string>(value) : nullptr) return *v;
  return wrong_value(origin_, key, value != nullptr, "a text");
}

Result<const std::vector<std::string>*> GgufFile::get_strings(std::string_view key) const {
  const GgufValue* value = find(key);
  if (const auto* v = value != nullptr ? std::get_if<std::vector<std::string>>(value) : nullptr) return v;
  return wrong_value(origin_, key, value != nullptr, "a list of texts");
}

const GgufTensorInfo* GgufFile::find_tensor(std::string_view name) const {
  for (const auto& tensor : tensors_)
    if (tensor.name == name) return &tensor;
  return nullptr;
}

ByteSpan GgufFile::bytes(const GgufTensorInfo& tensor) const {
  SOTTO_CHECK(tensor.offset <= data_.size() && tensor.size <= data_.size() - tensor.offset);
  return data_.subspan(static_cast<std::size_t>(tensor.offset), static_cast<std::size_t>(tensor.size));
}

}  // namespace sotto::data
