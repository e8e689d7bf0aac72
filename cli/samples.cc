#include "cli/samples.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "base/view.h"
#include "cli/path_status.h"
#include "compiler/ir/evaluate.h"

namespace tessera::cli {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";

// What the header says behind 'KEY':, up to the next comma outside of parentheses.
std::string_view Entry(std::string_view header, std::string_view key) {
  const size_t at = header.find(absl::StrCat("'", AbslView(key), "':"));
  if (at == std::string_view::npos) return {};
  header.remove_prefix(at + key.size() + 3);
  const size_t open = header.find_first_not_of(' ');
  if (open == std::string_view::npos) return {};
  header.remove_prefix(open);
  const char end = header[0] == '(' ? ')' : ',';
  return header.substr(0, header.find(end));
}

struct NpyHeader {
  ir::Type element;
  std::vector<int64_t> shape;
};

absl::StatusOr<NpyHeader> ParseHeader(std::string_view header) {
  static const auto* const types = new std::map<std::string_view, ir::Type>{
      {"<f2", ir::Float(16)}, {"<f4", ir::Float(32)}, {"<f8", ir::Float(64)},
      {"|i1", ir::Int(8)},    {"|u1", ir::UInt(8)},   {"|b1", ir::UInt(8)},
      {"<i2", ir::Int(16)},   {"<u2", ir::UInt(16)},  {"<i4", ir::Int(32)},
      {"<u4", ir::UInt(32)},  {"<i8", ir::Int(64)},   {"<u8", ir::UInt(64)}};
  std::string_view kind = Entry(header, "descr");
  if (kind.size() >= 2) kind = kind.substr(1, kind.size() - 2);
  const auto found = types->find(kind);
  if (found == types->end()) {
    return absl::InvalidArgumentError(absl::StrCat("has numbers of \"", AbslView(kind),
                                                   "\"; save floats or integers, little-endian"));
  }
  if (Entry(header, "fortran_order") != "False") {
    return absl::InvalidArgumentError("is in Fortran's order; save numpy.ascontiguousarray(…)");
  }
  NpyHeader made{.element = found->second};
  std::string_view shape = Entry(header, "shape");
  if (shape.empty() || shape[0] != '(') return absl::InvalidArgumentError("has no shape");
  shape.remove_prefix(1);
  for (absl::string_view part : absl::StrSplit(AbslView(shape), ',')) {
    part = absl::StripAsciiWhitespace(part);
    int64_t extent = 0;
    if (part.empty()) continue;
    if (!absl::SimpleAtoi(part, &extent) || extent < 0) {
      return absl::InvalidArgumentError(absl::StrCat("has \"", part, "\" for an extent"));
    }
    made.shape.push_back(extent);
  }
  return made;
}

std::vector<int64_t> WithoutOnes(const std::vector<int64_t>& shape) {
  std::vector<int64_t> made;
  for (const int64_t extent : shape) {
    if (extent != 1) made.push_back(extent);
  }
  return made;
}

absl::StatusOr<graph::TensorRef> ParseNpy(std::string_view bytes, const graph::TensorType& type) {
  const bool is_long = bytes.size() > 6 && bytes[6] != 1;  // from version 2 on
  const size_t fixed = is_long ? 12 : 10;
  if (!bytes.starts_with(kMagic) || bytes.size() < fixed) {
    return absl::InvalidArgumentError("is no file of NumPy");
  }
  size_t length = 0;
  for (size_t i = fixed; i-- > 8;) length = length << 8 | static_cast<uint8_t>(bytes[i]);
  if (length > bytes.size() - fixed) return absl::InvalidArgumentError("ends within its header");
  TESSERA_ASSIGN_OR_RETURN(const NpyHeader header, ParseHeader(bytes.substr(fixed, length)));
  const graph::TensorType given{header.element, header.shape, {}};
  if (WithoutOnes(header.shape) != WithoutOnes(type.shape)) {
    return absl::InvalidArgumentError(
        absl::StrCat("is ", graph::ToString(given), "; the input is ", graph::ToString(type)));
  }
  const std::string_view elements = bytes.substr(fixed + length);
  if (static_cast<int64_t>(elements.size()) != given.Bytes()) {
    return absl::InvalidArgumentError(absl::StrCat("has ", elements.size(), " bytes of numbers; ",
                                                   graph::ToString(given), " takes ",
                                                   given.Bytes()));
  }
  std::vector<std::byte> copy(elements.size());
  std::memcpy(copy.data(), elements.data(), copy.size());
  std::vector<double> values(static_cast<size_t>(type.ElementCount()));
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = ir::ReadElement(header.element, copy, static_cast<int64_t>(i));
  }
  return graph::MakeTensor(type.element, type.shape, values);
}

