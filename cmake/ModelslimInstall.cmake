# What `cmake --install` puts where:
#   bin/modelslim                     the program (found by its target, once src/cli makes it)
#   lib/, include/modelslim/          the library and the headers that its users may include
#   lib/cmake/modelslim/              so that find_package(modelslim) gives modelslim::modelslim
#   share/modelslim/                  calibration text and practices, which the program finds relative to itself
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# What users of the library link: the application layer, and with it everything below.
add_library(modelslim_api INTERFACE)
add_library(modelslim::modelslim ALIAS modelslim_api)
target_link_libraries(modelslim_api INTERFACE modelslim_app)
target_include_directories(modelslim_api INTERFACE
  "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>" "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
set_target_properties(modelslim_api PROPERTIES EXPORT_NAME modelslim)

get_property(libraries GLOBAL PROPERTY MODELSLIM_LIBRARIES)
list(REMOVE_ITEM libraries modelslim_cli) # arguments and terminal: the program's own
install(TARGETS ${libraries} modelslim_api modelslim_flags modelslim_warnings
  EXPORT modelslimTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(TARGET modelslim)
  install(TARGETS modelslim RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/modelslim" DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILES_MATCHING PATTERN "*.h")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/lab_calib" "${PROJECT_SOURCE_DIR}/lab_eval" "${PROJECT_SOURCE_DIR}/lab_practice"
  DESTINATION ${CMAKE_INSTALL_DATADIR}/modelslim)

set(package_directory ${CMAKE_INSTALL_LIBDIR}/cmake/modelslim)
install(EXPORT modelslimTargets NAMESPACE modelslim:: DESTINATION ${package_directory})
configure_package_config_file("${CMAKE_CURRENT_LIST_DIR}/modelslimConfig.cmake.in"
  "${PROJECT_BINARY_DIR}/modelslimConfig.cmake" INSTALL_DESTINATION ${package_directory})
write_basic_package_version_file("${PROJECT_BINARY_DIR}/modelslimConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/modelslimConfig.cmake" "${PROJECT_BINARY_DIR}/modelslimConfigVersion.cmake"
  DESTINATION ${package_directory})
