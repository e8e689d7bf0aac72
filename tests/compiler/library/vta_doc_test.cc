// The example of docs/library.md that uses a board: it compiles against a library, runs on a board
// and ends where there is none.

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "compiler/schedule/accelerator.h"
#include "tests/compiler/library/device_fixture.h"
#include "tests/compiler/library/vta_board_files.h"
#include "tests/support/source_file.h"

namespace tessera::library {
namespace {

// The fenced text that opens the board.
std::string Example() {
  const std::string text = ReadSourceFile("docs/library.md");
  const size_t opens = text.find("tessera_ops_vta_open(\"/dev/mem\"");
  REQUIRE(opens != std::string::npos);
  constexpr std::string_view kFence = "```c\n";
  const size_t begin = text.rfind(kFence, opens) + kFence.size();
  return text.substr(begin, text.find("```", opens) - begin);
}

std::string Program(const std::string& example) {
  return absl::StrCat(R"(#include <stdio.h>

#include "ops.h"

static int Run(const int8_t* W, const int32_t* Bias, const int8_t* image) {
)",
                      example, R"(return status;
}

int main(void) {
  static int8_t weights[16 * 16 * 9], image[16 * 6 * 6];
  static int32_t bias[16];
  printf("%d\n", Run(weights, bias, image));
  return 0;
}
)");
}

// What the program prints, warnings being errors.
std::string OutputOf(const std::string& folder, const std::string& program) {
  std::ofstream(folder + "/main.c") << program;
  REQUIRE(std::system(absl::StrCat("cd ", folder,
                                   " && cc -std=gnu11 -Wall -Wextra -Werror -O1 main.c -o main "
                                   "-L. -lops -Wl,-rpath,",
                                   folder)
                          .c_str()) == 0);
  std::ignore = std::system(absl::StrCat("cd ", folder, " && ./main >out 2>&1").c_str());
  std::ifstream out(folder + "/out");
  return {std::istreambuf_iterator<char>(out), std::istreambuf_iterator<char>()};
}

TEST_CASE("the example of docs/library.md runs on a board, and ends without one",
          "[library][docs]") {
  if (std::system("cc --version >/dev/null 2>&1") != 0) {
    WARN("no C compiler `cc` on this machine: the example is not compiled");
    return;
  }
  LibrarySpec spec = SpecFor({{"c2",
                               "conv2d",
                               {{"ic", "16"},
                                {"oc", "16"},
                                {"size", "6"},
                                {"k", "3"},
                                {"pad", "1"},
                                {"dtype", "i8"},
                                {"layout", "nchwc16"},
                                {"bias", "true"},
                                {"shift", "8"},
                                {"relu", "true"}}}},
                             "vta");
  spec.name = "ops";
  const auto files = BuildLibrary(spec);
  INFO(files.status());
  REQUIRE(files.ok());
  vta::BoardFiles board(schedule::ConfigOf(spec.device->target));
  const std::string& folder = board.folder.path;
  std::ofstream(folder + "/libops.so", std::ios::binary) << files->shared_object();
  std::ofstream(folder + "/ops.h") << files->header();

  const std::string example = Example();
  const std::string here = absl::StrReplaceAll(example, {{"/dev/mem", "uio0"},
                                                         {"/dev/udmabuf0", "udmabuf0"},
                                                         {"/sys/class/u-dma-buf/udmabuf0", "."}});
  REQUIRE(here != example);
  CHECK(OutputOf(folder, Program(here)) == "0\n");
  CHECK(board.programs == 2);  // opening the board, and the operator
  CHECK(board.faults == 0);
  const std::string nowhere = absl::StrReplaceAll(here, {{"uio0", "uio1"}});
  CHECK_THAT(OutputOf(folder, Program(nowhere)),
             Catch::StartsWith("no accelerator: uio1: open: No such file") &&
                 Catch::EndsWith(absl::StrCat("\n", TESSERA_OPS_NO_DEVICE, "\n")));
}

}  // namespace
}  // namespace tessera::library
