#pragma once

#include <vector>

namespace tessera::runner {

// Binds the calling thread to one core. False when this process may not use it.
bool PinThisThread(int core);

// Cores that this process may use, ascending.
std::vector<int> AllowedCores();

}  // namespace tessera::runner
