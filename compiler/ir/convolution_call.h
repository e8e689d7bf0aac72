#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "compiler/ir/expr.h"

// A convolution that a library computes: a Call for its effect, which stores. Its name is the
// library's (base/third_party.h) with "_conv" behind.

namespace tessera::ir {

// How channels are stored, of blocks of b: those of the data, weights and result.
//   kRows     c y x         f c i j               f y x
//   kBlocked  c/b y x c%b   f/b c/b i j c%b f%b   f/b y x f%b
//   kFirst    c y x         f/b i j c f%b         f/b y x f%b
//   kChannel  c/b y x c%b   c/b i j c%b           c/b y x c%b, with one filter for each channel
enum class ChannelForm : uint8_t { kRows = 0, kBlocked = 1, kFirst = 2, kChannel = 3 };

// R[f, y, x] = Σ_c,i,j D[c, y · stride + i · dilation, x · stride + j · dilation] · W[f, c, i, j]
// of one image, in f32; nothing of R is read. Each tensor is given by its first element and lies
// without gaps. [0] of pairs is of rows.
struct ConvolutionCall {
  std::string_view provider;  // of ThirdParties()
  ChannelForm form;
  int64_t block;  // 1, 8 or 16; 1 of kRows alone
  int64_t channels, height, width;
  int64_t filters, result_height, result_width;
  int64_t kernel[2], stride[2], dilation[2];
  Expr data, weights, result;  // loads of the first elements

  int64_t DataElements() const { return channels * height * width; }
  int64_t WeightElements() const {
    return filters * (form == ChannelForm::kChannel ? 1 : channels) * kernel[0] * kernel[1];
  }
  int64_t ResultElements() const { return filters * result_height * result_width; }
  // Where elements lie, from the first.
  int64_t DataAt(int64_t channel, int64_t y, int64_t x) const;
  int64_t WeightAt(int64_t filter, int64_t channel, int64_t i, int64_t j) const;
  int64_t ResultAt(int64_t filter, int64_t y, int64_t x) const;
};

Expr MakeConvolutionCall(const ConvolutionCall& call);
// Nothing where `e` is none, or its numbers don't fit together.
std::optional<ConvolutionCall> AsConvolutionCall(const Expr& e);
// Whether `name` is of such calls, whatever their arguments.
bool IsConvolutionCallName(std::string_view name);

}  // namespace tessera::ir
