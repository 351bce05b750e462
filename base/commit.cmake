# cmake -DSOURCE=.. -DOUT=.. -P commit.cmake: writes the commit of SOURCE into OUT, a C++ file. "unknown" outside of a checkout.
set(commit unknown)
find_program(GIT git)
if(GIT)
  execute_process(COMMAND ${GIT} -C ${SOURCE} describe --always --dirty --exclude=* --abbrev=12
    OUTPUT_VARIABLE found OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
  if(NOT failed)
    set(commit ${found})
  endif()
endif()
file(CONFIGURE OUTPUT ${OUT} @ONLY CONTENT
"#include \"base/version.h\"

std::string_view sotto::commit() { return \"@commit@\"; }
")
