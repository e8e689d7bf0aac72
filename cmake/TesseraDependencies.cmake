# Debian 12 packages only; deploy/install_deps.sh installs them.

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
  # What ccache needs to be correct together with precompiled headers.
  set(ENV{CCACHE_SLOPPINESS} pch_defines,time_macros,include_file_mtime,include_file_ctime)
endif()

if(TESSERA_STATIC_DEPENDENCIES)
  set(CMAKE_FIND_LIBRARY_SUFFIXES .a)
endif()
find_package(Threads REQUIRED)
find_package(absl CONFIG REQUIRED)
find_package(spdlog CONFIG REQUIRED)
find_package(Protobuf REQUIRED)
find_package(gRPC CONFIG REQUIRED)
find_package(nlohmann_json CONFIG REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(OpenSSL REQUIRED)

add_library(tessera_spdlog INTERFACE)
if(TESSERA_STATIC_DEPENDENCIES)
  include(TesseraStatic)
  target_link_libraries(tessera_spdlog INTERFACE spdlog::spdlog_header_only)
else()
  target_link_libraries(tessera_spdlog INTERFACE spdlog::spdlog)
endif()

if(NOT TESSERA_RUNNER_ONLY)
  # spdlog's configuration above may have set nothing of LLVM; these paths pin version 19.
  find_package(LLVM 19.1 REQUIRED CONFIG PATHS /usr/lib/llvm-19 NO_DEFAULT_PATH)
  find_package(LLD 19.1 REQUIRED CONFIG PATHS /usr/lib/llvm-19 NO_DEFAULT_PATH)
  find_package(yaml-cpp CONFIG REQUIRED)
  pkg_check_modules(sqlite3 REQUIRED IMPORTED_TARGET sqlite3)
  # Debian's XGBoost 1.7.4 ships a CMake configuration that does not load.
  find_path(XGBOOST_INCLUDE_DIR xgboost/c_api.h REQUIRED)
  find_library(XGBOOST_LIBRARY xgboost REQUIRED)
  add_library(tessera_xgboost INTERFACE)
  target_include_directories(tessera_xgboost SYSTEM INTERFACE ${XGBOOST_INCLUDE_DIR})
  target_link_libraries(tessera_xgboost INTERFACE ${XGBOOST_LIBRARY})

  # The messages of models, generated, and nothing else of ONNX.
  find_path(ONNX_INCLUDE_DIR onnx/onnx_pb.h REQUIRED)
  find_library(ONNX_PROTO_LIBRARY onnx_proto REQUIRED)
  add_library(tessera_onnx INTERFACE)
  target_include_directories(tessera_onnx SYSTEM INTERFACE ${ONNX_INCLUDE_DIR})
  target_compile_definitions(tessera_onnx INTERFACE ONNX_NAMESPACE=onnx ONNX_ML=1)
  target_link_libraries(tessera_onnx INTERFACE ${ONNX_PROTO_LIBRARY} protobuf::libprotobuf)

  add_library(tessera_llvm INTERFACE)
  target_include_directories(tessera_llvm SYSTEM INTERFACE ${LLVM_INCLUDE_DIRS})
  target_link_libraries(tessera_llvm INTERFACE lldELF lldCommon LLVM)
  target_link_directories(tessera_llvm INTERFACE /usr/lib/llvm-19/lib)
endif()
