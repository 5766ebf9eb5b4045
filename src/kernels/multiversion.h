// One loop compiled for several instruction sets, the best one picked when the program starts.
#pragma once

// Put before a function whose loops should use the widest vectors of the machine. Bits do not depend on the version
// picked as long as the loop has no reduction of its own: without contraction every version rounds alike. Not under
// sanitizers, whose runtimes are not up yet when the choice is made.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define MODELSLIM_MULTIVERSION __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define MODELSLIM_MULTIVERSION
#endif
