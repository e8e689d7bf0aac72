#include "proto/device_code.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "base/view.h"
#include "proto/convert.h"
#include "proto/limits.h"

namespace tessera::proto {
namespace {

constexpr size_t kMaxLaunches = 1024;
constexpr int64_t kMaxSharedBytes = 1 << 30;
constexpr int64_t kMaxBlocks = (int64_t{1} << 31) - 1;

constexpr const char* kKinds[] = {"opencl", "cuda", "vta"};
// What stands behind a buffer's number.
constexpr std::array<const char*, 4> kKindSuffixes = {"", ":constant", ":image_f32", ":image_f16"};

std::string LaunchLine(std::string_view what, const KernelLaunch& launch) {
  const std::string arguments =
      absl::StrJoin(launch.arguments, " ", [](std::string* out, const KernelArgument& argument) {
        const std::string number = absl::StrCat(argument.buffer);
        absl::StrAppend(out, argument.buffer == kWorkspaceArgument ? "workspace" : number,
                        kKindSuffixes[static_cast<size_t>(argument.kind)]);
      });
  return absl::StrCat("// ", AbslView(what), " ", launch.kernel, " blocks ",
                      absl::StrJoin(launch.blocks, " "), " threads ",
                      absl::StrJoin(launch.threads, " "), " shared ", launch.shared_bytes,
                      " arguments ", arguments, "\n");
}

class Reader {
 public:
  Reader(std::string_view text, int buffers) : rest_(AbslView(text)), buffers_(buffers) {}

  absl::StatusOr<DeviceCode> Read() {
    DeviceCode code;
    std::vector<std::string> words = NextLine();
    int version = 0;
    if (words.size() != 3 || words[0] != "tessera" || !absl::SimpleAtoi(words[2], &version)) {
      return Refuse("is not \"// tessera KIND VERSION\"");
    }
    code.kind = words[1];
    if (std::ranges::find(kKinds, code.kind) == std::end(kKinds)) {
      return Refuse(absl::StrCat("is of no known kind; there are ", absl::StrJoin(kKinds, ", ")));
    }
    takes_kinds_ = code.kind == "opencl";
    has_blocks_ = code.kind != "vta";
    if (version != kDeviceCodeVersion) {
      return Refuse(
          absl::StrCat("is of version ", version, ", this runner reads ", kDeviceCodeVersion));
    }
    words = NextLine();
    if (words.size() != 2 || words[0] != "workspace" ||
        !ReadNumber(words[1], 0, kMaxWorkspaceBytes, code.workspace_bytes)) {
      return Refuse("is not \"// workspace BYTES\" with at most 2^36");
    }
    while (absl::StartsWith(rest_, "// prepare ") || absl::StartsWith(rest_, "// launch ")) {
      words = NextLine();
      const bool prepares = words[0] == "prepare";
      KernelLaunch launch;
      TESSERA_RETURN_IF_ERROR(ReadLaunch(words, launch));
      (prepares ? code.preparation : code.launches).push_back(std::move(launch));
      if (code.preparation.size() + code.launches.size() > kMaxLaunches) {
        return Refuse(absl::StrCat("is one launch more than the ", kMaxLaunches, " allowed"));
      }
    }
    if (code.launches.empty()) return Refuse("should be \"// launch …\": a call starts no kernel");
    code.source = std::string(rest_);
    return code;
  }

 private:
  // The words of the next line, without its sign of a comment.
  std::vector<std::string> NextLine() {
    ++line_;
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(rest_, absl::MaxSplits('\n', 1));
    rest_ = parts.second;
    absl::string_view line = parts.first.substr(0, 4096);
    if (!absl::ConsumePrefix(&line, "// ")) return {};
    return absl::StrSplit(line, ' ', absl::SkipEmpty());
  }

  absl::Status Refuse(std::string_view why) const {
    return absl::InvalidArgumentError(
        absl::StrCat("device code: line ", line_, " ", AbslView(why)));
  }

