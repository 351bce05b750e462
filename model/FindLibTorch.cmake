# LibTorch as the imported target LibTorch::LibTorch, from the folder that SOTTO_LIBTORCH names: the one with include/ and
# lib/, of a LibTorch archive or of a Python wheel, built for CPU or CUDA. LibTorch's own TorchConfig.cmake is not used: it
# demands the CUDA toolkit for a CUDA build; headers and libraries are enough here.
find_path(LibTorch_INCLUDE_DIR ATen/ATen.h PATHS ${SOTTO_LIBTORCH}/include NO_DEFAULT_PATH NO_CACHE)
foreach(library c10 torch_cpu torch c10_cuda torch_cuda)
  find_library(LibTorch_${library} ${library} PATHS ${SOTTO_LIBTORCH}/lib NO_DEFAULT_PATH NO_CACHE)
endforeach()
if(NOT LibTorch_INCLUDE_DIR OR NOT LibTorch_c10 OR NOT LibTorch_torch_cpu OR NOT LibTorch_torch)
  message(FATAL_ERROR "LibTorch was not found in ${SOTTO_LIBTORCH}: it needs include/ATen/ATen.h and lib/libc10, "
    "libtorch_cpu and libtorch. `make` fetches it; or name an existing one with -DSOTTO_LIBTORCH=FOLDER (in a Python "
    "installation: the folder of the torch package).")
endif()

# A library with the other layout of std::string would not link, with a long list of symbols: look for its constructor of
# c10::Error and say so here.
file(STRINGS ${LibTorch_c10} LibTorch_old_abi REGEX "_ZN3c105ErrorC1ENS_14SourceLocationESs" LIMIT_COUNT 1)
if(LibTorch_old_abi)
  message(FATAL_ERROR "LibTorch in ${SOTTO_LIBTORCH} was built with _GLIBCXX_USE_CXX11_ABI=0; take a build with the C++11 "
    "ABI (every wheel from 2.7 on, or a 'cxx11-abi' archive) and name it with -DSOTTO_LIBTORCH=FOLDER.")
endif()
if(NOT TARGET LibTorch::LibTorch)
  add_library(LibTorch::LibTorch INTERFACE IMPORTED GLOBAL)  # GLOBAL: for tests of internals, too
  # SYSTEM: its headers are not held to our warnings. Private to one part: they shadow protobuf's and fmt's.
  target_include_directories(LibTorch::LibTorch SYSTEM INTERFACE ${LibTorch_INCLUDE_DIR}
                             ${LibTorch_INCLUDE_DIR}/torch/csrc/api/include)
  # libtorch_cpu and libtorch_cuda register their kernels when loaded; nothing refers to them by symbol, so force keeps them.
  set(LibTorch_libraries ${LibTorch_torch} ${LibTorch_torch_cpu} ${LibTorch_c10})
  if(LibTorch_torch_cuda)
    list(APPEND LibTorch_libraries ${LibTorch_torch_cuda} ${LibTorch_c10_cuda})
  endif()
  # at::parallel_for is compiled into its callers, and without OpenMP it is a plain loop. The runtime is the one that LibTorch
  # brings, so that there is one set of threads; the system's where it brings none.
  find_package(OpenMP COMPONENTS CXX)
  set(LibTorch_openmp "")
  if(OpenMP_CXX_FOUND)
    separate_arguments(LibTorch_openmp_flags UNIX_COMMAND "${OpenMP_CXX_FLAGS}")
    target_compile_options(LibTorch::LibTorch INTERFACE ${LibTorch_openmp_flags})
    file(GLOB LibTorch_openmp ${SOTTO_LIBTORCH}/lib/libgomp*.so* ${SOTTO_LIBTORCH}/lib/libiomp5.so*)
    if(LibTorch_openmp)
      list(GET LibTorch_openmp 0 LibTorch_openmp)
    else()
      set(LibTorch_openmp OpenMP::OpenMP_CXX)
    endif()
  else()
    message(WARNING "The compiler has no OpenMP: loading and generation run on one thread.")
  endif()
  target_link_libraries(LibTorch::LibTorch INTERFACE ${LibTorch_openmp} -Wl,--push-state,--no-as-needed ${LibTorch_libraries} -Wl,--pop-state)
endif()
