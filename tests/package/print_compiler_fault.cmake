# cmake -D CMAKE_CXX_COMPILER_ID=… -D CMAKE_CXX_COMPILER_VERSION=… -P print_compiler_fault.cmake
include(${CMAKE_CURRENT_LIST_DIR}/../../cmake/LovageCompiler.cmake)
lovage_compiler_fault(fault)
if(NOT fault)
  set(fault none)
endif()
message(STATUS "fault: ${fault}")
