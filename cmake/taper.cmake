# What every target shares: language, warnings, sanitizers, where programs land, generated schemas.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
find_program(TAPER_CCACHE ccache)
if(TAPER_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${TAPER_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${TAPER_CCACHE})
endif()

if(NOT TAPER_TRUSTED_ONLY AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  message(FATAL_ERROR "g++ ${CMAKE_CXX_COMPILER_VERSION} miscompiles C++20 coroutines. Use clang++-19 "
                      "(cmake --preset release does) or g++ 13 and later; TAPER_TRUSTED_ONLY=ON builds the "
                      "folders that have no coroutine.")
endif()

find_package(PkgConfig REQUIRED)
find_package(FlatBuffers CONFIG REQUIRED)
pkg_check_modules(sodium REQUIRED IMPORTED_TARGET libsodium>=1.0.18)
pkg_check_modules(lmdb REQUIRED IMPORTED_TARGET lmdb>=0.9.24)
if(NOT TAPER_TRUSTED_ONLY)
  find_package(Threads REQUIRED)
  find_package(Boost 1.81 CONFIG REQUIRED COMPONENTS headers system json)
  find_package(spdlog CONFIG REQUIRED)
  find_package(CLI11 CONFIG REQUIRED)
  find_package(tomlplusplus CONFIG REQUIRED)
  find_package(Catch2 2.13 CONFIG REQUIRED)
  find_package(benchmark CONFIG REQUIRED)
  add_library(taper_asio STATIC ${PROJECT_SOURCE_DIR}/cmake/asio.cc)
  target_compile_definitions(taper_asio PUBLIC BOOST_ASIO_SEPARATE_COMPILATION BOOST_ASIO_NO_DEPRECATED)
  target_link_libraries(taper_asio PUBLIC Boost::headers Threads::Threads)
endif()

add_library(taper_options INTERFACE)
target_include_directories(taper_options INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(taper_options INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Wshadow
                       -Wnon-virtual-dtor -Wold-style-cast -Wimplicit-fallthrough -Werror
                       -fstack-protector-strong
                       # GCC 12 sees overlaps inside std::string that are not there (its bug 105651), and
                       # lengths without end where two std::vector are compared.
                       $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>
                       $<$<CXX_COMPILER_ID:GNU>:-Wno-stringop-overread>)
target_compile_definitions(taper_options INTERFACE TAPER_VERSION="${PROJECT_VERSION}"
                           $<$<CONFIG:Release>:_FORTIFY_SOURCE=2>)
# A target with the property TAPER_PLAIN is linked with what is instrumented, and is not so itself.
set(instrumented $<NOT:$<BOOL:$<TARGET_PROPERTY:TAPER_PLAIN>>>)
if(TAPER_SANITIZE)
  # The vptr check asks the kernel whether memory is readable, which a cell's filter refuses.
  target_compile_options(taper_options INTERFACE $<${instrumented}:-fsanitize=${TAPER_SANITIZE}> -fno-sanitize-recover=all
                         $<$<CXX_COMPILER_ID:Clang>:-fno-sanitize=vptr>
                         -fno-omit-frame-pointer -U_FORTIFY_SOURCE)
  target_link_options(taper_options INTERFACE -fsanitize=${TAPER_SANITIZE})
endif()
if(TAPER_FUZZ)
  target_compile_options(taper_options INTERFACE $<${instrumented}:-fsanitize=fuzzer-no-link>)
endif()

# taper_schema(<target> <fbs>...): an interface target whose headers are <name>_generated.h.
function(taper_schema target)
  set(headers)
  set(directory ${CMAKE_BINARY_DIR}/generated/${target})
  foreach(fbs ${ARGN})
    get_filename_component(name ${fbs} NAME_WE)
    set(header ${directory}/${name}_generated.h)
    add_custom_command(OUTPUT ${header} DEPENDS ${PROJECT_SOURCE_DIR}/${fbs} VERBATIM
      COMMAND flatbuffers::flatc --cpp --cpp-std c++17 --scoped-enums -o ${directory} ${PROJECT_SOURCE_DIR}/${fbs})
    list(APPEND headers ${header})
  endforeach()
  add_custom_target(${target}_files DEPENDS ${headers})
  add_library(${target} INTERFACE)
  add_dependencies(${target} ${target}_files)
  target_include_directories(${target} SYSTEM INTERFACE ${directory})
  target_link_libraries(${target} INTERFACE flatbuffers::flatbuffers)
endfunction()
taper_schema(taper_schemas capsules/schema/capsule.fbs capsules/schema/root.fbs)
if(NOT TAPER_TRUSTED_ONLY)
  taper_schema(taper_messages runtime/broker/messages.fbs runtime/broker/agent.fbs runtime/broker/session.fbs)
endif()

# taper_library(<name> <folder> [PUBLIC <libraries>] [PRIVATE <libraries>]): every .cc of the folder and of
# its private subfolders that are no library of their own.
function(taper_library name folder)
  cmake_parse_arguments(arg "" "" "PUBLIC;PRIVATE" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${folder}/*.cc)
  if(folder STREQUAL "capsules")
    list(FILTER sources EXCLUDE REGEX "/capsules/author/")
  elseif(folder STREQUAL "store")
    list(FILTER sources EXCLUDE REGEX "/store/auditor/")
  endif()
  if(NOT sources)
    add_library(taper_${name} INTERFACE)
    return()
  endif()
  add_library(taper_${name} STATIC ${sources})
  target_link_libraries(taper_${name} PUBLIC taper_options ${arg_PUBLIC} PRIVATE ${arg_PRIVATE})
endfunction()

# taper_program(<name> <sources> <libraries>...): lands in <build>/bin.
function(taper_program name source)
  if(NOT source)
    return()
  endif()
  add_executable(${name} ${source})
  target_link_libraries(${name} PRIVATE taper_options ${ARGN})
endfunction()
