#include "compiler/ir/convolution_call.h"

#include <algorithm>
#include <array>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/third_party.h"
#include "base/view.h"

namespace tessera::ir {
namespace {

constexpr std::string_view kSuffix = "_conv";
constexpr size_t kNumbers = 14;
constexpr int64_t kMostAlong = int64_t{1} << 24;  // no product of three overflows

// Null where no library's convolutions are called `name`.
const ThirdParty* ProviderOf(std::string_view name) {
  if (!name.ends_with(kSuffix)) return nullptr;
  const ThirdParty* provider = ThirdPartyNamed(name.substr(0, name.size() - kSuffix.size()));
  return provider != nullptr && provider->name == "onednn" ? provider : nullptr;
}

// Of blocks of `block` that are `places` each.
int64_t At(int64_t channel, int64_t place, int64_t places, int64_t block) {
  return (channel / block * places + place) * block + channel % block;
}

bool Fits(const ConvolutionCall& call) {
  const bool is_rows = call.form == ChannelForm::kRows;
  if (is_rows ? call.block != 1 : call.block != 8 && call.block != 16) return false;
  const bool blocks_data = call.form == ChannelForm::kBlocked || call.form == ChannelForm::kChannel;
  if (blocks_data && call.channels % call.block != 0) return false;
  if (call.filters % call.block != 0) return false;
  if (call.form == ChannelForm::kChannel && call.channels != call.filters) return false;
  const int64_t extents[] = {call.height, call.width},
                results[] = {call.result_height, call.result_width};
  for (int d = 0; d < 2; ++d) {
    const int64_t span = (call.kernel[d] - 1) * call.dilation[d] + 1;
    if (span > extents[d] || (extents[d] - span) / call.stride[d] + 1 != results[d]) return false;
  }
  return true;
}

}  // namespace

int64_t ConvolutionCall::DataAt(int64_t channel, int64_t y, int64_t x) const {
  const bool in_rows = form == ChannelForm::kRows || form == ChannelForm::kFirst;
  return At(channel, y * width + x, height * width, in_rows ? 1 : block);
}

int64_t ConvolutionCall::WeightAt(int64_t filter, int64_t channel, int64_t i, int64_t j) const {
  const int64_t tap = i * kernel[1] + j, taps = kernel[0] * kernel[1];
  if (form == ChannelForm::kChannel) return At(filter, tap, taps, block);
  const int64_t place =
      form == ChannelForm::kFirst ? tap * channels + channel : At(channel, tap, taps, block);
  return At(filter, place, channels * taps, block);
}

int64_t ConvolutionCall::ResultAt(int64_t filter, int64_t y, int64_t x) const {
  return At(filter, y * result_width + x, result_height * result_width, block);
}

Expr MakeConvolutionCall(const ConvolutionCall& call) {
  std::vector<Expr> arguments = {call.data, call.weights, call.result};
  for (const int64_t number :
       {static_cast<int64_t>(call.form), call.block, call.channels, call.height, call.width,
        call.filters, call.result_height, call.result_width, call.kernel[0], call.kernel[1],
        call.stride[0], call.stride[1], call.dilation[0], call.dilation[1]}) {
    arguments.emplace_back(number);
  }
  return MakeCall(call.result.type(), absl::StrCat(AbslView(call.provider), AbslView(kSuffix)),
                  std::move(arguments));
}

bool IsConvolutionCallName(std::string_view name) { return ProviderOf(name) != nullptr; }

std::optional<ConvolutionCall> AsConvolutionCall(const Expr& e) {
  const auto* call = e.As<Call>();
  if (call == nullptr || call->args.size() != 3 + kNumbers) return std::nullopt;
  const ThirdParty* provider = ProviderOf(call->name);
  if (provider == nullptr) return std::nullopt;
  std::array<int64_t, kNumbers> n;
  for (size_t i = 0; i < kNumbers; ++i) {
    const int64_t* number = AsConstInt(call->args[3 + i]);
    if (number == nullptr || *number < (i == 0 ? 0 : 1) || *number > kMostAlong) {
      return std::nullopt;
    }
    n[i] = *number;
  }
  for (size_t i = 0; i < 3; ++i) {
    const auto* load = call->args[i].As<Load>();
    if (load == nullptr || load->type != Float(32)) return std::nullopt;
  }
  if (n[0] > static_cast<int64_t>(ChannelForm::kChannel)) return std::nullopt;
  const ConvolutionCall made = {provider->name, static_cast<ChannelForm>(n[0]),
                                n[1],           n[2],
                                n[3],           n[4],
                                n[5],           n[6],
                                n[7],           {n[8], n[9]},
                                {n[10], n[11]}, {n[12], n[13]},
                                call->args[0],  call->args[1],
                                call->args[2]};
  if (!Fits(made)) return std::nullopt;
  return made;
}

}  // namespace tessera::ir
