# What concur's own tests, examples and benchmarks are built with. Users of the library get none of it.

set(CONCUR_CHAOS "" CACHE STRING
  "A number: tests run with random delays between threads, drawn from this seed; empty: off")
set(CONCUR_SANITIZE "" CACHE STRING "Sanitizers, as in -fsanitize=: 'address,undefined' or 'thread'")

# Errors only where a preset sets CMAKE_COMPILE_WARNING_AS_ERROR: a newer compiler's newest warning
# must not keep anybody from running the demo.
set(concur_warnings
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wold-style-cast)

set_property(TARGET concur PROPERTY VERIFY_INTERFACE_HEADER_SETS ON)

add_library(concur_dev INTERFACE)
target_link_libraries(concur_dev INTERFACE concur::concur)
target_compile_options(concur_dev INTERFACE ${concur_warnings})

set(concur_launcher "")
if(CONCUR_SANITIZE)
  set(sanitize "-fsanitize=${CONCUR_SANITIZE}" -fno-omit-frame-pointer)
  # Behind the instrumentation, g++ cannot see any more what is initialised.
  target_compile_options(concur_dev INTERFACE "$<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>")
  if(CONCUR_SANITIZE MATCHES "undefined")
    list(APPEND sanitize -fno-sanitize-recover=undefined)
  endif()
  target_compile_options(concur_dev INTERFACE ${sanitize})
  target_link_options(concur_dev INTERFACE ${sanitize})
endif()

# Kernels with much address randomisation break older ThreadSanitizers ("unexpected memory
# mapping"). Containers may forbid setarch, hence the trial.
if(CONCUR_SANITIZE MATCHES "thread")
  find_program(CONCUR_SETARCH setarch)
  mark_as_advanced(CONCUR_SETARCH)
  if(CONCUR_SETARCH)
    execute_process(COMMAND "${CONCUR_SETARCH}" -R true RESULT_VARIABLE refused OUTPUT_QUIET ERROR_QUIET)
    if(refused EQUAL 0)
      set(concur_launcher "${CONCUR_SETARCH}" -R)
    endif()
  endif()
endif()

# An executable of ours: concur_executable(<target> <source>...)
function(concur_executable target)
  add_executable(${target} ${ARGN})
  target_link_libraries(${target} PRIVATE concur_dev)
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
endfunction()

# One executable and one ctest for each source under the current directory, so that ctest runs
# them in parallel and a hang costs one file: concur_test_each(<label> [header...])
# The headers, which most of the sources include, are compiled once for all.
function(concur_test_each label)
  if(ARGN)
    file(CONFIGURE OUTPUT headers.cpp CONTENT "")
    add_library(${label}_headers OBJECT "${CMAKE_CURRENT_BINARY_DIR}/headers.cpp")
    target_link_libraries(${label}_headers PRIVATE concur_dev concur_doctest)
    set_target_properties(${label}_headers PROPERTIES CXX_EXTENSIONS OFF)
    if(NOT CONCUR_CHAOS STREQUAL "")
      target_compile_definitions(${label}_headers PRIVATE CONCUR_CHAOS=${CONCUR_CHAOS})
    endif()
    target_precompile_headers(${label}_headers PRIVATE ${ARGN})
  endif()
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS RELATIVE "${CMAKE_CURRENT_SOURCE_DIR}" *.cpp)
  foreach(source IN LISTS sources)
    cmake_path(REMOVE_EXTENSION source OUTPUT_VARIABLE path)
    cmake_path(GET path FILENAME name)
    string(REPLACE "/" "." test "${label}.${path}")
    string(REPLACE "/" "_" target "${label}_${path}")
    concur_executable(${target} ${source})
    target_link_libraries(${target} PRIVATE concur_doctest)
    if(NOT CONCUR_CHAOS STREQUAL "")
      target_compile_definitions(${target} PRIVATE CONCUR_CHAOS=${CONCUR_CHAOS})
    endif()
    if(ARGN)
      target_precompile_headers(${target} REUSE_FROM ${label}_headers)
    endif()

    set(labels ${label})
    set(timeout 120)
    if(name MATCHES "^slow_")
      list(APPEND labels slow)
      set(timeout 600)
    elseif(name MATCHES "^race_")
      list(APPEND labels race)
    endif()
    add_test(NAME ${test} COMMAND ${concur_launcher} "$<TARGET_FILE:${target}>")
    set_tests_properties(${test} PROPERTIES TIMEOUT ${timeout} LABELS "${labels}")
  endforeach()
endfunction()