absl::StatusOr<graph::TensorRef> ReadSample(const std::filesystem::path& path,
                                            const graph::TensorType& type) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return PathStatus(errno, "cannot open", path.string());
  // A header of NumPy, and numbers of up to 8 bytes.
  std::string bytes(static_cast<size_t>(type.ElementCount()) * 8 + (1 << 16) + 1, '\0');
  in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  bytes.resize(static_cast<size_t>(in.gcount()));
  absl::StatusOr<graph::TensorRef> made = ParseSample(path.filename().string(), bytes, type);
  TESSERA_RETURN_IF_ERROR(Annotate(made.status(), path.string()));
  return made;
}

// Files, or folders, by name.
absl::StatusOr<std::vector<std::filesystem::path>> Entries(const std::string& folder,
                                                           bool are_folders) {
  std::error_code error;
  std::vector<std::filesystem::path> found;
  std::filesystem::directory_iterator entries(folder, error);
  for (; !error && entries != std::filesystem::directory_iterator(); entries.increment(error)) {
    const bool fits = are_folders ? entries->is_directory() : entries->is_regular_file();
    if (fits && !entries->path().filename().string().starts_with(".")) {
      found.push_back(entries->path());
    }
  }
  if (error) return PathStatus(error.value(), "cannot read", folder);
  std::ranges::sort(found);
  return found;
}

}  // namespace

absl::StatusOr<graph::TensorRef> ParseSample(std::string_view name, std::string_view bytes,
                                             const graph::TensorType& type) {
  if (name.ends_with(".npy")) return ParseNpy(bytes, type);
  if (static_cast<int64_t>(bytes.size()) != type.Bytes()) {
    return absl::InvalidArgumentError(absl::StrCat("has ", bytes.size(), " bytes; ",
                                                   graph::ToString(type), " takes ", type.Bytes(),
                                                   ", unless it is a .npy file"));
  }
  auto tensor = std::make_shared<graph::Tensor>();
  tensor->type = {type.element, type.shape, {}};
  tensor->bytes.resize(bytes.size());
  std::memcpy(tensor->bytes.data(), bytes.data(), bytes.size());
  return tensor;
}

absl::StatusOr<std::vector<graph::Sample>> ReadSamples(const std::string& folder,
                                                       const graph::Graph& graph) {
  const std::vector<int> inputs = graph.Inputs();
  const bool are_folders = inputs.size() != 1;
  TESSERA_ASSIGN_OR_RETURN(const auto entries, Entries(folder, are_folders));
  if (entries.empty() || entries.size() > kMostSamples) {
    return absl::InvalidArgumentError(absl::StrCat(
        folder, ": has ", entries.size(), are_folders ? " folders" : " files", "; ", graph.name,
        " has ", inputs.size(), " inputs, a sample is a ",
        are_folders ? "folder with a file for each, NAME.npy or NAME.raw" : "file, .npy or raw",
        ", and 1 to ", kMostSamples, " are taken"));
  }
  std::vector<graph::Sample> samples;
  for (const std::filesystem::path& entry : entries) {
    graph::Sample& sample = samples.emplace_back();
    for (const int index : inputs) {
      const graph::Node& input = graph.nodes[index];
      std::filesystem::path file = entry;
      if (are_folders) {
        file /= input.name + ".npy";
        std::error_code error;
        if (!std::filesystem::exists(file, error)) file.replace_extension(".raw");
      }
      TESSERA_ASSIGN_OR_RETURN(sample.emplace_back(), ReadSample(file, input.type));
    }
  }
  return samples;
}

}  // namespace tessera::cli
