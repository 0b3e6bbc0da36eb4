// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Ledger: all memory that one module instance holds, and counts of what else it holds.
#pragma once

#include "kernel/memory/heap.hpp"
#include "kernel/thread/spin_lock.hpp"

#include <boost/intrusive/list.hpp>

namespace helix::kernel {

class Ledger;

/// Precedes every block that a module got; keeps the block aligned to 16 bytes.
struct alignas(16) LedgerBlock : boost::intrusive::list_base_hook<> {
    Ledger* ledger = nullptr;  ///< null once the block was given back
    uint64_t size : 31 = 0;
    uint64_t lead : 4 = 0;   ///< this header ends 2^lead bytes behind the start of the heap block
    uint64_t site : 29 = 0;  ///< where in the module it was allocated; 0: not known
};
static_assert(sizeof(LedgerBlock) == 32);

/// What was allocated in one place of a module and not given back.
struct LedgerSite {
    uint32_t site = 0;
    uint64_t blocks = 0;
    uint64_t bytes = 0;
};

/// What an instance holds at a moment.
struct LedgerTotals {
    uint64_t blocks = 0;
    uint64_t bytes = 0;
    uint32_t threads = 0;
    uint32_t semaphores = 0;
    uint32_t handles = 0;
    uint32_t subscriptions = 0;
    uint32_t requests = 0;  ///< pending
    uint32_t timers = 0;
    uint32_t lines = 0;

    /// But for subscriptions, which a module cannot give back.
    bool empty() const {
        return blocks == 0 && threads == 0 && semaphores == 0 && handles == 0 && requests == 0 && timers == 0 &&
               lines == 0;
    }
};

/// Safe from several threads. Memory and buffers are in one list; a buffer may move to another ledger.
class Ledger {
public:
    explicit Ledger(Heap& heap) : heap_(heap) {}
    Ledger(const Ledger&) = delete;
    Ledger& operator=(const Ledger&) = delete;

    /// Null when memory is short, or `size` exceeds 1 GiB. `alignment` is a power of two up to 4,096. `site` says where
    /// in the module that was, below 512 MiB; 0: not known.
    void* allocate(size_t size, size_t alignment, uint32_t site = 0);
    /// Gives back a block of any ledger. Panics on anything else: for pointers that the kernel itself keeps.
    static void free(void* block);
    /// Whether the 32 bytes of a header, copied from in front of a pointer that a module named, are those of a block
    /// of this ledger that was not given back.
    bool is_header_of_mine(const LedgerBlock& copy) const { return copy.ledger == this; }
    /// Gives back `block` if it is one of this ledger's, in one step: of several that try, one does. Its header can be
    /// read. False if it is none.
    bool try_free(void* block);
    /// `block` of at least `size` bytes belongs to `to`, another ledger, from now on; nothing is copied. False if it is
    /// none of this ledger's, or smaller; safe for any address.
    bool hand_over(const void* block, size_t size, Ledger& to);
    /// Gives everything back.
    void release_all();
    /// Where the oldest blocks come from, a thousand of them at most: so many different places as fit into `out`, each
    /// with its sum. How many that are; a place that is not known is none.
    size_t sites(Span<LedgerSite> out);

    uint64_t blocks() const HELIX_READS_UNLOCKED { return __atomic_load_n(&blocks_, __ATOMIC_RELAXED); }
    uint64_t bytes() const HELIX_READS_UNLOCKED { return __atomic_load_n(&bytes_, __ATOMIC_RELAXED); }

private:
    void remove(LedgerBlock& header) HELIX_REQUIRES(lock_);
    static LedgerBlock& header_of(void* block) { return static_cast<LedgerBlock*>(block)[-1]; }

    Heap& heap_;
    SpinLock lock_ HELIX_RANK(Semaphore);
    boost::intrusive::list<LedgerBlock> list_ HELIX_GUARDED_BY(lock_);
    uint64_t blocks_ HELIX_GUARDED_BY(lock_) = 0;
    uint64_t bytes_ HELIX_GUARDED_BY(lock_) = 0;
};

}  // namespace helix::kernel
