#include "base/third_party.h"

#include <dlfcn.h>

#include <catch2/catch.hpp>
#include <cstdlib>

namespace tessera {
namespace {

TEST_CASE("libraries of others are allowed by name", "[base]") {
  CHECK(ParseAllowed("").value().empty());
  CHECK(ParseAllowed("openblas").value() == "openblas");
  const auto message = [](std::string_view text) {
    return std::string(ParseAllowed(text).status().message());
  };
  CHECK(message("blis") == "allow: no library \"blis\"; known are openblas or onednn");
  CHECK(message("openblas,") == "allow: no library \"\"; known are openblas or onednn");
  CHECK(ParseAllowed("onednn,openblas").value() == "openblas,onednn");
  CHECK(message("openblas,openblas") == "allow: openblas is named twice");
  CHECK(IsAllowed("openblas", "openblas"));
  CHECK_FALSE(IsAllowed("", "openblas"));
  CHECK_FALSE(IsAllowed("", ""));
  CHECK_FALSE(IsAllowed("openblas2", "openblas"));
}

TEST_CASE("builds of a library that threads can't share are refused", "[base]") {
  // The C library, taken for one of others: what it says of itself is its version, with a dot.
  ThirdParty library = *ThirdPartyNamed("openblas");
  library.soname = "libc.so.6";
  library.threads_variable = "TESSERA_TEST_THREADS";
  library.build_function = "gnu_get_libc_version";
  const auto message = [&] { return std::string(LoadThirdParty(library).status().message()); };
  REQUIRE(LoadThirdParty(library).ok());
  CHECK(LoadThirdParty(library).value() != nullptr);
  CHECK(std::string(getenv("TESSERA_TEST_THREADS")) == "1");
  library.unsafe_build = ".";
  CHECK(absl::IsFailedPrecondition(LoadThirdParty(library).status()));
  CHECK_THAT(message(),
             Catch::StartsWith("libc.so.6 can't be called by several threads at once, being built "
                               "as \"") &&
                 Catch::EndsWith("\"; install libopenblas0-pthread instead"));
  library.unsafe_build = "SINGLE_THREADED";
  library.threaded_build = ".";
  CHECK_THAT(message(), Catch::Contains("would start threads of its own"));
  library.build_function = "openblas_get_config";
  CHECK_THAT(message(), Catch::Contains("libc.so.6 has no function openblas_get_config"));
  library.soname = "libnobody.so.0";
  CHECK_THAT(message(), Catch::StartsWith("openblas can't be loaded: libnobody.so.0") &&
                            Catch::EndsWith("; install libopenblas0-pthread"));
}

TEST_CASE("of OpenBLAS, threads share one whose buffers are handed out under a lock", "[base]") {
  const ThirdParty& library = *ThirdPartyNamed("openblas");
  CHECK(library.unsafe_build == "SINGLE_THREADED");
  CHECK(library.threaded_build == "USE_OPENMP");
  const auto handle = LoadThirdParty(library);
  if (!handle.ok()) {
    WARN("not run: " << handle.status().message());
    return;
  }
  // 0: no threads at all, 1: of its own, 2: OpenMP's. How many a call has.
  const auto number = [&](const char* function) {
    return reinterpret_cast<int (*)()>(dlsym(*handle, function))();
  };
  CHECK(number("openblas_get_parallel") == 1);
  CHECK(number("openblas_get_num_threads") == 1);
}

TEST_CASE("of oneDNN, calls are held to one thread where OpenMP counts them", "[base]") {
  ThirdParty library = *ThirdPartyNamed("onednn");
  CHECK(library.Sonames() == std::vector<std::string_view>{"libdnnl.so.2", "libgomp.so.1"});
  library.soname = TESSERA_TEST_ONEDNN_OF_TBB;
  CHECK_THAT(std::string(LoadThirdParty(library).status().message()),
             Catch::Contains("would start threads of its own, being built for threads of kind 4") &&
                 Catch::EndsWith("; install libdnnl2 instead"));
  library.soname = "libc.so.6";
  CHECK_THAT(std::string(LoadThirdParty(library).status().message()),
             Catch::Contains("has no function dnnl_version"));
  const ThirdParty& known = *ThirdPartyNamed("onednn");
  if (const auto handle = LoadThirdParty(known); !handle.ok()) {
    CHECK(absl::IsFailedPrecondition(handle.status()));
    WARN("not run: " << handle.status().message());
  } else {
    for (const std::string_view function : known.functions) {
      CAPTURE(function);
      CHECK(dlsym(*handle, std::string(function).c_str()) != nullptr);
    }
  }
}

}  // namespace
}  // namespace tessera
