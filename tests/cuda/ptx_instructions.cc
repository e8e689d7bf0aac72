#include "tests/cuda/ptx_instructions.h"

#include <algorithm>
#include <limits>

#include "tests/cuda/ptx_machine.h"
#include "tests/cuda/ptx_values.h"

namespace tessera::ptx {
namespace {

using Opcode = std::vector<std::string>;
using Operands = std::vector<Operand>;
using Run = std::function<Wait(Block&, Thread&)>;

bool Has(const Opcode& opcode, std::string_view part) {
  return std::ranges::find(opcode, part) != opcode.end();
}

// d = f(a), f(a, b), … of registers, up to four.
template <typename F>
Run Compute(const Operands& operands, F f) {
  std::array<size_t, 5> slots = {};
  for (size_t i = 0; i < std::min<size_t>(operands.size(), 5); ++i) {
    slots[i] = static_cast<size_t>(operands[i].slots.at(0));
  }
  return [slots, f](Block&, Thread& thread) {
    const auto at = [&](size_t i) { return thread.registers[slots[i]]; };
    if constexpr (std::is_invocable_v<F, Word>) {
      thread.registers[slots[0]] = f(at(1));
    } else if constexpr (std::is_invocable_v<F, Word, Word>) {
      thread.registers[slots[0]] = f(at(1), at(2));
    } else if constexpr (std::is_invocable_v<F, Word, Word, Word>) {
      thread.registers[slots[0]] = f(at(1), at(2), at(3));
    } else {
      thread.registers[slots[0]] = f(at(1), at(2), at(3), at(4));
    }
    return Wait::kNothing;
  };
}

// Integers by way of unsigned ones of 64 bits, which wrap.
template <typename T, typename F>
auto Wrapping(F f) {
  return [f](Word a, Word b) {
    if constexpr (kIsFloat<T>) {
      return To<T>(static_cast<T>(f(From<T>(a), From<T>(b))));
    } else {
      return To<T>(static_cast<T>(f(static_cast<Word>(From<T>(a)), static_cast<Word>(From<T>(b)))));
    }
  };
}

template <typename T>
T Fma(T a, T b, T c) {
  if constexpr (std::is_same_v<T, Half>) {
    return static_cast<Half>(
        std::fma(static_cast<double>(a), static_cast<double>(b), static_cast<double>(c)));
  } else if constexpr (kIsFloat<T>) {
    return std::fma(a, b, c);
  } else {
    return static_cast<T>(static_cast<Word>(a) * static_cast<Word>(b) + static_cast<Word>(c));
  }
}

template <typename T>
Word High(Word a, Word b) {
  using Wide = std::conditional_t<std::is_signed_v<T>, __int128, unsigned __int128>;
  return To<T>(static_cast<T>(static_cast<Wide>(From<T>(a)) * static_cast<Wide>(From<T>(b)) >>
                              std::numeric_limits<std::make_unsigned_t<T>>::digits));
}

// The product of twice the width.
template <typename T>
Word Wide(Word a, Word b) {
  if constexpr (sizeof(T) == 2) {
    return static_cast<uint32_t>(int64_t{From<T>(a)} * int64_t{From<T>(b)});
  } else {
    return static_cast<Word>(From<T>(a)) * static_cast<Word>(From<T>(b));
  }
}

bool MakeArithmetic(const Opcode& opcode, const Operands& operands, Instruction& instruction) {
  const std::string& name = opcode[0];
  Run& run = instruction.run;
  return WithType(opcode.back(),
                  [&]<typename T>(T) {
                    if (name == "add")
                      run = Compute(operands, Wrapping<T>([](auto a, auto b) { return a + b; }));
                    if (name == "sub")
                      run = Compute(operands, Wrapping<T>([](auto a, auto b) { return a - b; }));
                    if (name == "max" || name == "min") {
                      run = Compute(operands, [is_max = name == "max"](Word a, Word b) {
                        const T x = From<T>(a), y = From<T>(b);
                        if (IsNan(x)) return b;  // the number of a number and none
                        return (is_max ? y > x : y < x) ? b : a;
                      });
                    }
                    if constexpr (!kIsFloat<T>) {
                      constexpr int kBits = sizeof(T) * 8;
                      const bool is_bit = opcode.back() == "pred";
                      if (name == "and")
                        run = Compute(operands, [](Word a, Word b) { return a & b; });
                      if (name == "or")
                        run = Compute(operands, [](Word a, Word b) { return a | b; });
                      if (name == "xor")
                        run = Compute(operands, [](Word a, Word b) { return a ^ b; });
                      if (name == "not") {
                        run = Compute(operands, [is_bit](Word a) {
                          return is_bit ? (a ^ 1) & 1 : To<T>(static_cast<T>(~From<T>(a)));
                        });
                      }
                      if (name == "neg") {
                        run = Compute(operands,
                                      [](Word a) { return To<T>(static_cast<T>(Word{0} - a)); });
                      }
                      if (name == "abs") {
                        run = Compute(operands, [](Word a) {
                          return From<T>(a) < T{} ? To<T>(static_cast<T>(Word{0} - a)) : a;
                        });
                      }
                      if (name == "shl") {
                        run = Compute(operands, [](Word a, Word b) {
                          return b >= kBits ? Word{0} : To<T>(static_cast<T>(a << b));
                        });
                      }
                      if (name == "shr") {
                        run = Compute(operands, [](Word a, Word b) {
                          return To<T>(static_cast<T>(From<T>(a) >>
                                                      std::min<Word>(b & 0xffffffff, kBits - 1) >>
                                                      (b >= kBits ? 1 : 0)));
                        });
                      }
                      if (name == "mul" && opcode[1] == "hi") run = Compute(operands, High<T>);
                      if (name == "mul" && opcode[1] == "lo") {
                        run = Compute(operands, Wrapping<T>([](auto a, auto b) { return a * b; }));
                      }
                      if (name == "mul" && opcode[1] == "wide") run = Compute(operands, Wide<T>);
                      if (name == "mad" && opcode[1] == "lo") {
                        run = Compute(operands, [](Word a, Word b, Word c) {
                          return To<T>(Fma(From<T>(a), From<T>(b), From<T>(c)));
                        });
                      }
                      if (name == "mad" && opcode[1] == "wide") {
                        run = Compute(operands, [](Word a, Word b, Word c) {
                          const Word sum = Wide<T>(a, b) + c;
                          return sizeof(T) == 2 ? sum & 0xffffffff : sum;
                        });
                      }
                      if (name == "div" || name == "rem") {
                        run = Compute(operands, [divides = name == "div"](Word a, Word b) {
                          const T x = From<T>(a), y = From<T>(b);
                          if (y == T{}) return To<T>(static_cast<T>(-1));
                          return To<T>(static_cast<T>(divides ? x / y : x % y));
                        });
                      }
                      if (name == "bfi") {
                        run = Compute(operands, [](Word a, Word b, Word position, Word length) {
                          const Word left = std::min<Word>(position & 255, kBits);
                          const Word width = std::min<Word>(length & 255, kBits - left);
                          const Word ones = width >= 64 ? ~Word{0} : (Word{1} << width) - 1;
                          return left >= 64 ? b : (b & ~(ones << left)) | (a & ones) << left;
                        });
                      }
                      if (name == "bfe") {
                        run = Compute(operands, [](Word a, Word position, Word length) {
                          const Word left = std::min<Word>(position & 255, kBits);
                          const Word width = std::min<Word>(length & 255, kBits - left);
                          if (width == 0) return Word{0};
                          const T high = static_cast<T>(static_cast<Word>(From<T>(a))
                                                        << (kBits - left - width));
                          return To<T>(static_cast<T>(high >> (kBits - width)));
                        });
                      }
                    } else {
                      if (name == "mul") {
                        run = Compute(operands, Wrapping<T>([](auto a, auto b) { return a * b; }));
                      }
                      if (name == "div") {
                        run = Compute(operands, Wrapping<T>([](auto a, auto b) { return a / b; }));
                      }
                      if (name == "fma") {
                        run = Compute(operands, [](Word a, Word b, Word c) {
                          return To<T>(Fma(From<T>(a), From<T>(b), From<T>(c)));
                        });
                      }
                      if (name == "neg")
                        run = Compute(operands, [](Word a) { return To<T>(-From<T>(a)); });
                      const auto in_double = [&](std::string_view wanted, double (*f)(double)) {
                        if (name != wanted) return;
                        run = Compute(operands, [f](Word a) {
                          return To<T>(static_cast<T>(f(static_cast<double>(From<T>(a)))));
                        });
                      };
                      in_double("abs", [](double a) { return std::fabs(a); });
                      in_double("rcp", [](double a) { return 1 / a; });
                      in_double("sqrt", [](double a) { return std::sqrt(a); });
                      in_double("rsqrt", [](double a) { return 1 / std::sqrt(a); });
                      in_double("ex2", [](double a) { return std::exp2(a); });
                      in_double("lg2", [](double a) { return std::log2(a); });
                      in_double("tanh", [](double a) { return std::tanh(a); });
                      if (name == "copysign") {  // the sign of the first
                        run = Compute(operands, Wrapping<T>([](auto sign, auto magnitude) {
                                        return std::copysign(static_cast<double>(magnitude),
                                                             static_cast<double>(sign));
                                      }));
                      }
                    }
                  }) &&
         run != nullptr;
}

// setp.lt.f32 p, a, b.
bool MakeComparison(const Opcode& opcode, const Operands& operands, Instruction& instruction) {
  const std::string& how = opcode[1];
  return WithType(opcode.back(),
                  [&]<typename T>(T) {
                    const auto compare = [&](auto f) {
                      // "ltu" is "lt", or true where one side is no number; "lo" is it of unsigned
                      // ones.
                      const bool or_none = kIsFloat<T> && how.size() == 3 && how.back() == 'u';
                      instruction.run = Compute(operands, [=](Word a, Word b) {
                        const T x = From<T>(a), y = From<T>(b);
                        const bool none = IsNan(x) || IsNan(y);
                        return Word{none ? or_none : f(x, y)};
                      });
                    };
                    const std::string kind = how.substr(0, 2);
                    if (kind == "eq") compare([](T x, T y) { return x == y; });
                    if (kind == "ne") compare([](T x, T y) { return x != y; });
                    if (kind == "lt" || kind == "lo") compare([](T x, T y) { return x < y; });
                    if (kind == "le" || kind == "ls") compare([](T x, T y) { return x <= y; });
                    if (kind == "gt" || kind == "hi") compare([](T x, T y) { return x > y; });
                    if (kind == "ge" || kind == "hs") compare([](T x, T y) { return x >= y; });
                    if (how == "num" || how == "nan") {
                      instruction.run = Compute(operands, [wants = how == "nan"](Word a, Word b) {
                        const T x = From<T>(a), y = From<T>(b);
                        return Word{(IsNan(x) || IsNan(y)) == wants};
                      });
                    }
                  }) &&
         instruction.run != nullptr;
}

// cvt.rni.f32.f32 d, a.
bool MakeConversion(const Opcode& opcode, const Operands& operands, Instruction& instruction) {
  const std::string from = opcode.back(), to = opcode[opcode.size() - 2];
  if (opcode == Opcode{"cvt", "rna", "tf32", "f32"}) {
    constexpr Word kDropped = 0x1fff, kHalf = 0x1000;
    instruction.run = Compute(operands, [](Word a) {
      const bool is_number = std::isfinite(From<float>(a));
      return is_number ? (a + kHalf) & ~kDropped & 0xffffffff : a;
    });
    return true;
  }
  bool known = false;
  WithType(to, [&]<typename T>(T) {
    known = WithType(from, [&]<typename F>(F) {
      if constexpr (kIsFloat<T> && kIsFloat<F>) {
        double (*whole)(double) = nullptr;
        if (Has(opcode, "rni")) whole = [](double a) { return std::nearbyint(a); };
        if (Has(opcode, "rzi")) whole = [](double a) { return std::trunc(a); };
        if (Has(opcode, "rmi")) whole = [](double a) { return std::floor(a); };
        if (Has(opcode, "rpi")) whole = [](double a) { return std::ceil(a); };
        instruction.run = Compute(operands, [whole](Word a) {
          const F value = From<F>(a);
          if (whole == nullptr) return To<T>(static_cast<T>(value));
          return To<T>(static_cast<T>(whole(static_cast<double>(value))));
        });
      } else if constexpr (!kIsFloat<T> && !kIsFloat<F>) {
        instruction.run = Compute(operands, [saturates = Has(opcode, "sat")](Word a) {
          const F value = From<F>(a);
          if (saturates) {
            return To<T>(static_cast<T>(std::clamp<__int128>(value, std::numeric_limits<T>::min(),
                                                             std::numeric_limits<T>::max())));
          }
          // The register keeps the sign.
          return To<T>(Convert<T>(value, /*to_zero=*/false));
        });
      } else {
        instruction.run = Compute(operands, [to_zero = Has(opcode, "rzi")](Word a) {
          return To<T>(Convert<T>(From<F>(a), to_zero));
        });
      }
    });
  });
  return known;
}

Word WindowOf(const Opcode& opcode) {
  return Has(opcode, "shared") ? kSharedWindow : Has(opcode, "local") ? kLocalWindow : 0;
}

// ld.global.nc.v4.f32 {…}, [a + 16]; st.shared.f32 [a], b.
bool MakeAccess(const Opcode& opcode, const Operands& operands, Instruction& instruction) {
  const bool loads = opcode[0] == "ld";
  if (Has(opcode, "param")) {
    instruction.run = Compute(operands, [](Word a) { return a; });
    return true;
  }
  const Operand& address = operands.at(loads ? 1 : 0);
  const Operand& values = operands.at(loads ? 0 : 1);
  return WithType(opcode.back(), [&]<typename T>(T) {
    instruction.run = [loads, base = address.slots.at(0), slots = values.slots,
                       offset = static_cast<Word>(address.offset) + WindowOf(opcode)](
                          Block& block, Thread& thread) {
      const auto bytes = static_cast<int64_t>(sizeof(T) * slots.size());
      std::byte* at = block.At(thread, thread.registers[static_cast<size_t>(base)] + offset, bytes);
      for (size_t i = 0; at != nullptr && i < slots.size(); ++i) {
        Word& value = thread.registers[static_cast<size_t>(slots[i])];
        T element;
        if (loads) {
          std::memcpy(&element, at + i * sizeof(T), sizeof(T));
          // Narrow integers are widened to what holds them.
          value = kIsFloat<T> || std::is_unsigned_v<T> ? To<T>(element)
                                                       : To<int64_t>(static_cast<int64_t>(element));
        } else {
          element = From<T>(value);
          std::memcpy(at + i * sizeof(T), &element, sizeof(T));
        }
      }
      return Wait::kNothing;
    };
  });
}

// cp.async.ca.shared.global [to], [from], 4; cp.async.wait_all. What is copied arrives when the
// thread waits for it, and until then nothing is there that anyone could use.
bool MakeAsyncCopy(const Opcode& opcode, const Operands& operands, Instruction& instruction) {
  if (opcode == Opcode{"cp", "async", "wait_all"}) {
    instruction.run = [](Block&, Thread& thread) {
      for (const AsyncCopy& copy : thread.copies) std::memcpy(copy.to, copy.from, copy.bytes);
      thread.copies.clear();
      return Wait::kNothing;
    };
    return true;
  }
  const bool at_all_levels = opcode == Opcode{"cp", "async", "ca", "shared", "global"};
  if ((!at_all_levels && opcode != Opcode{"cp", "async", "cg", "shared", "global"}) ||
      operands.size() != 3) {
    return false;
  }
  const std::string& size = operands[2].name;
  if (size != "16" && (!at_all_levels || (size != "4" && size != "8"))) return false;
  instruction.run = [to = operands[0], from = operands[1], bytes = std::stoll(size)](
                        Block& block, Thread& thread) {
    const auto at = [&](const Operand& operand, Word window) {
      const Word base = thread.registers[static_cast<size_t>(operand.slots[0])];
      return block.At(thread, base + static_cast<Word>(operand.offset) + window, bytes);
    };
    std::byte *const there = at(to, kSharedWindow), *const here = at(from, 0);
    if (there == nullptr || here == nullptr) return Wait::kNothing;
    const auto count = static_cast<size_t>(bytes);
    std::memset(there, 0xff, count);
    thread.copies.push_back({there, here, count});
    return Wait::kNothing;
  };
  return true;
}

// mov.u32 d, a; mov.b32 {d, e}, a; mov.b32 d, {a, b}.
bool MakeMove(const Opcode& opcode, const Operands& operands, Instruction& instruction) {
  const std::vector<int>&to = operands.at(0).slots, &from = operands.at(1).slots;
  return WithType(opcode.back(), [&]<typename T>(T) {
    constexpr size_t kBits = sizeof(T) * 8;
    instruction.run = [to, from](Block&, Thread& thread) {
      const auto mask = [](size_t bits) { return bits >= 64 ? ~Word{0} : (Word{1} << bits) - 1; };
      Word value = 0;
      for (size_t i = 0; i < from.size(); ++i) {
        const size_t bits = kBits / from.size();
        value |= (thread.registers[static_cast<size_t>(from[i])] & mask(bits)) << (i * bits);
      }
      for (size_t i = 0; i < to.size(); ++i) {
        const size_t bits = kBits / to.size();
        thread.registers[static_cast<size_t>(to[i])] = value >> (i * bits) & mask(bits);
      }
      return Wait::kNothing;
    };
  });
}

}  // namespace

bool MakeInstruction(const Opcode& opcode, const Operands& operands, Instruction& instruction) {
  const std::string& name = opcode[0];
  if (name == "ret") {
    instruction.run = [](Block&, Thread& thread) {
      thread.has_ended = true;
      return Wait::kNothing;
    };
    return true;
  }
  if (name == "bar" && opcode.at(1) == "sync") {
    instruction.run = [](Block&, Thread&) { return Wait::kBlock; };
    return true;
  }
  if (name == "mov") return MakeMove(opcode, operands, instruction);
  if (name == "ld" || name == "st") return MakeAccess(opcode, operands, instruction);
  if (name == "cp") return MakeAsyncCopy(opcode, operands, instruction);
  if (name == "cvta") {
    instruction.run = Compute(operands, [window = WindowOf(opcode)](Word a) { return a + window; });
    return true;
  }
  if (name == "selp") {
    instruction.run =
        Compute(operands, [](Word a, Word b, Word p) { return (p & 1) != 0 ? a : b; });
    return true;
  }
  if (name == "setp") return MakeComparison(opcode, operands, instruction);
  if (name == "cvt") return MakeConversion(opcode, operands, instruction);
  if (name == "mma" || name == "ldmatrix") {
    return MakeMatrixInstruction(opcode, operands, instruction);
  }
  return MakeArithmetic(opcode, operands, instruction);
}

}  // namespace tessera::ptx
