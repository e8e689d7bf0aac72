#include "compiler/codegen/gpu/opencl.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "compiler/codegen/gpu/c_expr.h"
#include "compiler/codegen/gpu/kernels.h"
#include "compiler/codegen/gpu/read_paths.h"
#include "compiler/ir/convolution_call.h"
#include "compiler/ir/matrix_call.h"
#include "compiler/ir/visitor.h"
#include "compiler/te/c_names.h"

namespace tessera::codegen::gpu {
namespace {

// Elements of a thread's buffer that become variables of their own.
constexpr int64_t kMaxScalars = 512;

constexpr char kPrelude[] =
    "#define FLOOR_DIV(a, b) ((a) / (b) - ((a) % (b) != 0 && ((a) % (b) < 0) != ((b) < 0)))\n"
    "#define FLOOR_MOD(a, b) ((a) - FLOOR_DIV(a, b) * (b))\n";

// What stands before kernels that use it.
struct Helper {
  const char *name, *text;
};
constexpr Helper kHelpers[] = {
    {"to_bf16(",
     "ushort to_bf16(float x) {\n"
     "  const uint bits = as_uint(x);\n"
     "  if (isnan(x)) return (ushort)(bits >> 16 | 64);\n"
     "  return (ushort)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);\n"
     "}\n"},
    // Compilers that don't know the attribute warn of it.
    {"max_constant_size(",
     "#ifdef __has_attribute\n"
     "#if !__has_attribute(max_constant_size)\n"
     "#define max_constant_size(bytes)\n"
     "#endif\n"
     "#endif\n"},
    // An element of an image whose place in its texel the kernel's text does not tell.
    {"texel_float(",
     "float texel_float(__read_only image1d_buffer_t image, int first, int at) {\n"
     "  const float4 texel = read_imagef(image, first + (at >> 2));\n"
     "  const float2 pair = (at & 2) != 0 ? texel.zw : texel.xy;\n"
     "  return (at & 1) != 0 ? pair.y : pair.x;\n"
     "}\n"},
    {"texel_half(",
     "half texel_half(__read_only image1d_buffer_t image, int first, int at) {\n"
     "  const half4 texel = read_imageh(image, first + (at >> 2));\n"
     "  const half2 pair = (at & 2) != 0 ? texel.zw : texel.xy;\n"
     "  return (at & 1) != 0 ? pair.y : pair.x;\n"
     "}\n"},
};

// Whether all uses of `buffer` name constant elements, as they do once its loops are unrolled.
bool HasConstantIndices(const ir::Stmt& s, const ir::BufferNode& buffer) {
  bool constant = true;
  const auto check = [&](const ir::Buffer& used, const ir::Expr& index) {
    if (used.get() != &buffer) return;
    const auto* ramp = index.As<ir::Ramp>();
    constant &= ir::AsConstInt(ramp != nullptr ? ramp->base : index) != nullptr;
  };
  ir::ForEach<ir::Load>(s, [&](const ir::Load& n) { check(n.buffer, n.indices[0]); });
  ir::ForEach<ir::Store>(s, [&](const ir::Store& n) { check(n.buffer, n.indices[0]); });
  return constant;
}

// One kernel's text.
class KernelWriter {
 public:
  KernelWriter(const ir::Program& program, const Kernels& kernels, bool has_half)
      : program_(program), kernels_(kernels), exprs_(has_half) {}

  absl::StatusOr<std::string> Write(const KernelNest& nest) {
    std::vector<std::string> parameters;
    for (const int index : nest.params) {
      parameters.push_back(Parameter(nest, *program_.params[index]));
    }
    if (nest.uses_workspace) parameters.push_back("__global uchar* restrict workspace");
    int64_t threads[3];
    for (size_t i = 0; i < 3; ++i) threads[i] = nest.threads[i].extent;
    absl::StrAppend(&text_, "__kernel __attribute__((reqd_work_group_size(", threads[0], ", ",
                    threads[1], ", ", threads[2], ")))\nvoid ", nest.name, "(",
                    absl::StrJoin(parameters, ", "), ") {\n");
    indent_ = 1;
    BindWorkspace(nest);
    for (const auto& [buffer, offset] : nest.shared) {
      const std::string name = Name(buffer->name);
      exprs_.Bind(buffer.get(), {name, "__local"});
      Line(absl::StrCat("__local ", TypeOf(*buffer), " ", name, "[", buffer->StoredElementCount(),
                        "] __attribute__((aligned(16)));"));
    }
    for (size_t i = 0; i < 3; ++i) {
      BindAxis(nest.blocks[i], "get_group_id", i);
      BindAxis(nest.threads[i], "get_local_id", i);
    }
    Write(nest.body);
    text_ += "}\n";
    TESSERA_RETURN_IF_ERROR(exprs_.status());
    TESSERA_RETURN_IF_ERROR(status_);
    return std::move(text_);
  }

