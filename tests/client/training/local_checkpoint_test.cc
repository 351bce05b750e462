// Where a site that trains alone stands, kept and read back.
#include "client/training/local_checkpoint.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "base/files.h"
#include "tests/support/temporary_folder.h"

namespace sotto::client {

TEST_CASE("a checkpoint comes back as it was, is for its owner alone, and is refused damaged or for another plan",
          "[client]") {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/checkpoint";
  LocalPosition at;
  at.plan[0] = 7;
  at.steps = 12;
  at.evaluations = {{0, 3.5, 0.25, 2.0}, {12, 3.0, 0.5, 2.5}};
  at.best = {1.0F, -2.0F};
  at.threshold = 0.3;
  at.seconds = 4.5;
  const std::vector<float> state{0.5F, 0.25F, -1.0F};
  const model::OptimizerState optimizer{{1.0F, 2.0F, 3.0F}, {4.0F, 5.0F, 6.0F}, 12};
  REQUIRE(save_checkpoint(path, at, state, optimizer).ok());
  struct stat info{};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);

  const auto back = load_checkpoint(path, at.plan).value();
  REQUIRE(back);
  CHECK(back->state == state);
  CHECK((back->optimizer.first == optimizer.first && back->optimizer.second == optimizer.second &&
         back->optimizer.steps == 12));
  CHECK((back->at.steps == 12 && back->at.threshold == 0.3 && back->at.seconds == 4.5));
  CHECK((back->at.best == at.best && !back->at.within));
  REQUIRE(back->at.evaluations.size() == 2);
  CHECK((back->at.evaluations[1].step == 12 && back->at.evaluations[1].general == 2.5));

  CHECK(load_checkpoint(path, Digest{}).error().message.find("another plan") != std::string::npos);
  CHECK_FALSE(load_checkpoint(folder.path() + "/none", at.plan).value());
  auto bytes = read_binary_file(path).value();
  bytes[bytes.size() / 2] ^= 1;
  REQUIRE(write_file_atomically(path, bytes).ok());
  CHECK(load_checkpoint(path, at.plan).error().message.find("is damaged") != std::string::npos);
}

}  // namespace sotto::client
