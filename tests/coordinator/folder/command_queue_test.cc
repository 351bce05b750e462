#include "coordinator/folder/command_queue.h"

#include <sys/stat.h>

#include <thread>

#include "base/files.h"
#include "tests/support/catch.h"
#include "tests/support/fixed_random.h"
#include "tests/support/temporary_folder.h"

namespace sotto::coordinator {
namespace {

using namespace std::chrono_literals;

TEST_CASE("a request is answered and both files are taken away", "[coordinator]") {
  TemporaryFolder spool;
  std::thread server([&] {
    for (int i = 0; i < 1000; ++i) {
      const auto requests = take_requests(spool.path());
      SOTTO_CHECK(requests.ok());
      for (const auto& request : *requests) {
        const auto what = request.json.get_string("command");
        const Result<Json> answer =
            *what == "good" ? Result<Json>(Json::object({{"n", 7}})) : Result<Json>(refused("not that"));
        SOTTO_CHECK(answer_request(spool.path(), request.id, answer).ok());
        if (*what == "bad") return;
      }
      std::this_thread::sleep_for(5ms);
    }
  });
  FixedRandom random(1);
  const auto good = ask_server(spool.path(), Json::object({{"command", "good"}}), random, 10s);
  const auto bad = ask_server(spool.path(), Json::object({{"command", "bad"}}), random, 10s);
  server.join();
  REQUIRE(good.ok());
  CHECK(*good->get_int("n") == 7);
  REQUIRE_FALSE(bad.ok());
  CHECK(bad.error().code == ErrorCode::kRefused);
  CHECK(bad.error().message == "not that");
  CHECK(std::filesystem::is_empty(spool.path()));
}

TEST_CASE("without a server a request is withdrawn", "[coordinator]") {
  TemporaryFolder spool;
  FixedRandom random(1);
  const auto answer = ask_server(spool.path(), Json::object({{"command", "x"}}), random, 0ms);
  REQUIRE_FALSE(answer.ok());
  CHECK(answer.error().code == ErrorCode::kUnavailable);
  CHECK(std::filesystem::is_empty(spool.path()));
}

TEST_CASE("a pipe, a link or a folder in place of a request keeps nobody waiting", "[coordinator]") {
  TemporaryFolder spool;
  REQUIRE(::mkfifo(spool.file("1.request").c_str(), 0600) == 0);
  std::filesystem::create_symlink("/dev/zero", spool.file("2.request"));
  std::filesystem::create_directory(spool.file("3.request"));
  REQUIRE(write_file_atomically(spool.file("4.request"), "{\"command\": \"x\"}").ok());
  const auto requests = take_requests(spool.path());
  REQUIRE(requests.ok());
  REQUIRE(requests->size() == 1);
  CHECK(requests->at(0).id == "4");
  for (const char* id : {"1", "2", "3"}) CHECK(file_exists(spool.file(std::string(id) + ".answer")));
  CHECK_FALSE(file_exists(spool.file("1.request")));
}

TEST_CASE("a file that is no request is answered with an error and taken away", "[coordinator]") {
  TemporaryFolder spool;
  REQUIRE(write_file_atomically(spool.file("1.request"), "not json").ok());
  REQUIRE(write_file_atomically(spool.file("2.request"), "{\"command\": \"x\"}").ok());
  REQUIRE(write_file_atomically(spool.file("note.txt"), "left alone").ok());
  const auto requests = take_requests(spool.path());
  REQUIRE(requests.ok());
  REQUIRE(requests->size() == 1);
  CHECK(requests->at(0).id == "2");
  CHECK(file_exists(spool.file("1.answer")));
  CHECK_FALSE(file_exists(spool.file("1.request")));
  CHECK(file_exists(spool.file("note.txt")));
}

}  // namespace
}  // namespace sotto::coordinator
