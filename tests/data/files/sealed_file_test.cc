#include "data/files/sealed_file.h"

#include "base/files.h"
#include "data/files/line_source.h"
#include "data/records/record.h"
#include "tests/support/catch.h"
#include "tests/support/fixed_random.h"
#include "tests/support/temporary_folder.h"

namespace sotto::data {
namespace {

DataKey key(std::uint64_t seed = 1) {
  FixedRandom random(seed);
  return DataKey::random(random);
}

void seal_text(const std::string& path, const std::string& text, std::uint64_t seed = 2) {
  FixedRandom random(seed);
  auto writer = SealedWriter::create(path, key(), random).value();
  for (std::size_t at = 0; at < text.size(); at += 1000) writer.write(std::string_view(text).substr(at, 1000)).value();
  writer.finish().value();
}

Result<std::string> open_text(const std::string& path, const DataKey& with) {
  SOTTO_TRY(auto reader, SealedReader::open(path, with));
  std::string out;
  char buffer[777];
  while (true) {
    SOTTO_TRY(const std::size_t got, reader.read(buffer, sizeof buffer));
    if (got == 0) return out;
    out.append(buffer, got);
  }
}

std::string text_of(std::size_t size) {
  std::string out;
  for (std::size_t i = 0; out.size() < size; ++i) out += "line " + std::to_string(i) + "\n";
  return out.substr(0, size);
}

constexpr std::size_t kChunk = 65536;

}  // namespace

TEST_CASE("what was sealed comes back, whatever its size, and nothing of it stands in the file", "[sealed_file]") {
  const TemporaryFolder folder;
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, kChunk - 1, kChunk, kChunk + 1, 3 * kChunk}) {
    const std::string text = text_of(size);
    seal_text(folder.file("s"), text);
    CAPTURE(size);
    CHECK(open_text(folder.file("s"), key()).value() == text);
    CHECK(read_text_file(folder.file("s")).value().find("line 0") == std::string::npos);
    CHECK(is_sealed(folder.file("s")));
  }
}

TEST_CASE("another key, a changed bit, a cut or a swapped chunk is refused", "[sealed_file]") {
  const TemporaryFolder folder;
  const auto path = folder.file("s");
  seal_text(path, text_of(2 * kChunk + 100));
  CHECK_FALSE(open_text(path, key(9)).ok());
  const Bytes whole = read_binary_file(path).value();
  const std::size_t chunk = 4 + kChunk + 28;
  for (const std::size_t at :
       {std::size_t{9}, std::size_t{24}, std::size_t{40}, std::size_t{24} + chunk + 50, whole.size() - 1}) {
    Bytes changed = whole;
    changed[at] ^= 1;
    write_file_atomically(path, ByteSpan(changed)).value();
    CAPTURE(at);
    CHECK_FALSE(open_text(path, key()).ok());
  }
  for (const std::size_t size :
       {std::size_t{8}, std::size_t{24}, std::size_t{26}, 24 + chunk, 24 + 2 * chunk, whole.size() - 1}) {
    write_file_atomically(path, ByteSpan(whole).first(size)).value();
    CAPTURE(size);
    CHECK_FALSE(open_text(path, key()).ok());
  }
  Bytes swapped = whole;
  std::swap_ranges(swapped.begin() + 24, swapped.begin() + 24 + static_cast<std::ptrdiff_t>(chunk),
                   swapped.begin() + 24 + static_cast<std::ptrdiff_t>(chunk));
  write_file_atomically(path, ByteSpan(swapped)).value();
  const auto refused = open_text(path, key());
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().message.find("chunk 0") != std::string::npos);
  write_file_atomically(path, std::string_view("plain text that is longer than a head")).value();
  CHECK_FALSE(open_text(path, key()).ok());
  CHECK_FALSE(is_sealed(path));
}

TEST_CASE("records are read from a sealed file, with its key and not without", "[sealed_file]") {
  const TemporaryFolder folder;
  const auto key_path = folder.file("key");
  write_file_atomically(key_path, ByteSpan(key().reveal()), FileMode::kPrivate).value();
  seal_text(folder.file("s"), "{\"patient_id\": \"p\", \"instruction\": \"q\", \"output\": \"a\"}\n");
  RecordOptions options;
  const auto without = read_records(folder.file("s"), options);
  REQUIRE_FALSE(without.ok());
  CHECK(without.error().message.find("is sealed") != std::string::npos);
  options.key_file = key_path;
  CHECK(read_records(folder.file("s"), options).value().size() == 1);
}

TEST_CASE("a writer that does not finish leaves nothing", "[sealed_file]") {
  const TemporaryFolder folder;
  {
    FixedRandom random(1);
    auto writer = SealedWriter::create(folder.file("s"), key(), random).value();
    writer.write("half").value();
  }
  CHECK_FALSE(file_exists(folder.file("s")));
  CHECK_FALSE(file_exists(folder.file("s.part")));
}

}  // namespace sotto::data
