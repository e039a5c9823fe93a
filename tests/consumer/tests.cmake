# The ctests that build this directory as a stranger's project. In a file of its own, because the
# CMakeLists.txt beside it is the stranger's.
set(stage "${CMAKE_CURRENT_BINARY_DIR}/consumer/stage")

# Headers that have been renamed must not live on in the stage.
add_test(NAME consumer.install COMMAND sh -c
  "rm -rf \"$1\" && \"$2\" --install \"$3\" --prefix \"$1\" && test ! -e \"$1/include/concur/README.md\""
  sh "${stage}" "${CMAKE_COMMAND}" "${PROJECT_BINARY_DIR}")
set_tests_properties(consumer.install PROPERTIES
  FIXTURES_SETUP concur_stage TIMEOUT 120 LABELS consumer)

# consumer_test(<test> <mode> <option>...)
function(consumer_test name mode)
  set(build "${CMAKE_CURRENT_BINARY_DIR}/consumer/${name}")
  add_test(NAME consumer.${name} COMMAND "${CMAKE_CTEST_COMMAND}"
    --build-and-test "${CMAKE_CURRENT_SOURCE_DIR}/consumer" "${build}"
    --build-generator "${CMAKE_GENERATOR}"
    --build-options -DMODE=${mode} "-DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER}" ${ARGN}
    --test-command "${CMAKE_CTEST_COMMAND}" --output-on-failure)
  set_tests_properties(consumer.${name} PROPERTIES TIMEOUT 300 LABELS consumer)
endfunction()

consumer_test(find_package find_package "-DCMAKE_PREFIX_PATH=${stage}")
consumer_test(without_boost find_package "-DCMAKE_PREFIX_PATH=${stage}" -DWITHOUT_BOOST=ON)
consumer_test(add_subdirectory add_subdirectory "-DCONCUR_SOURCE=${PROJECT_SOURCE_DIR}")
consumer_test(fetch_content fetch_content "-DCONCUR_SOURCE=${PROJECT_SOURCE_DIR}")
set_tests_properties(consumer.find_package consumer.without_boost PROPERTIES FIXTURES_REQUIRED concur_stage)

find_package(PkgConfig QUIET)
if(PkgConfig_FOUND)
  consumer_test(pkg_config pkg_config)
  set_tests_properties(consumer.pkg_config PROPERTIES
    FIXTURES_REQUIRED concur_stage
    ENVIRONMENT "PKG_CONFIG_PATH=${stage}/share/pkgconfig")
endif()
