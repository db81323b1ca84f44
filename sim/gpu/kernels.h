#pragma once

namespace tessera::sim::gpu {

/// The PTX that tests, probes and the demo load; it does the same on a real GPU (sm_70 and later).
/// `spin` keeps one block busy for so many nanoseconds, `noop` ends at once, `poison` writes to an
/// address that is not there.
inline constexpr const char* kKernelsPtx = R"(.version 7.0
.target sm_70
.address_size 64

.visible .global .align 4 .b8 tessera_scratch[4096];

.visible .entry spin(.param .u64 spin_ns)
{
  .reg .pred %p<2>;
  .reg .b64 %rd<6>;
  ld.param.u64 %rd1, [spin_ns];
  mov.u64 %rd2, %globaltimer;
again:
  mov.u64 %rd3, %globaltimer;
  sub.u64 %rd4, %rd3, %rd2;
  setp.lt.u64 %p1, %rd4, %rd1;
  @%p1 bra again;
  ret;
}

.visible .entry noop()
{
  ret;
}

.visible .entry poison()
{
  .reg .b64 %rd<2>;
  .reg .b32 %r<2>;
  mov.u64 %rd1, 8;
  mov.u32 %r1, 1;
  st.global.u32 [%rd1], %r1;
  ret;
}
)";

}  // namespace tessera::sim::gpu
