#include "proto/convert_artifacts.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/view.h"

namespace tessera::proto {
namespace {

void TolerancesToProto(const std::vector<Tolerance>& tolerances, ToleranceMessages* messages) {
  for (const Tolerance& tolerance : tolerances) {
    v1::Tolerance* t = messages->Add();
    t->set_absolute(tolerance.absolute);
    t->set_relative(tolerance.relative);
  }
}

// `value` times `factor`, or an error when that exceeds `max`.
int64_t BoundedProduct(Checks& check, std::string_view field, int64_t value, int64_t factor,
                       int64_t max) {
  if (value > max / factor) {
    check.Fail(field, absl::StrCat("more than ", max, " elements"));
    return 1;
  }
  return value * factor;
}

BufferSpec BufferFromProto(Checks& check, const v1::BufferSpec& m) {
  BufferSpec buffer;
  buffer.name = check.Name("buffer name", m.name(), kMaxNameBytes);
  buffer.type = check.RequiredName("buffer type", m.type(), 16);
  buffer.shape = Each(check, "buffer shape", m.shape(), kMaxDimensions, [&](int64_t extent) {
    return check.Range("buffer shape", extent, 1, kMaxElements);
  });
  buffer.layout = Each(check, "buffer layout", m.layout(), kMaxDimensions, [&](const auto& dim) {
    return LayoutDim{check.Int("layout axis", dim.axis(), 0, std::max(0, m.shape_size() - 1)),
                     check.Range("layout divisor", dim.divisor(), 1, kMaxElements),
                     check.Range("layout extent", dim.extent(), 1, kMaxElements)};
  });
  int64_t elements = 1;
  for (int64_t extent : buffer.shape) {
    elements = BoundedProduct(check, "buffer shape", elements, extent, kMaxElements);
  }
  int64_t stored = 1;
  for (const LayoutDim& dim : buffer.layout) {
    stored = BoundedProduct(check, "buffer layout", stored, dim.extent, kMaxElements);
  }
  // Padding of split dimensions makes the stored array larger, never smaller.
  if (!buffer.layout.empty() && stored < elements) {
    check.Fail("buffer layout",
               absl::StrCat(stored, " stored elements for ", elements, " logical ones"));
  }
  buffer.is_output = m.is_output();
  buffer.is_constant = m.is_constant();
  return buffer;
}

// [A-Za-z0-9_.-]+, not starting with a dot.
void CheckFileName(Checks& check, const std::string& name) {
  const bool plain = std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == '-';
  });
  if (name.empty() || name.size() > kMaxNameBytes || name[0] == '.' || !plain) {
    check.Fail("library file name", "must be letters, digits, '_', '-' and '.', not led by a dot");
  }
}

}  // namespace

uint64_t Fence(Checks& check, uint64_t fence) {
  if (fence == 0) check.Fail("fence", "must not be 0");
  return fence;
}

void BufferToProto(const BufferSpec& buffer, v1::BufferSpec* m) {
  m->set_name(CleanText(buffer.name, kMaxNameBytes));
  m->set_type(buffer.type);
  m->mutable_shape()->Add(buffer.shape.begin(), buffer.shape.end());
  for (const LayoutDim& dim : buffer.layout) {
    v1::LayoutDim* d = m->add_layout();
    d->set_axis(dim.axis);
    d->set_divisor(dim.divisor);
    d->set_extent(dim.extent);
  }
  m->set_is_output(buffer.is_output);
  m->set_is_constant(buffer.is_constant);
}

std::vector<BufferSpec> BuffersFromProto(
    Checks& check, std::string_view field,
    const google::protobuf::RepeatedPtrField<v1::BufferSpec>& messages) {
  if (messages.empty()) check.Fail(field, "at least one output is needed");
  std::vector<BufferSpec> buffers =
      Each(check, field, messages, kMaxBuffers,
           [&](const auto& buffer) { return BufferFromProto(check, buffer); });
  if (!std::is_partitioned(buffers.begin(), buffers.end(),
                           [](const BufferSpec& buffer) { return !buffer.is_output; })) {
    check.Fail(field, "an input follows an output");
  }
  return buffers;
}

