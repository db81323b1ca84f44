#pragma once

/// Marks a member that may be touched only with the mutex held. clang checks it; g++ ignores it.
#if defined(__clang__)
#define TESSERA_GUARDED_BY(mutex) __attribute__((guarded_by(mutex)))
#else
#define TESSERA_GUARDED_BY(mutex)
#endif
