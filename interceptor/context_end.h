#pragma once

#include "interceptor/charge.h"
#include "interceptor/contexts.h"
#include "interceptor/gate.h"
#include "interceptor/overhead.h"

/// A context that ends takes its allocations with it. They get an owner that no context ever was
/// before the driver is asked, because it may hand out the context's handle and their addresses
/// again at once; the charges return after it has answered. Any thread.
namespace tessera {

/// An owner that no context ever was.
std::uint64_t NewGrave();

bool PrimaryIsActive(CUdevice device);
/// A primary context keeps its handle for the process's life. Null: there is none at the moment.
/// REQUIRES: this thread does not hold MakingOf the device.
CUcontext PrimaryOf(CUdevice device);

/// `end` asks the driver; `gone` says whether the context has ended by it. REQUIRES: the gate's
/// thread does not ask the context any more (contexts::Forget); MakingOf its device is held if it
/// may be a primary context.
template <typename End, typename Gone>
CUresult EndContext(CUcontext context, const End& end, const Gone& gone) {
  gate::EndLeases();
  const std::uint64_t grave = NewGrave();
  for (Ledger* ledger : {&MemoryLedger(), &ArrayLedger()}) {
    ledger->ChangeOwner(KeyOf(context), grave);
  }
  const ContextCharges own = TakeContext(context);
  const CUresult result = end();
  if (!gone(result)) {
    PutBackContext(context, own);
    for (Ledger* ledger : {&MemoryLedger(), &ArrayLedger()}) {
      ledger->ChangeOwner(grave, KeyOf(context));
    }
    return result;
  }
  ReleaseContext(own);
  std::uint64_t bytes[region::kMaxAccounts] = {};
  for (Ledger* ledger : {&MemoryLedger(), &ArrayLedger()}) ledger->TakeAllOf(grave, bytes);
  for (std::size_t i = 0; i < region::kMaxAccounts; ++i) {
    session::Release(static_cast<session::Account>(i), bytes[i]);
  }
  SettlePools();
  return result;
}

}  // namespace tessera