v1::Artifact ArtifactToProto(const Artifact& artifact) {
  v1::Artifact m;
  m.set_digest(artifact.digest);
  m.set_size(artifact.size);
  m.set_symbol(artifact.symbol);
  m.set_shared_workspace_bytes(artifact.shared_workspace_bytes);
  m.set_private_workspace_bytes(artifact.private_workspace_bytes);
  for (const BufferSpec& buffer : artifact.buffers) BufferToProto(buffer, m.add_buffers());
  m.set_prepare_symbol(artifact.prepare_symbol);
  m.mutable_prepared_bytes()->Add(artifact.prepared_bytes.begin(), artifact.prepared_bytes.end());
  TolerancesToProto(artifact.tolerances, m.mutable_tolerances());
  return m;
}

Artifact ArtifactFromProto(Checks& check, const v1::Artifact& m) {
  Artifact artifact;
  artifact.digest = check.Hex("artifact digest", m.digest(), 64, false);
  artifact.size = check.Range("artifact size", m.size(), 1, kMaxArtifactBytes);
  check.Add(CheckIdentifier("artifact symbol", m.symbol()));
  artifact.symbol = m.symbol();
  artifact.shared_workspace_bytes = check.Range("artifact shared_workspace_bytes",
                                                m.shared_workspace_bytes(), 0, kMaxWorkspaceBytes);
  artifact.private_workspace_bytes = check.Range(
      "artifact private_workspace_bytes", m.private_workspace_bytes(), 0, kMaxWorkspaceBytes);
  artifact.buffers = BuffersFromProto(check, "artifact buffers", m.buffers());
  artifact.prepare_symbol = m.prepare_symbol();
  if (!artifact.prepare_symbol.empty()) {
    check.Add(CheckIdentifier("artifact prepare_symbol", artifact.prepare_symbol));
  }
  artifact.prepared_bytes =
      Each(check, "artifact prepared_bytes", m.prepared_bytes(), kMaxBuffers, [&](int64_t bytes) {
        return check.Range("artifact prepared_bytes", bytes, 1, kMaxWorkspaceBytes);
      });
  if (const int passed = m.buffers_size() + m.prepared_bytes_size(); passed > kMaxBuffers) {
    check.Fail("artifact buffers", absl::StrCat(passed, " with the prepared ones, at most ",
                                                kMaxBuffers, " are allowed"));
  }
  if (artifact.prepare_symbol.empty() != artifact.prepared_bytes.empty()) {
    check.Fail("artifact prepared_bytes", "a prepare_symbol and what it fills belong together");
  }
  artifact.tolerances = TolerancesFromProto(check, m.tolerances());
  return artifact;
}

std::vector<Tolerance> TolerancesFromProto(Checks& check, const ToleranceMessages& messages) {
  return Each(check, "tolerances", messages, kMaxBuffers, [&](const auto& t) {
    return Tolerance{check.Number("tolerance absolute", t.absolute(), 0, 1e300),
                     check.Number("tolerance relative", t.relative(), 0, 1e300)};
  });
}

void OracleToProto(const std::vector<Tolerance>& tolerances,
                   const std::vector<OracleSample>& samples, ToleranceMessages* tolerance_messages,
                   google::protobuf::RepeatedPtrField<v1::OracleSample>* sample_messages) {
  TolerancesToProto(tolerances, tolerance_messages);
  for (const OracleSample& sample : samples) {
    v1::OracleSample* s = sample_messages->Add();
    s->set_output(sample.output);
    s->set_index(sample.index);
    s->set_value(sample.value);
  }
}

void LibraryFileToProto(const db::LibraryFile& file, v1::LibraryFile* m) {
  m->set_name(file.name);
  m->set_digest(file.digest);
  m->set_size(file.size);
}

db::LibraryFile LibraryFileFromProto(Checks& check, const v1::LibraryFile& m) {
  CheckFileName(check, m.name());
  return {m.name(), check.Hex("library file digest", m.digest(), 64, false),
          check.Range("library file size", m.size(), 0, kMaxArtifactBytes)};
}

}  // namespace tessera::proto