 private:
  void Line(std::string_view line) {
    text_.append(static_cast<size_t>(indent_) * 2, ' ');
    absl::StrAppend(&text_, absl::string_view(line.data(), line.size()), "\n");
  }

  // A name of its own for what is called `wanted`.
  std::string Name(const std::string& wanted) {
    const std::string name = te::ToCIdentifier(wanted, "unnamed");
    // No keyword or function of OpenCL ends so.
    const int count = ++names_[name];
    return absl::StrCat(name, "_", count);
  }

  std::string TypeOf(const ir::BufferNode& buffer) {
    std::string name = exprs_.ElementName(buffer.type);
    if (name.empty() || (buffer.type.is_bool() && buffer.scope == ir::Scope::kGlobal)) {
      status_.Update(absl::UnimplementedError(
          absl::StrCat("code generation: buffer ", buffer.name, " is of type ",
                       ir::ToString(buffer.type), ", which OpenCL C can't store")));
    }
    return name;
  }

  // A parameter's declaration.
  std::string Parameter(const KernelNest& nest, const ir::BufferNode& buffer) {
    const std::string name = Name(buffer.name), type = TypeOf(buffer);
    switch (buffer.read_path) {
      case ir::ReadPath::kImage:
        exprs_.Bind(&buffer, {name, ""});
        return absl::StrCat("__read_only image1d_buffer_t ", name, ", const int ", name, "_first");
      case ir::ReadPath::kConstant:
        exprs_.Bind(&buffer, {name, "__constant"});
        // Drivers that place constants on the chip want to know how much of them there can be.
        return absl::StrCat("__constant ", type, "* restrict ", name,
                            " __attribute__((max_constant_size(", buffer.StoredBytes(), ")))");
      case ir::ReadPath::kPlain:
        break;
    }
    exprs_.Bind(&buffer, {name, "__global"});
    bool is_written = false;
    ir::ForEach<ir::Store>(nest.body,
                           [&](const ir::Store& s) { is_written |= s.buffer.get() == &buffer; });
    return absl::StrCat("__global ", is_written ? "" : "const ", type, "* restrict ", name);
  }

  void BindWorkspace(const KernelNest& nest) {
    std::vector<std::pair<int64_t, const ir::BufferNode*>> used;
    std::set<const ir::BufferNode*> met;
    const auto add = [&](const ir::Buffer& buffer) {
      const auto place = kernels_.workspace.find(buffer.get());
      if (place != kernels_.workspace.end() && met.insert(buffer.get()).second) {
        used.emplace_back(place->second, buffer.get());
      }
    };
    ir::ForEach<ir::Load>(nest.body, [&](const ir::Load& n) { add(n.buffer); });
    ir::ForEach<ir::Store>(nest.body, [&](const ir::Store& n) { add(n.buffer); });
    std::ranges::sort(used, {}, &std::pair<int64_t, const ir::BufferNode*>::first);
    for (const auto& [offset, buffer] : used) {
      const std::string name = Name(buffer->name), type = TypeOf(*buffer);
      exprs_.Bind(buffer, {name, "__global"});
      Line(absl::StrCat("__global ", type, "* ", name, " = (__global ", type, "*)(workspace + ",
                        offset, ");"));
    }
  }

  void BindAxis(const ThreadLoop& loop, const char* function, size_t axis) {
    if (loop.var == nullptr) return;
    const std::string name = Name(loop.var->name);
    Line(absl::StrCat("const int ", name, " = (int)", function, "(", axis, ")",
                      loop.min == 0 ? "" : absl::StrCat(" + ", loop.min), ";"));
    exprs_.Bind(loop.var, name, {loop.min, loop.min + loop.extent - 1});
  }

