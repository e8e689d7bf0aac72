#include "tests/compiler/te/plain_loops.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/status.h"

namespace tessera::te {
namespace {

std::string Text(const OpSpec& spec, const std::string& name, const std::string& fallback) {
  const auto found = spec.attributes.find(name);
  return found == spec.attributes.end() ? fallback : found->second;
}
int64_t Int(const OpSpec& spec, const std::string& name, int64_t fallback) {
  return std::stoll(Text(spec, name, std::to_string(fallback)));
}
bool Flag(const OpSpec& spec, const std::string& name) {
  return Text(spec, name, "false") == "true";
}

// bias, scale, shift, residual, ReLU and rounding to i8 on [outer, channels, inner], from
// inputs[next...].
void Epilogue(const OpSpec& spec, const std::vector<Tensor>& inputs, size_t next, int64_t channels,
              int64_t inner, PlainResult& result) {
  Tensor& y = result.outputs[0];
  const auto size = static_cast<int64_t>(y.size());
  if (Flag(spec, "bias")) {
    for (int64_t i = 0; i < size; ++i) y[i] += inputs[next][i / inner % channels];
    ++next;
    result.operations += size;
  }
  const bool requantize = Flag(spec, "requantize");
  if (requantize) {
    for (int64_t i = 0; i < size; ++i) y[i] *= inputs[next][i / inner % channels];
    ++next;
    result.operations += size;
  }
  const int64_t shift = Int(spec, "shift", 0);
  for (double& value : y)
    value = shift > 0 ? std::floor(std::ldexp(value, -static_cast<int>(shift))) : value;
  if (Flag(spec, "add")) {
    for (int64_t i = 0; i < size; ++i) y[i] += inputs[next][i];
    result.operations += size;
  }
  if (Flag(spec, "relu")) {
    for (double& value : y) value = std::max(value, 0.0);
    result.operations += size;
  }
  if (requantize || shift > 0) {
    for (double& value : y) value = std::clamp(std::nearbyint(value), -128.0, 127.0);
  }
}

PlainResult Matmul(const OpSpec& spec, const std::vector<Tensor>& in) {
  const bool transposed = spec.op == "dense" || Flag(spec, "transpose_b");
  const int64_t batch = Int(spec, "batch", 1), m = Int(spec, "m", 1), n = Int(spec, "n", 1),
                k = Int(spec, "k", 1);
  PlainResult result;
  Tensor y;
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        double sum = 0;
        for (int64_t l = 0; l < k; ++l) {
          const int64_t right = transposed ? (b * n + j) * k + l : (b * k + l) * n + j;
          sum += in[0][(b * m + i) * k + l] * in[1][right];
        }
        y.push_back(sum);
      }
    }
  }
  result.operations = 2 * batch * m * n * k;
  result.outputs = {std::move(y)};
  Epilogue(spec, in, 2, n, 1, result);
  return result;
}

// Convolutions of every rank as three-dimensional ones.
PlainResult Convolution(const OpSpec& spec, const std::vector<Tensor>& in) {
  const bool depthwise = spec.op == "depthwise_conv2d";
  const int rank = spec.op == "conv1d" ? 1 : spec.op == "conv3d" ? 3 : 2;
  const int64_t n = Int(spec, "n", 1), stride = Int(spec, "stride", 1), pad = Int(spec, "pad", 0),
                dilation = Int(spec, "dilation", 1), size = Int(spec, "size", 0),
                kernel = Int(spec, "k", 0);
  const int64_t ic = depthwise ? Int(spec, "c", 0) : Int(spec, "ic", 0);
  const int64_t oc = depthwise ? ic * Int(spec, "multiplier", 1) : Int(spec, "oc", 0);
  const int64_t groups = depthwise ? ic : Int(spec, "groups", 1);
  const int64_t icg = ic / groups, ocg = oc / groups;
  int64_t x[3] = {1, 1, 1}, f[3] = {1, 1, 1}, y[3] = {1, 1, 1}, s[3] = {1, 1, 1}, p[3] = {0, 0, 0},
          d[3] = {1, 1, 1};
  const std::string letters = "dhw";
  for (int i = 3 - rank; i < 3; ++i) {
    x[i] = Int(spec, std::string(1, letters[i]), size);
    f[i] = Int(spec, std::string("k") + letters[i], kernel);
    s[i] = stride, p[i] = pad, d[i] = dilation;
    y[i] = (x[i] + 2 * pad - dilation * (f[i] - 1) - 1) / stride + 1;
  }
  PlainResult result;
  Tensor out;
  for (int64_t b = 0; b < n; ++b)
    for (int64_t o = 0; o < oc; ++o)
      for (int64_t oz = 0; oz < y[0]; ++oz)
        for (int64_t oy = 0; oy < y[1]; ++oy)
          for (int64_t ox = 0; ox < y[2]; ++ox) {
            double sum = 0;
            for (int64_t c = 0; c < icg; ++c)
              for (int64_t kz = 0; kz < f[0]; ++kz)
                for (int64_t ky = 0; ky < f[1]; ++ky)
                  for (int64_t kx = 0; kx < f[2]; ++kx) {
                    const int64_t z = oz * s[0] - p[0] + kz * d[0];
                    const int64_t h = oy * s[1] - p[1] + ky * d[1];
                    const int64_t w = ox * s[2] - p[2] + kx * d[2];
                    if (z < 0 || z >= x[0] || h < 0 || h >= x[1] || w < 0 || w >= x[2]) continue;
                    const int64_t channel = o / ocg * icg + c;
                    sum += in[0][(((b * ic + channel) * x[0] + z) * x[1] + h) * x[2] + w] *
                           in[1][(((o * icg + c) * f[0] + kz) * f[1] + ky) * f[2] + kx];
                    result.operations += 2;
                  }
            out.push_back(sum);
          }
  result.outputs = {std::move(out)};
  Epilogue(spec, in, 2, oc, y[0] * y[1] * y[2], result);
  return result;
}

