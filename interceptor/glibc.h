#pragma once

/// The container's glibc may be older than the one that we are built with: these functions moved to
/// libc.so.6 in glibc 2.34 under a new version, and ld.so ends every process whose glibc lacks a
/// version that a preloaded library asks for. So we ask for the old one. Include wherever one of
/// them is called.
#if defined(__x86_64__)
#define TESSERA_OLDEST_GLIBC "GLIBC_2.2.5"
#elif defined(__aarch64__)
#define TESSERA_OLDEST_GLIBC "GLIBC_2.17"
#else
#error "which version did dlsym have when this architecture was new to glibc?"
#endif

__asm__(".symver dlopen, dlopen@" TESSERA_OLDEST_GLIBC);
__asm__(".symver dlerror, dlerror@" TESSERA_OLDEST_GLIBC);
__asm__(".symver dlvsym, dlvsym@" TESSERA_OLDEST_GLIBC);
__asm__(".symver pthread_create, pthread_create@" TESSERA_OLDEST_GLIBC);
__asm__(".symver pthread_once, pthread_once@" TESSERA_OLDEST_GLIBC);
__asm__(".symver pthread_mutex_trylock, pthread_mutex_trylock@" TESSERA_OLDEST_GLIBC);
__asm__(".symver pthread_mutex_timedlock, pthread_mutex_timedlock@" TESSERA_OLDEST_GLIBC);