  void Write(const ir::Stmt& s) {
    if (!s) return;
    switch (s->kind) {
      case ir::StmtKind::kFor:
        return WriteFor(*s.As<ir::For>());
      case ir::StmtKind::kBlock:
        for (const ir::Stmt& part : s.As<ir::Block>()->stmts) Write(part);
        return;
      case ir::StmtKind::kStore:
        return WriteStore(*s.As<ir::Store>());
      case ir::StmtKind::kIf:
        return WriteIf(*s.As<ir::If>());
      case ir::StmtKind::kAllocate:
        return WriteAllocate(*s.As<ir::Allocate>());
      case ir::StmtKind::kBarrier:
        return Line("barrier(CLK_LOCAL_MEM_FENCE);");
      case ir::StmtKind::kEvaluate:
        return WriteEvaluate(*s.As<ir::Evaluate>());
      case ir::StmtKind::kAsyncCopy:
      case ir::StmtKind::kAsyncWait:
        status_.Update(absl::UnimplementedError(
            "code generation: OpenCL C has no asynchronous copy of threads"));
    }
  }

  // Prefetches are nothing here.
  void WriteEvaluate(const ir::Evaluate& node) {
    if (!ir::AsMatrixCall(node.value) && !ir::AsConvolutionCall(node.value)) return;
    status_.Update(absl::InvalidArgumentError(
        "code generation: a GPU calls no library; leave the external step out"));
  }

  void WriteFor(const ir::For& loop) {
    const std::string name = Name(loop.var->name);
    exprs_.Bind(loop.var, name, {loop.min, loop.min + loop.extent - 1});
    Line(absl::StrCat("for (int ", name, " = ", loop.min, "; ", name, " < ", loop.min + loop.extent,
                      "; ++", name, ") {"));
    ++indent_;
    Write(loop.body);
    --indent_;
    Line("}");
  }

  void WriteIf(const ir::If& node) {
    Line(absl::StrCat("if (", exprs_.Condition(node.condition, 0), ") {"));
    ++indent_;
    Write(node.then_body);
    --indent_;
    if (node.else_body) {
      Line("} else {");
      ++indent_;
      Write(node.else_body);
      --indent_;
    }
    Line("}");
  }

  void WriteAllocate(const ir::Allocate& node) {
    const ir::BufferNode& buffer = *node.buffer;
    if (buffer.scope == ir::Scope::kShared) return Write(node.body);  // declared in front
    const std::string name = Name(buffer.name);
    const int64_t count = buffer.StoredElementCount();
    TypeOf(buffer);
    const std::string type = exprs_.ValueName(buffer.type);
    const bool is_scalars = count <= kMaxScalars && HasConstantIndices(node.body, buffer);
    exprs_.Bind(&buffer, {name, "__private", is_scalars});
    Line("{");
    ++indent_;
    if (is_scalars) {
      for (int64_t i = 0; i < count; ++i) Line(absl::StrCat(type, " ", name, "e", i, ";"));
    } else {
      Line(absl::StrCat(type, " ", name, "[", count, "];"));
    }
    Write(node.body);
    --indent_;
    Line("}");
  }

  // A vector that is loaded whole, to be stored whole: the copies by which blocks fill what they
  // share.
  bool WriteCopy(const ir::Store& store) {
    const auto* load = store.value.As<ir::Load>();
    const int lanes = store.value.type().lanes;
    if (load == nullptr || store.predicate ||
        !exprs_.IsContiguous(store.buffer, store.indices[0])) {
      return false;
    }
    const std::string loaded = exprs_.Vector(*load);
    if (loaded.empty()) return false;
    Line(absl::StrCat("vstore", lanes, "(", loaded, ", 0, ", exprs_.StorageOf(*store.buffer).name,
                      " + ", exprs_.Index(store.indices[0], 0), ");"));
    return true;
  }

