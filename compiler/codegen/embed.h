#pragma once

// The bytes of an object of the build, between two symbols of a program. cmake/TesseraTargets.cmake
// makes such objects and says where they are (tessera_runtime_object, tessera_embed).
// clang-format off
#define TESSERA_EMBED(name)                                                  \
  __asm__(".section .rodata\n"                                               \
          ".hidden tessera_" #name "\n"                                      \
          ".globl tessera_" #name "\n"                                       \
          "tessera_" #name ": .incbin \"" TESSERA_RUNTIME_FOLDER              \
          "/tessera_" #name ".o\"\n"                                         \
          ".hidden tessera_" #name "_end\n"                                  \
          ".globl tessera_" #name "_end\n"                                   \
          "tessera_" #name "_end: .byte 0\n"                                 \
          ".text\n");                                                        \
  extern "C" const char tessera_##name[], tessera_##name##_end[]
// clang-format on
