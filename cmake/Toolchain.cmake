# One place for the compiler, the standard and the flags every target shares.

include(cmake/LovageCompiler.cmake)
lovage_compiler_fault(compiler_fault)
if(compiler_fault)
  message(FATAL_ERROR "${compiler_fault} The presets choose clang++-19, and ./dev setup installs it.")
endif()

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

find_program(LOVAGE_CCACHE ccache)
if(LOVAGE_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER
    ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${LOVAGE_CCACHE})
endif()

add_library(lovage_flags INTERFACE)
target_compile_options(lovage_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wimplicit-fallthrough -Werror=return-type
  -fno-omit-frame-pointer -fstack-protector-strong)
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  # Missing designated initialisers are how option structs are meant to be used.
  target_compile_options(lovage_flags INTERFACE -Wno-missing-designated-field-initializers
    -Wno-missing-field-initializers)
  add_link_options(-fuse-ld=lld)
endif()
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  # -g1 keeps file and line in backtraces at a tenth of the size of -g. What tests are written in is not optimised: the
  # optimizer takes two thirds of the time of a test's source and gives nothing but a faster test.
  set(unoptimized $<BOOL:$<TARGET_PROPERTY:LOVAGE_UNOPTIMIZED>>)
  target_compile_options(lovage_flags INTERFACE -g1
    $<${unoptimized}:-O0> $<$<NOT:${unoptimized}>:-U_FORTIFY_SOURCE;-D_FORTIFY_SOURCE=2>)
  add_link_options(-Wl,-z,relro,-z,now)
endif()
if(LOVAGE_SANITIZE)
  add_compile_options(-fsanitize=${LOVAGE_SANITIZE} -fno-sanitize-recover=all -g1)
  add_link_options(-fsanitize=${LOVAGE_SANITIZE})
  if(LOVAGE_SANITIZE MATCHES "undefined")
    # Boost and libstdc++ vtables cross shared libraries; the check reports them wrongly.
    add_compile_options(-fno-sanitize=vptr)
    add_link_options(-fno-sanitize=vptr)
  endif()
endif()
