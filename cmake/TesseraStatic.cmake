# Links the libraries of TesseraDependencies.cmake as archives, so that a program needs the C library
# only. Debian's CMake packages know the shared libraries; the archives lie beside them.
get_property(imported DIRECTORY PROPERTY IMPORTED_TARGETS)
foreach(target IN LISTS imported)
  get_target_property(shared ${target} IMPORTED_LOCATION_NONE)
  if(shared MATCHES "\\.so[.0-9]*$")
    string(REGEX REPLACE "\\.so[.0-9]*$" ".a" archive ${shared})
    if(EXISTS ${archive})
      set_property(TARGET ${target} PROPERTY IMPORTED_LOCATION_NONE ${archive})
    endif()
  endif()
endforeach()
find_library(RE2_ARCHIVE re2 REQUIRED)
set_property(TARGET re2::re2 PROPERTY INTERFACE_LINK_LIBRARIES ${RE2_ARCHIVE} Threads::Threads)
# Debian has no archives of these two; both can be compiled in.
set_property(TARGET spdlog::spdlog_header_only PROPERTY
  INTERFACE_LINK_LIBRARIES Threads::Threads fmt::fmt-header-only)
add_link_options(-static-libstdc++ -static-libgcc -Wl,--gc-sections)
set(CMAKE_SKIP_RPATH ON)
