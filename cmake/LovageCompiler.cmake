# lovage_compiler_fault(OUT): why this compiler cannot compile coroutines right; empty when it can.
#
# Included by Lovage's own build and by its installed package: the headers contain coroutines too.
function(lovage_compiler_fault out)
  set(fault "")
  set(advice "Use clang++-19 (Debian 12: apt-get install clang-19; then -DCMAKE_CXX_COMPILER=clang++-19) or g++ 14 or newer.")
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 14)
    set(fault "Lovage cannot be used with g++ ${CMAKE_CXX_COMPILER_VERSION}: before version 14 it silently destroys \
aggregate temporaries twice in statements that contain co_await. ${advice}")
  elseif(CMAKE_CXX_COMPILER_ID MATCHES "Clang" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 17)
    set(fault "Lovage cannot be used with clang ${CMAKE_CXX_COMPILER_VERSION}: clang before 17 leaks or touches freed \
coroutine frames. ${advice}")
  endif()
  set(${out} "${fault}" PARENT_SCOPE)
endfunction()
