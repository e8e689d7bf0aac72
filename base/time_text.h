#pragma once

#include <string>

namespace tessera {

// "812 us", "4.61 ms", "1.20 s"; "-" for 0.
std::string TimeText(double seconds);

}  // namespace tessera
