#include "data/files/line_source.h"

#include <cstdlib>

#include "base/files.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

namespace sotto::data {
namespace {

std::vector<std::string> lines_of(const std::string& path) {
  auto source = LineSource::open(path).value();
  std::vector<std::string> out;
  std::string line;
  while (source.next(line).value()) out.push_back(line);
  return out;
}

// Written by gzip 1.12 and zstd 1.5.4 from "one\ntwo\n".
const Bytes kGzip = from_hex("1f8b0800000000000003cbcf4be52a29cfe70200e60bba1208000000").value();
const Bytes kZstd = from_hex("28b52ffd04584100006f6e650a74776f0ae6a60e40").value();  // with its checksum

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("lines come with and without a last line break, with CR LF and behind a byte order mark", "[line_source]") {
  const TemporaryFolder folder;
  const auto path = folder.file("a");
  write_file_atomically(path, std::string_view("\xef\xbb\xbfone\r\n\ntwo")).value();
  CHECK(lines_of(path) == Lines{"one", "", "two"});
  write_file_atomically(path, std::string_view("")).value();
  CHECK(lines_of(path).empty());
  write_file_atomically(path, std::string_view("x\n")).value();
  auto source = LineSource::open(path).value();
  std::string line;
  REQUIRE(source.next(line).value());
  CHECK(source.where() == path + ":1");
}

TEST_CASE("gzip files are read, also several in one, and a damaged one is refused", "[line_source]") {
  const TemporaryFolder folder;
  const auto path = folder.file("a.gz");
  write_file_atomically(path, ByteSpan(kGzip)).value();
  CHECK(lines_of(path) == Lines{"one", "two"});
  Bytes twice = kGzip;
  twice.insert(twice.end(), kGzip.begin(), kGzip.end());
  write_file_atomically(path, ByteSpan(twice)).value();
  CHECK(lines_of(path) == Lines{"one", "two", "one", "two"});
  for (const std::size_t cut : {12U, 20U, 25U}) {
    write_file_atomically(path, ByteSpan(kGzip).first(cut)).value();
    auto source = LineSource::open(path).value();
    std::string line;
    Result<bool> read = true;
    while (read.ok() && *read) read = source.next(line);
    CAPTURE(cut);
    REQUIRE_FALSE(read.ok());
    CHECK(read.error().message.find("a.gz") != std::string::npos);
  }
}

TEST_CASE("zstd files are read, also several in one, and a damaged one is refused", "[line_source]") {
  const TemporaryFolder folder;
  const auto path = folder.file("a.zst");
  write_file_atomically(path, ByteSpan(kZstd)).value();
  CHECK(lines_of(path) == Lines{"one", "two"});
  Bytes twice = kZstd;
  twice.insert(twice.end(), kZstd.begin(), kZstd.end());
  write_file_atomically(path, ByteSpan(twice)).value();
  CHECK(lines_of(path) == Lines{"one", "two", "one", "two"});
  Bytes flipped = kZstd;
  flipped[10] ^= 1;
  const Bytes cut(kZstd.begin(), kZstd.end() - 3);
  for (const Bytes& damaged : {cut, flipped}) {
    write_file_atomically(path, ByteSpan(damaged)).value();
    auto source = LineSource::open(path).value();
    std::string line;
    Result<bool> read = true;
    while (read.ok() && *read) read = source.next(line);
    REQUIRE_FALSE(read.ok());
    CHECK(read.error().message.find("a.zst") != std::string::npos);
  }
}

TEST_CASE("a file that is not there is refused by its name", "[line_source]") {
  const auto source = LineSource::open("/no/such/file");
  REQUIRE_FALSE(source.ok());
  CHECK(source.error().code == ErrorCode::kNotFound);
}

}  // namespace sotto::data
