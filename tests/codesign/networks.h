#pragma once

#include <string>

#include "codesign/network.h"

namespace tessera::codesign {

// A convolution of 3 × 3 and one of 1 × 1, small, as a network that has the first one twice.
inline Network SmallNetwork() {
  const auto layer = [](const std::string& name, const std::string& k, const std::string& pad) {
    return te::OpSpec{name,
                      "conv2d",
                      {{"ic", "32"},
                       {"oc", "32"},
                       {"size", "8"},
                       {"k", k},
                       {"pad", pad},
                       {"dtype", "i8"},
                       {"shift", "5"},
                       {"bias", "true"},
                       {"relu", "true"},
                       {"layout", "nchwc16"}}};
  };
  return MakeNetwork("small", {layer("a", "3", "1"), layer("b", "1", "0")}, {2, 1}).value();
}

}  // namespace tessera::codesign
