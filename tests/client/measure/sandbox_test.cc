// Code that a model wrote runs where it can reach nothing.
#include "client/measure/sandbox.h"

#include "base/files.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

namespace sotto::client {
namespace {

TEST_CASE("code comes out of an answer's first block", "[sandbox]") {
  CHECK(code_in("x = 1\n") == "x = 1\n");
  CHECK(code_in("Here:\n```python\nx = 1\ny = 2\n```\nand\n```\nz\n```") == "x = 1\ny = 2\n");
  CHECK(code_in("```\nx = 1") == "x = 1");
  CHECK(code_in("```python").empty());
}

TEST_CASE("good code passes; wrong, endless, greedy and prying code does not", "[sandbox]") {
  if (const auto there = check_sandbox(); !there.ok()) {
    WARN("not run here: " << there.error().message);
    CHECK(there.error().code == ErrorCode::kUnavailable);
    return;
  }
  const TemporaryFolder folder;
  REQUIRE(write_file_atomically(folder.file("secret"), "patients").ok());
  const auto passes = [](const std::string& code) { return runs_well(code, {2}).value(); };
  CHECK(passes("def add(a, b):\n    return a + b\nassert add(2, 3) == 5\nopen('/tmp/x', 'w').write('here')\n"));
  CHECK_FALSE(passes("assert 1 == 2\n"));
  CHECK_FALSE(passes("while True: pass\n"));
  CHECK_FALSE(passes("import time; time.sleep(60)\n"));
  CHECK_FALSE(passes("x = bytearray(4 << 30)\n"));
  CHECK_FALSE(passes("open('" + folder.file("secret") + "').read()\n"));
  CHECK_FALSE(passes("open('/etc/passwd').read()\n"));
  CHECK_FALSE(passes("import socket; socket.create_connection(('127.0.0.1', 1), 1)\n"));
  CHECK_FALSE(passes("import os; assert os.environ.get('HOME')\n"));
  CHECK_FALSE(passes("open('/usr/x', 'w')\n"));
  CHECK(read_text_file(folder.file("secret")).value() == "patients");
}

}  // namespace
}  // namespace sotto::client
