// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// CpuWork: doing what was asked for.

#include "kernel/thread/cpu_work.hpp"

namespace helix::kernel {

CpuWorkQueue::Put CpuWorkQueue::put_behind(CpuWork* newest, CpuWork& work, CpuId id) {
    do {
        if (newest == closed()) return Put::Refused;
        work.next_[id] = newest;
    } while (!replace(newest, work));
    return newest == nullptr ? Put::First : Put::Behind;
}

/// Takes all that waits, leaves `instead` in its place, and does it.
void CpuWorkQueue::run_taken(CpuId id, CpuWork* instead) {
    context::require_preemption_off("CpuWorkQueue::run");
    struct Several {
        static void finish(CpuWork& work) {
            work.action_(work.argument_);
            work.finish(1);
        }
        /// From the oldest on.
        [[gnu::noinline]] static void finish_all(CpuWork* next, CpuId of) {
            for (CpuWork* newer = nullptr;;) {
                CpuWork* const older = next->next_[of];
                next->next_[of] = newer;
                if (older == nullptr) break;
                newer = next;
                next = older;
            }
            while (next != nullptr) {
                CpuWork& work = *next;
                next = work.next_[of];  // the work may be gone as soon as it is finished
                finish(work);
            }
        }
    };
    CpuWork* const newest = __atomic_exchange_n(&newest_, instead, __ATOMIC_ACQ_REL);
    if (instead != nullptr && (newest == nullptr || newest == closed())) return;
    if (__builtin_expect(newest->next_[id] == nullptr, 1))
        Several::finish(*newest);
    else
        Several::finish_all(newest, id);
}

}  // namespace helix::kernel
