// What Debian's libstdc++ archive takes from glibc 2.36: linked into the program, it runs on
// systems with an older one too.
#include <stdint.h>
#include <sys/random.h>

uint32_t arc4random(void);

uint32_t arc4random(void) {
  uint32_t value;
  while (getrandom(&value, sizeof(value), 0) != sizeof(value)) {
  }
  return value;
}
