# What a user of the build can choose, and the flags that every target of ours gets.

option(MODELSLIM_BUILD_TESTS "Build the tests" ${PROJECT_IS_TOP_LEVEL})
option(MODELSLIM_BUILD_BENCH "Build the benchmarks" OFF)
option(MODELSLIM_BUILD_FUZZERS "Build the fuzzers (clang only)" OFF)
option(MODELSLIM_WERROR "Treat warnings as errors" OFF)
option(MODELSLIM_WITH_ONEDNN "Use oneDNN for matrix products where it is the fastest" ON)
set(MODELSLIM_SANITIZE "" CACHE STRING "Sanitizers to build with, for example address,undefined")
option(MODELSLIM_COVERAGE "Build with coverage counters" OFF)

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

find_program(MODELSLIM_CCACHE ccache)
if(MODELSLIM_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${MODELSLIM_CCACHE}")
endif()

# Results are defined to the bit: no contraction of a*b+c, no reassociation. errno and traps of the maths library are not
# used, and saying so lets the loops vectorize.
add_library(modelslim_flags INTERFACE)
target_compile_features(modelslim_flags INTERFACE cxx_std_20)
target_compile_options(modelslim_flags INTERFACE -ffp-contract=off -fno-math-errno -fno-trapping-math -fopenmp-simd)

# Warnings are for us, never for those who include us.
add_library(modelslim_warnings INTERFACE)
target_compile_options(modelslim_warnings INTERFACE -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Wold-style-cast
  -Woverloaded-virtual -Wconversion -Wno-sign-conversion)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # g++ 12 at -O3 warns of overlaps in `"a" + std::string` and of optionals and vectors that it believes uninitialized.
  target_compile_options(modelslim_warnings INTERFACE -Wno-restrict -Wno-maybe-uninitialized)
endif()
if(MODELSLIM_WERROR)
  target_compile_options(modelslim_warnings INTERFACE -Werror)
endif()

if(MODELSLIM_SANITIZE)
  add_compile_options(-fsanitize=${MODELSLIM_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${MODELSLIM_SANITIZE})
endif()
if(MODELSLIM_COVERAGE)
  add_compile_options(--coverage -O0)
  add_link_options(--coverage)
endif()
