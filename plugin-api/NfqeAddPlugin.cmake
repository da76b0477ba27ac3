# SPDX-License-Identifier: MIT
# nfqe_add_plugin(NAME SOURCE...): builds NAME.so, a plugin of nfq-engine.
function(nfqe_add_plugin name)
  add_library(${name} MODULE ${ARGN})
  target_link_libraries(${name} PRIVATE Nfqe::plugin)
  set_target_properties(${name} PROPERTIES PREFIX "" C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden)
endfunction()