// Scatters: each input element adds to a window of the output.
PlainResult Transposed(const OpSpec& spec, const std::vector<Tensor>& in) {
  const int64_t n = Int(spec, "n", 1), ic = Int(spec, "ic", 0), oc = Int(spec, "oc", 0);
  const int64_t h = Int(spec, "h", Int(spec, "size", 0)), w = Int(spec, "w", Int(spec, "size", 0));
  const int64_t k = Int(spec, "k", 0), stride = Int(spec, "stride", 1), pad = Int(spec, "pad", 0);
  const int64_t oh = (h - 1) * stride - 2 * pad + k, ow = (w - 1) * stride - 2 * pad + k;
  PlainResult result;
  Tensor out(n * oc * oh * ow, 0.0);
  for (int64_t b = 0; b < n; ++b)
    for (int64_t c = 0; c < ic; ++c)
      for (int64_t y = 0; y < h; ++y)
        for (int64_t x = 0; x < w; ++x)
          for (int64_t o = 0; o < oc; ++o)
            for (int64_t ky = 0; ky < k; ++ky)
              for (int64_t kx = 0; kx < k; ++kx) {
                const int64_t ty = y * stride - pad + ky, tx = x * stride - pad + kx;
                if (ty < 0 || ty >= oh || tx < 0 || tx >= ow) continue;
                out[((b * oc + o) * oh + ty) * ow + tx] +=
                    in[0][((b * ic + c) * h + y) * w + x] * in[1][((c * oc + o) * k + ky) * k + kx];
                result.operations += 2;
              }
  result.outputs = {std::move(out)};
  Epilogue(spec, in, 2, oc, oh * ow, result);
  return result;
}

PlainResult Pool(const OpSpec& spec, const std::vector<Tensor>& in) {
  const bool global = spec.op == "global_avg_pool", largest = spec.op == "max_pool2d";
  const int64_t c = Int(spec, "c", 0) * Int(spec, "n", 1), size = Int(spec, "size", 0);
  const int64_t h = Int(spec, "h", size), w = Int(spec, "w", size);
  const int64_t k = global ? size : Int(spec, "k", 0);
  const int64_t stride = Int(spec, "stride", k), pad = Int(spec, "pad", 0);
  const bool include = Text(spec, "count_include_pad", "true") == "true";
  PlainResult result;
  Tensor out;
  for (int64_t b = 0; b < c; ++b)
    for (int64_t oy = 0; oy <= (h + 2 * pad - k) / stride; ++oy)
      for (int64_t ox = 0; ox <= (w + 2 * pad - k) / stride; ++ox) {
        double best = -std::numeric_limits<double>::infinity(), sum = 0;
        int64_t taps = 0;
        for (int64_t ky = 0; ky < k; ++ky)
          for (int64_t kx = 0; kx < k; ++kx) {
            const int64_t y = oy * stride - pad + ky, x = ox * stride - pad + kx;
            if (y < 0 || y >= h || x < 0 || x >= w) continue;
            const double value = in[0][(b * h + y) * w + x];
            best = std::max(best, value);
            sum += value;
            ++taps;
          }
        result.operations += taps + (largest ? 0 : 1);
        out.push_back(largest ? best : sum / static_cast<double>(include ? k * k : taps));
      }
  result.outputs = {std::move(out)};
  return result;
}

