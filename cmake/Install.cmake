# Installs the static libraries, the public headers and the package files for find_package(Lovage).
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/Lovage)
get_property(modules GLOBAL PROPERTY LOVAGE_MODULES)

install(TARGETS ${modules} lovage_lovage EXPORT LovageTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS lovage_program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(EXPORT LovageTargets NAMESPACE lovage:: DESTINATION ${package_dir})
install(DIRECTORY lovage DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILES_MATCHING PATTERN "*.hpp"
  PATTERN detail EXCLUDE
  PATTERN "*conformance*" EXCLUDE
  PATTERN "fake_*.hpp" EXCLUDE
  PATTERN "scripted_*.hpp" EXCLUDE
  REGEX "/(brokers|brokers/[a-z]+|net|http|clients/[a-z]+)/test_[a-z]+\\.hpp$" EXCLUDE)

configure_package_config_file(cmake/LovageConfig.cmake.in ${PROJECT_BINARY_DIR}/LovageConfig.cmake
  INSTALL_DESTINATION ${package_dir})
# Before 1.0 a minor version may change anything.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/LovageConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES
  ${PROJECT_BINARY_DIR}/LovageConfig.cmake
  ${PROJECT_BINARY_DIR}/LovageConfigVersion.cmake
  cmake/LovageCompiler.cmake
  DESTINATION ${package_dir})
