#include "compiler/library/model.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/status.h"
#include "compiler/graph/operators.h"
#include "compiler/graph/text.h"
#include "compiler/runtime/ops.h"
#include "compiler/te/c_names.h"

namespace tessera::library {

static_assert(graph::kMaxKernelTensors <= TESSERA_OP_MAX_BUFFERS);

namespace {

double Volume(const Extents& extents) {
  double volume = 1;
  for (const auto& [name, extent] : extents) volume *= static_cast<double>(extent);
  return volume;
}

// Puts the constants of plans together.
class ConstantPool {
 public:
  explicit ConstantPool(std::string& bytes) : bytes_(bytes) {}

  // Where it lies.
  int64_t Add(const graph::TensorRef& constant) {
    const auto [found, is_new] = places_.try_emplace(constant.get(), 0);
    if (is_new) {
      bytes_.resize((bytes_.size() + 63) / 64 * 64);
      found->second = static_cast<int64_t>(bytes_.size());
      bytes_.append(reinterpret_cast<const char*>(constant->bytes.data()), constant->bytes.size());
    }
    return found->second;
  }

 private:
  std::string& bytes_;
  absl::flat_hash_map<const graph::Tensor*, int64_t> places_;
};

LibraryModel::Bucket BucketOf(const PlannedBucket& planned, ConstantPool& constants) {
  const graph::Plan& plan = *planned.plan;
  const graph::Graph& graph = plan.graph;
  LibraryModel::Bucket bucket{.extents = planned.extents,
                              .graph_digest = Sha256Hex(graph::Print(graph))};
  for (const int input : graph.Inputs()) {
    bucket.inputs.push_back({graph.nodes[input].name, graph.nodes[input].type});
  }
  for (const int output : graph.outputs) {
    bucket.outputs.push_back({graph.nodes[output].name, graph.nodes[output].type});
  }
  bucket.arena_bytes = plan.arena_bytes;
  const auto place_of = [&](int node) {
    const graph::Place place = plan.places[node];
    switch (place.kind) {
      case graph::Place::Kind::kInput:
        return ModelPlace{ModelPlace::Kind::kCaller, place.at};
      case graph::Place::Kind::kOutput:
        return ModelPlace{ModelPlace::Kind::kCaller,
                          static_cast<int64_t>(bucket.inputs.size()) + place.at};
      case graph::Place::Kind::kArena:
        return ModelPlace{ModelPlace::Kind::kArena, place.at};
      case graph::Place::Kind::kConstant:
        return ModelPlace{ModelPlace::Kind::kConstant,
                          constants.Add(graph.nodes[static_cast<size_t>(place.at)].constant)};
      case graph::Place::Kind::kNowhere:
        break;
    }
    TESSERA_CHECK(false && "a step uses what has no place");
    return ModelPlace{};
  };
  for (const graph::Step& step : plan.steps) {
    LibraryModel::Step made{.op = planned.ops[static_cast<size_t>(step.task)]};
    for (const int operand : step.operands) made.inputs.push_back(place_of(operand));
    made.output = place_of(step.result);
    bucket.steps.push_back(std::move(made));
  }
  return bucket;
}

}  // namespace

std::string BucketName(const LibraryModel& model, const LibraryModel::Bucket& bucket) {
  std::string text = model.name;
  if (model.buckets.size() == 1) return text;
  for (const auto& [name, extent] : bucket.extents) absl::StrAppend(&text, "_", name, "_", extent);
  return text;
}

LibraryModel ModelOf(std::vector<PlannedBucket> buckets, std::string name) {
  std::ranges::sort(buckets, [](const PlannedBucket& a, const PlannedBucket& b) {
    const double volume_a = Volume(a.extents), volume_b = Volume(b.extents);
    return volume_a != volume_b ? volume_a < volume_b : a.extents < b.extents;
  });
  LibraryModel model{.name = std::move(name)};
  ConstantPool constants(model.constants);
  for (const PlannedBucket& bucket : buckets) {
    model.buckets.push_back(BucketOf(bucket, constants));
  }
  return model;
}

LibraryModel ModelOf(const graph::Plan& plan, std::string name) {
  PlannedBucket bucket{.plan = &plan};
  for (size_t task = 0; task < plan.tasks.size(); ++task) {
    bucket.ops.push_back(static_cast<int>(task));
  }
  return ModelOf({std::move(bucket)}, std::move(name));
}

namespace {

// That buckets can be told apart and take the same arguments.
absl::Status CheckBuckets(const LibraryModel& model) {
  const auto refuse = [&](const LibraryModel::Bucket& bucket, const std::string& what) {
    return absl::InvalidArgumentError(
        absl::StrCat("model ", model.name, ": bucket ", BucketName(model, bucket), " ", what));
  };
  if (model.buckets.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("model ", model.name, " has no buckets"));
  }
  const auto are_alike = [](absl::Span<const ModelTensor> a, absl::Span<const ModelTensor> b) {
    return std::ranges::equal(a, b, [](const ModelTensor& one, const ModelTensor& other) {
      return one.name == other.name && one.type.element == other.type.element;
    });
  };
  const LibraryModel::Bucket& first = model.buckets[0];
  std::set<std::string> names;
  for (const LibraryModel::Bucket& bucket : model.buckets) {
    if (model.buckets.size() > 1 && bucket.extents.empty()) return refuse(bucket, "has no extents");
    if (!std::ranges::equal(bucket.extents, first.extents, {}, &Extents::value_type::first,
                            &Extents::value_type::first)) {
      return refuse(bucket, "has other dimensions than the first");
    }
    for (const auto& [name, extent] : bucket.extents) {
      if (!te::IsCIdentifier(name)) return refuse(bucket, "has a dimension that C can't name");
      if (extent < 1) return refuse(bucket, "has an extent below 1");
    }
    if (!names.insert(BucketName(model, bucket)).second) return refuse(bucket, "is there twice");
    if (!are_alike(bucket.inputs, first.inputs) || !are_alike(bucket.outputs, first.outputs)) {
      return refuse(bucket, "has other inputs or outputs than the first");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckBucket(const LibraryModel& model, const LibraryModel::Bucket& bucket,
                         absl::Span<const te::Workload* const> ops) {
  const std::string name = BucketName(model, bucket);
  std::vector<ModelTensor> callers = bucket.inputs;
  callers.insert(callers.end(), bucket.outputs.begin(), bucket.outputs.end());
  if (bucket.outputs.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("model ", name, " has no output"));
  }
  // What a place has from its beginning on.
  const auto room = [&](const ModelPlace& place) {
    switch (place.kind) {
      case ModelPlace::Kind::kCaller: {
        const bool is_there = place.at >= 0 && place.at < static_cast<int64_t>(callers.size());
        return is_there ? callers[static_cast<size_t>(place.at)].type.StoredBytes() : 0;
      }
      case ModelPlace::Kind::kArena:
        return place.at < 0 ? 0 : bucket.arena_bytes - place.at;
      case ModelPlace::Kind::kConstant:
        break;
    }
    return place.at < 0 ? 0 : static_cast<int64_t>(model.constants.size()) - place.at;
  };
  for (size_t s = 0; s < bucket.steps.size(); ++s) {
    const LibraryModel::Step& step = bucket.steps[s];
    const auto refuse = [&](const std::string& what) {
      return absl::InvalidArgumentError(absl::StrCat("model ", name, ": step ", s, " ", what));
    };
    if (step.op < 0 || step.op >= static_cast<int>(ops.size())) {
      return refuse(absl::StrCat("runs operator ", step.op, " of ", ops.size()));
    }
    const te::Dag& dag = ops[static_cast<size_t>(step.op)]->dag;
    if (step.inputs.size() != dag.inputs.size() || dag.outputs.size() != 1) {
      return refuse(absl::StrCat("has ", step.inputs.size(),
                                 " inputs and one output; its operator ", dag.inputs.size(),
                                 " and ", dag.outputs.size()));
    }
    for (size_t i = 0; i <= step.inputs.size(); ++i) {
      const bool is_output = i == step.inputs.size();
      const ModelPlace& place = is_output ? step.output : step.inputs[i];
      const ir::BufferNode& buffer = is_output ? *dag.outputs[0] : *dag.inputs[i].buffer;
      const bool is_constant = !is_output && dag.inputs[i].is_constant;
      const int64_t alignment =
          place.kind == ModelPlace::Kind::kCaller ? 1 : graph::kPlaceAlignment;
      if (is_constant != (place.kind == ModelPlace::Kind::kConstant)) {
        return refuse(absl::StrCat(buffer.name, is_constant ? " is a constant" : " is none",
                                   " of its operator, but not of the model"));
      }
      if (!is_constant && buffer.policy != ir::LayoutPolicy::kFixed) {
        return refuse(absl::StrCat("leaves open how ", buffer.name, " is stored"));
      }
      // Constants are row-major until they are packed.
      const int64_t bytes =
          is_constant ? (buffer.ElementCount() * buffer.type.bits + 7) / 8 : buffer.StoredBytes();
      if (room(place) < bytes || place.at % alignment != 0) {
        return refuse(absl::StrCat("uses ", bytes, " bytes for ", buffer.name, " at place ",
                                   place.at, ", where there are ",
                                   std::max<int64_t>(0, room(place)), ", aligned to ", alignment));
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckModel(const LibraryModel& model, absl::Span<const te::Workload* const> ops) {
  TESSERA_RETURN_IF_ERROR(CheckBuckets(model));
  if (static_cast<int64_t>(model.constants.size()) > kMaxConstantBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("model ", model.name, ": ", model.constants.size(),
                     " bytes of constants are over the limit of ", kMaxConstantBytes,
                     ", which a library holds; store them in a smaller type"));
  }
  for (const LibraryModel::Bucket& bucket : model.buckets) {
    TESSERA_RETURN_IF_ERROR(CheckBucket(model, bucket, ops));
  }
  return absl::OkStatus();
}

}  // namespace tessera::library