// Inputs in logical order: X[n, i, k, c, h, w], W[k, j, c, oc, kh, kw].
PlainResult Capsules(const OpSpec& spec, const std::vector<Tensor>& in) {
  const int64_t n = Int(spec, "n", 1), ic = Int(spec, "ic", 1), oc = Int(spec, "oc", 1),
                p = Int(spec, "capsule", 4), size = Int(spec, "size", 1), k = Int(spec, "k", 1),
                stride = Int(spec, "stride", 1), pad = Int(spec, "pad", 0);
  const int64_t out = (size + 2 * pad - k) / stride + 1;
  PlainResult result;
  Tensor y;
  for (int64_t b = 0; b < n; ++b)
    for (int64_t i = 0; i < p; ++i)
      for (int64_t j = 0; j < p; ++j)
        for (int64_t o = 0; o < oc; ++o)
          for (int64_t oy = 0; oy < out; ++oy)
            for (int64_t ox = 0; ox < out; ++ox) {
              double sum = 0;
              for (int64_t l = 0; l < p; ++l)
                for (int64_t c = 0; c < ic; ++c)
                  for (int64_t ky = 0; ky < k; ++ky)
                    for (int64_t kx = 0; kx < k; ++kx) {
                      const int64_t at_y = oy * stride - pad + ky, at_x = ox * stride - pad + kx;
                      if (at_y < 0 || at_y >= size || at_x < 0 || at_x >= size) continue;
                      sum += in[0][((((b * p + i) * p + l) * ic + c) * size + at_y) * size + at_x] *
                             in[1][((((l * p + j) * ic + c) * oc + o) * k + ky) * k + kx];
                      result.operations += 2;
                    }
              y.push_back(sum);
            }
  result.outputs = {std::move(y)};
  Epilogue(spec, in, 2, oc, out * out, result);
  return result;
}

PlainResult AttentionScores(const OpSpec& spec, const std::vector<Tensor>& in) {
  const int64_t n = Int(spec, "n", 1), seq = Int(spec, "seq", 1), heads = Int(spec, "heads", 1),
                dim = Int(spec, "dim", 1);
  PlainResult result;
  Tensor y;
  for (int64_t b = 0; b < n; ++b)
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t q = 0; q < seq; ++q) {
        Tensor powers;
        double total = 0;
        for (int64_t t = 0; t < seq; ++t) {
          double sum = 0;
          for (int64_t d = 0; d < dim; ++d) {
            sum += in[0][((b * seq + q) * heads + h) * dim + d] *
                   in[1][((b * seq + t) * heads + h) * dim + d];
          }
          powers.push_back(std::exp(sum / std::sqrt(static_cast<double>(dim))));
          total += powers.back();
        }
        for (double power : powers) y.push_back(power / total);
        result.operations += seq * (2 * dim + 6) + 1;
      }
  result.outputs = {std::move(y)};
  return result;
}

PlainResult LstmCell(const OpSpec& spec, const std::vector<Tensor>& in) {
  const int64_t m = Int(spec, "m", 1), width = Int(spec, "input", 1), u = Int(spec, "hidden", 1);
  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  PlainResult result;
  Tensor hidden, cell;
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < u; ++j) {
      double gates[4];
      for (int64_t g = 0; g < 4; ++g) {
        gates[g] = in[5][g * u + j];
        for (int64_t k = 0; k < width; ++k) {
          gates[g] += in[0][i * width + k] * in[3][(k * 4 + g) * u + j];
        }
        for (int64_t k = 0; k < u; ++k) gates[g] += in[1][i * u + k] * in[4][(k * 4 + g) * u + j];
      }
      cell.push_back(sigmoid(gates[1]) * in[2][i * u + j] +
                     sigmoid(gates[0]) * std::tanh(gates[2]));
      hidden.push_back(sigmoid(gates[3]) * std::tanh(cell.back()));
      result.operations += 8 * (width + u) + 17;
    }
  result.outputs = {std::move(hidden), std::move(cell)};
  return result;
}

