include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# share/, not lib/: headers fit every architecture, and concur.pc finds its prefix two levels up.
set(config_dir "${CMAKE_INSTALL_DATADIR}/cmake/concur")

install(TARGETS concur EXPORT concur-targets FILE_SET HEADERS)
install(EXPORT concur-targets NAMESPACE concur:: DESTINATION "${config_dir}")

configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/concur-config.cmake.in"
  "${PROJECT_BINARY_DIR}/concur-config.cmake"
  INSTALL_DESTINATION "${config_dir}"
  NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/concur-config-version.cmake"
  COMPATIBILITY SameMinorVersion
  ARCH_INDEPENDENT)
install(FILES
  "${PROJECT_BINARY_DIR}/concur-config.cmake"
  "${PROJECT_BINARY_DIR}/concur-config-version.cmake"
  DESTINATION "${config_dir}")

configure_file("${PROJECT_SOURCE_DIR}/cmake/concur.pc.in" "${PROJECT_BINARY_DIR}/concur.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/concur.pc" DESTINATION "${CMAKE_INSTALL_DATADIR}/pkgconfig")
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DOCDIR}")
