# One library a source folder, one test program a folder: the tree is the build.

add_library(tessera_options INTERFACE)
target_include_directories(tessera_options INTERFACE ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR})
target_compile_options(tessera_options INTERFACE -Wall -Wextra -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 raises these falsely inside absl's and the standard library's containers.
  target_compile_options(tessera_options INTERFACE
    -Wno-maybe-uninitialized $<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict -Wno-stringop-overflow>)
endif()
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  # clang 19 sees libstdc++ 12 use its own deprecated temporary buffers in std::stable_sort.
  target_compile_options(tessera_options INTERFACE -Wno-deprecated-declarations)
endif()
if(CMAKE_SIZEOF_VOID_P EQUAL 4)
  # Files, limits of memory and offsets beyond 2 GiB.
  target_compile_definitions(tessera_options INTERFACE _FILE_OFFSET_BITS=64)
endif()
if(TESSERA_WERROR)
  target_compile_options(tessera_options INTERFACE -Werror)
endif()
if(TESSERA_SANITIZE)
  target_compile_options(tessera_options INTERFACE
    -fsanitize=${TESSERA_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=undefined)
  target_link_options(tessera_options INTERFACE -fsanitize=${TESSERA_SANITIZE})
endif()

# The target's name for a folder: compiler/ir → tessera_compiler_ir.
function(tessera_target_name folder out)
  string(REPLACE "/" "_" name ${folder})
  set(${out} tessera_${name} PARENT_SCOPE)
endfunction()

# tessera_library(DEPS <folder>... LINK <external>...)
# Builds every *.cc of the current folder except main.cc. DEPS are source folders, LINK anything else.
function(tessera_library)
  cmake_parse_arguments(ARG "" "" "DEPS;LINK" ${ARGN})
  file(RELATIVE_PATH folder ${CMAKE_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR})
  tessera_target_name(${folder} name)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc ${CMAKE_CURRENT_SOURCE_DIR}/*.c)
  list(FILTER sources EXCLUDE REGEX "/main\\.cc$")
  if(sources)
    add_library(${name} STATIC ${sources})
    set(visibility PUBLIC)
  else()
    add_library(${name} INTERFACE)
    set(visibility INTERFACE)
  endif()
  target_link_libraries(${name} ${visibility} tessera_options ${ARG_LINK})
  foreach(dep IN LISTS ARG_DEPS)
    tessera_target_name(${dep} dep_name)
    target_link_libraries(${name} ${visibility} ${dep_name})
  endforeach()
endfunction()

# tessera_runtime_object(<part> <kind of CPU> <source of compiler/runtime>...)
# Makes tessera_<part>_<kind>.o, relocatable, in the folder's build. It is embedded as bytes: there is
# no C compiler where libraries are built. Flags are its own, so that the bytes depend on the sources
# and the compiler only. Empty without a compiler for the kind; who embeds it says so then.
function(tessera_runtime_object part kind)
  find_program(TESSERA_X86_CC NAMES x86_64-linux-gnu-gcc)
  find_program(TESSERA_AARCH64_CC NAMES aarch64-linux-gnu-gcc)
  find_program(TESSERA_ARM_CC NAMES arm-linux-gnueabihf-gcc)
  # Without this gcc calls helpers of libgcc for atomics.
  set(flags_aarch64 -mno-outline-atomics)
  # Divisions of 64-bit numbers, which the CPU has no instruction for; once a library, in the part
  # that all have.
  set(libraries_runtime_arm -lgcc)
  string(TOUPPER ${kind} upper)
  set(compiler "")
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "${kind}")
    set(compiler ${CMAKE_C_COMPILER})
  elseif(TESSERA_${upper}_CC)
    set(compiler ${TESSERA_${upper}_CC})
  endif()
  list(TRANSFORM ARGN PREPEND ${CMAKE_SOURCE_DIR}/compiler/runtime/ OUTPUT_VARIABLE sources)
  file(GLOB headers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/compiler/runtime/*.h)
  set(object ${CMAKE_CURRENT_BINARY_DIR}/tessera_${part}_${kind}.o)
  if(compiler)
    add_custom_command(OUTPUT ${object}
      COMMAND ${compiler} -std=c11 -O2 -g0 -fPIC -fno-stack-protector
        -fno-asynchronous-unwind-tables ${flags_${kind}} -I${CMAKE_SOURCE_DIR} -r -nostdlib
        -o ${object} ${sources} ${libraries_${part}_${kind}}
      DEPENDS ${sources} ${headers} VERBATIM)
  else()
    add_custom_command(OUTPUT ${object} COMMAND ${CMAKE_COMMAND} -E touch ${object})
  endif()
endfunction()

# tessera_embed(<source> <object>...): objects of this folder's build in what includes
# compiler/codegen/embed.h, a source of this folder's library.
function(tessera_embed source)
  file(RELATIVE_PATH folder ${CMAKE_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR})
  tessera_target_name(${folder} name)
  target_sources(${name} PRIVATE ${ARGN})
  set_source_files_properties(${ARGN} PROPERTIES EXTERNAL_OBJECT OFF GENERATED ON
    HEADER_FILE_ONLY ON)
  set_source_files_properties(${source} PROPERTIES
    OBJECT_DEPENDS "${ARGN}"
    COMPILE_DEFINITIONS "TESSERA_RUNTIME_FOLDER=\"${CMAKE_CURRENT_BINARY_DIR}\"")
endfunction()

# tessera_test(<folder> [LABELS unit|integration|fuzz|slow] [LINK <folder>...])
# One Catch2 program from tests/<folder>/*.cc, linked to that folder's library.
function(tessera_test folder)
  cmake_parse_arguments(ARG "" "TIMEOUT" "LABELS;LINK" ${ARGN})
  string(REPLACE "/" "_" suffix ${folder})
  set(name test_${suffix})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/${folder}/*.cc)
  if(NOT sources)
    return()
  endif()
  add_executable(${name} ${sources})
  target_link_libraries(${name} PRIVATE tessera_catch_main)
  foreach(dep ${folder} ${ARG_LINK})
    tessera_target_name(${dep} dep_name)
    if(TARGET ${dep_name})
      target_link_libraries(${name} PRIVATE ${dep_name})
    endif()
  endforeach()
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
    if(TESSERA_SANITIZE)
      set(ARG_TIMEOUT 1800)
    endif()
  endif()
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT})
endfunction()