  static bool ReadNumber(const std::string& word, int64_t low, int64_t high, int64_t& value) {
    return absl::SimpleAtoi(word, &value) && value >= low && value <= high;
  }

  absl::StatusOr<KernelArgument> ReadArgument(const std::string& word) const {
    if (word == "workspace") return KernelArgument{kWorkspaceArgument};
    const size_t colon = std::min(word.find(':'), word.size());
    int64_t buffer = 0;
    if (!ReadNumber(word.substr(0, colon), 0, buffers_ - 1, buffer)) {
      return Refuse(absl::StrCat("passes an argument that is none of the ", buffers_, " buffers"));
    }
    const auto suffix = std::ranges::find(kKindSuffixes, word.substr(colon));
    if (suffix == kKindSuffixes.end() || (!takes_kinds_ && suffix != kKindSuffixes.begin())) {
      return Refuse(absl::StrCat("passes a buffer as \"", word, "\"; known are N",
                                 takes_kinds_ ? absl::StrJoin(kKindSuffixes, ", N") : ""));
    }
    return KernelArgument{static_cast<int>(buffer),
                          static_cast<ArgumentKind>(suffix - kKindSuffixes.begin())};
  }

  absl::Status ReadLaunch(const std::vector<std::string>& words, KernelLaunch& launch) const {
    if (words.size() < 13 || !CheckIdentifier("kernel", words[1]).ok() || words[2] != "blocks" ||
        words[6] != "threads" || words[10] != "shared" || words[12] != "arguments") {
      return Refuse("is not \"launch NAME blocks X Y Z threads X Y Z shared BYTES arguments …\"");
    }
    launch.kernel = words[1];
    int64_t threads = 1;
    for (size_t i = 0; i < 3; ++i) {
      if (!ReadNumber(words[3 + i], 1, kMaxBlocks, launch.blocks[i]) ||
          !ReadNumber(words[7 + i], 1, kMaxBlockThreads, launch.threads[i])) {
        return Refuse("has a number of blocks or threads out of range");
      }
      threads *= launch.threads[i];
    }
    if (threads > kMaxBlockThreads)
      return Refuse(absl::StrCat("has ", threads, " threads a block"));
    if (!ReadNumber(words[11], 0, kMaxSharedBytes, launch.shared_bytes)) {
      return Refuse(absl::StrCat("has shared memory out of range; the limit is ", kMaxSharedBytes));
    }
    constexpr std::array<int64_t, 3> kOne = {1, 1, 1};
    if (!has_blocks_ &&
        (launch.blocks != kOne || launch.threads != kOne || launch.shared_bytes != 0)) {
      return Refuse("has blocks, threads or shared memory, which this kind does not have");
    }
    for (size_t i = 13; i < words.size(); ++i) {
      TESSERA_ASSIGN_OR_RETURN(const KernelArgument argument, ReadArgument(words[i]));
      launch.arguments.push_back(argument);
    }
    if (launch.arguments.size() > static_cast<size_t>(kMaxBuffers) + 1) {
      return Refuse("passes too many arguments");
    }
    return absl::OkStatus();
  }

  absl::string_view rest_;
  int buffers_;
  bool takes_kinds_ = false;  // of arguments
  bool has_blocks_ = false;   // more than one of one thread, and shared memory
  int line_ = 0;
};

}  // namespace

std::string Print(const DeviceCode& code) {
  std::string text = absl::StrCat("// tessera ", code.kind, " ", kDeviceCodeVersion,
                                  "\n// workspace ", code.workspace_bytes, "\n");
  for (const KernelLaunch& launch : code.preparation) text += LaunchLine("prepare", launch);
  for (const KernelLaunch& launch : code.launches) text += LaunchLine("launch", launch);
  return text + code.source;
}

absl::StatusOr<DeviceCode> ParseDeviceCode(std::string_view text, int buffers) {
  return Reader(text, buffers).Read();
}

}  // namespace tessera::proto