PlainResult Rows(const OpSpec& spec, const std::vector<Tensor>& in) {
  const int64_t m = Int(spec, "m", 1), n = Int(spec, "n", 1);
  const auto size = static_cast<double>(n);
  PlainResult result;
  Tensor first, second;
  for (int64_t i = 0; i < m; ++i) {
    const double* x = &in[0][i * n];
    if (spec.op == "softmax") {
      double total = 0;
      for (int64_t j = 0; j < n; ++j) total += std::exp(x[j]);
      for (int64_t j = 0; j < n; ++j) first.push_back(std::exp(x[j]) / total);
      result.operations += 5 * n + 1;
    } else if (spec.op == "layer_norm") {
      double mean = 0, variance = 0;
      for (int64_t j = 0; j < n; ++j) mean += x[j] / size;
      for (int64_t j = 0; j < n; ++j) variance += (x[j] - mean) * (x[j] - mean) / size;
      for (int64_t j = 0; j < n; ++j) {
        first.push_back((x[j] - mean) / std::sqrt(variance + 1e-5) * in[1][j] + in[2][j]);
      }
      result.operations += 7 * n + 4;
    } else if (spec.op == "norm2") {
      double squares = 0;
      for (int64_t j = 0; j < n; ++j) squares += x[j] * x[j];
      first.push_back(std::sqrt(squares));
      result.operations += 2 * n + 1;
    } else {
      const bool smallest = spec.op == "argmin";
      int64_t best = 0;
      for (int64_t j = 1; j < n; ++j) {
        if (smallest ? x[j] < x[best] : x[j] > x[best]) best = j;
      }
      first.push_back(x[best]);
      second.push_back(static_cast<double>(best));
      result.operations += n;
    }
  }
  result.outputs = {std::move(first)};
  if (!second.empty()) result.outputs.push_back(std::move(second));
  return result;
}

PlainResult Reduce(const OpSpec& spec, const std::vector<Tensor>& in) {
  const int64_t m = Int(spec, "m", 1), n = Int(spec, "n", 1);
  const bool columns = Int(spec, "axis", 1) == 0;
  const int64_t kept = columns ? n : m, reduced = columns ? m : n;
  PlainResult result;
  Tensor out;
  for (int64_t i = 0; i < kept; ++i) {
    double sum = 0, product = 1, largest = -1e300, smallest = 1e300;
    for (int64_t j = 0; j < reduced; ++j) {
      const double x = in[0][columns ? j * n + i : i * n + j];
      sum += x;
      product *= x;
      largest = std::max(largest, x);
      smallest = std::min(smallest, x);
    }
    out.push_back(spec.op == "reduce_sum"    ? sum
                  : spec.op == "reduce_mean" ? sum / static_cast<double>(reduced)
                  : spec.op == "reduce_max"  ? largest
                  : spec.op == "reduce_min"  ? smallest
                                             : product);
  }
  result.operations = m * n + (spec.op == "reduce_mean" ? kept : 0);
  result.outputs = {std::move(out)};
  return result;
}

PlainResult Elementwise(const OpSpec& spec, const std::vector<Tensor>& in) {
  const int64_t n = Int(spec, "n", 1);
  PlainResult result;
  Tensor out;
  for (size_t i = 0; i < in[0].size(); ++i) {
    const double x = in[0][i];
    const double y = in.size() < 2 ? 0 : in[1][spec.op == "bias_add" ? i % n : i];
    out.push_back(spec.op == "relu"      ? std::max(x, 0.0)
                  : spec.op == "sigmoid" ? 1 / (1 + std::exp(-x))
                  : spec.op == "tanh"    ? std::tanh(x)
                  : spec.op == "gelu"    ? 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)))
                  : spec.op == "mul"     ? x * y
                                         : x + y);
    if (Flag(spec, "relu")) out.back() = std::max(out.back(), 0.0);
    if (Text(spec, "dtype", "f32") == "i8") out.back() = std::clamp(out.back(), -128.0, 127.0);
  }
  const int64_t each = spec.op == "gelu" ? 5 : Flag(spec, "relu") ? 2 : 1;
  result.operations = static_cast<int64_t>(out.size()) * each;
  result.outputs = {std::move(out)};
  return result;
}

}  // namespace

PlainResult PlainLoops(const OpSpec& spec, const std::vector<Tensor>& inputs) {
  const std::string& op = spec.op;
  if (op == "matmul" || op == "batch_matmul" || op == "dense") return Matmul(spec, inputs);
  if (op == "capsule_conv2d") return Capsules(spec, inputs);
  if (op == "attention_scores") return AttentionScores(spec, inputs);
  if (op == "lstm_cell") return LstmCell(spec, inputs);
  if (op.find("conv") != std::string::npos) return Convolution(spec, inputs);
  if (op == "t2d") return Transposed(spec, inputs);
  if (op.find("pool") != std::string::npos) return Pool(spec, inputs);
  if (op.starts_with("reduce_")) return Reduce(spec, inputs);
  if (op == "softmax" || op == "layer_norm" || op == "norm2" || op.starts_with("arg")) {
    return Rows(spec, inputs);
  }
  return Elementwise(spec, inputs);
}

}  // namespace tessera::te