  // Loads whole vectors that a store's value is computed from. Under a condition they may not be
  // there.
  void HoldVectors(const ir::Store& store) {
    bool is_sure = !store.predicate;
    ir::ForEach<ir::Select>(store.value, [&](const ir::Select&) { is_sure = false; });
    if (!is_sure) return;
    const int lanes = store.indices[0].type().lanes;
    int count = 0;
    ir::ForEach<ir::Load>(store.value, [&](const ir::Load& load) {
      if (load.indices[0].type().lanes != lanes) return;
      const std::string loaded = exprs_.Vector(load);
      if (loaded.empty()) return;
      const std::string name = absl::StrCat("vector", count++);
      Line(absl::StrCat("const ", exprs_.ValueName(load.buffer->type), lanes, " ", name, " = ",
                        loaded, ";"));
      exprs_.Hold(load, name);
    });
  }

  void WriteStore(const ir::Store& store) {
    const int lanes = store.indices[0].type().lanes;
    if (lanes == 1) {
      const std::string assign =
          exprs_.Assign(store.buffer, store.indices[0], 0, exprs_.Lane(store.value, 0));
      if (!store.predicate) return Line(assign);
      return Line(absl::StrCat("if (", exprs_.Condition(store.predicate, 0), ") ", assign));
    }
    if (WriteCopy(store)) return;
    // Every lane is computed before any is written.
    Line("{");
    ++indent_;
    const std::string type = exprs_.ValueName(store.buffer->type);
    HoldVectors(store);
    for (int lane = 0; lane < lanes; ++lane) {
      const std::string value = exprs_.Lane(store.value, lane);
      // What a lane that does not count would read may not be there.
      const bool guarded = store.predicate && ir::ReadsMemory(store.value);
      Line(absl::StrCat("const ", type, " lane", lane, " = ",
                        guarded ? absl::StrCat(exprs_.Condition(store.predicate, lane), " ? ",
                                               value, " : (", type, ")0")
                                : value,
                        ";"));
    }
    exprs_.Release();
    if (!store.predicate && exprs_.IsContiguous(store.buffer, store.indices[0])) {
      std::vector<std::string> parts;
      for (int lane = 0; lane < lanes; ++lane) parts.push_back(absl::StrCat("lane", lane));
      Line(absl::StrCat("vstore", lanes, "((", type, lanes, ")(", absl::StrJoin(parts, ", "),
                        "), 0, ", exprs_.StorageOf(*store.buffer).name, " + ",
                        exprs_.Index(store.indices[0], 0), ");"));
    } else {
      for (int lane = 0; lane < lanes; ++lane) {
        const std::string assign =
            exprs_.Assign(store.buffer, store.indices[0], lane, absl::StrCat("lane", lane));
        Line(store.predicate
                 ? absl::StrCat("if (", exprs_.Condition(store.predicate, lane), ") ", assign)
                 : assign);
      }
    }
    --indent_;
    Line("}");
  }

  const ir::Program& program_;
  const Kernels& kernels_;
  ExprWriter exprs_;
  absl::flat_hash_map<std::string, int> names_;
  std::string text_;
  int indent_ = 0;
  absl::Status status_;
};

}  // namespace

absl::StatusOr<DeviceCode> GenerateOpenCl(absl::Span<const ir::Program> programs,
                                          const ir::Target& target) {
  DeviceCode code;
  const bool has_half = target.Has("fp16");
  if (has_half) code.source = "#pragma OPENCL EXTENSION cl_khr_fp16 : enable\n";
  code.source += kPrelude;
  std::string functions;
  for (const ir::Program& program : programs) {
    TESSERA_ASSIGN_OR_RETURN(const Kernels kernels, SplitKernels(program, target));
    code.workspace_bytes = std::max(code.workspace_bytes, kernels.workspace_bytes);
    std::vector<Launch>& launches = code.launches.emplace_back();
    for (const KernelNest& nest : kernels.nests) {
      TESSERA_RETURN_IF_ERROR(CheckReadPaths(program, nest, target));
      TESSERA_ASSIGN_OR_RETURN(const std::string text,
                               KernelWriter(program, kernels, has_half).Write(nest));
      absl::StrAppend(&functions, "\n", text);
      Launch& launch = launches.emplace_back(LaunchOf(nest));
      for (size_t i = 0; i < nest.params.size(); ++i) {
        launch.arguments[i].kind = KindOf(*program.params[nest.params[i]]);
      }
    }
  }
  for (const Helper& helper : kHelpers) {
    if (functions.find(helper.name) != std::string::npos) code.source += helper.text;
  }
  code.source += functions;
  return code;
}

}  // namespace tessera::codegen::gpu
