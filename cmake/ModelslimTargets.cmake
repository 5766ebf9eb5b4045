# modelslim_library(FOLDER SOURCES a.cc ... [LINK lower folders ...] [PRIVATE_LINK third-party ...])
# One static library per source folder, named modelslim_FOLDER. Headers are included as "folder/name.h".
function(modelslim_library folder)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK;PRIVATE_LINK" ${ARGN})
  add_library(modelslim_${folder} STATIC ${ARG_SOURCES})
  add_library(modelslim::${folder} ALIAS modelslim_${folder})
  target_include_directories(modelslim_${folder} PUBLIC
    "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src>" "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>")
  target_link_libraries(modelslim_${folder} PUBLIC modelslim_flags PRIVATE modelslim_warnings ${ARG_PRIVATE_LINK})
  foreach(lower IN LISTS ARG_LINK)
    target_link_libraries(modelslim_${folder} PUBLIC modelslim_${lower})
  endforeach()
  set_property(GLOBAL APPEND PROPERTY MODELSLIM_LIBRARIES modelslim_${folder})
endfunction()

# modelslim_test(FOLDER SOURCES a_test.cc ... [LINK more ...]) makes FOLDER_test from the tests of one source folder.
function(modelslim_test folder)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${folder}_test ${ARG_SOURCES})
  target_include_directories(${folder}_test PRIVATE "${PROJECT_SOURCE_DIR}/tests")
  target_link_libraries(${folder}_test PRIVATE modelslim_${folder} modelslim_warnings GTest::gmock GTest::gtest_main
    ${ARG_LINK})
  target_compile_definitions(${folder}_test PRIVATE MODELSLIM_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  gtest_discover_tests(${folder}_test DISCOVERY_TIMEOUT 60 PROPERTIES LABELS quick TIMEOUT 300)
endfunction()
