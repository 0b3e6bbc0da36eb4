// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// PendingRequests: requests that modules started and do not wait for. Each has a thread of the kernel that asks.
#pragma once

#include "helix/module.hpp"
#include "kernel/thread/awaited.hpp"

#include <boost/intrusive/list.hpp>

namespace helix::kernel {

struct Instance;
class Ledger;

/// On whose behalf a request is made.
struct Asking {
    InstanceId source;
    Ledger& ledger;            ///< gets the response's buffer
    uint64_t deadline_ns;      ///< for the module's turn, and for its restart; not for its answer
    const uint32_t* given_up;  ///< not 0: what has not begun does not begin any more; atomic; may be null
};

/// Thread context, preemption on.
class PendingRequests {
public:
    static constexpr uint32_t kMaximum = 64;  ///< of one instance

    /// `answered`: a semaphore of `by`, signalled when it is over; or None. Errors: OutOfMemory, Busy.
    Result<RequestId> start(Instance& by, Text target, Text type, Buffer payload, uint64_t timeout_ns,
                            SemaphoreId answered);
    /// What came of it, which is over with that. Errors: those of a request; TimedOut. Errors that leave it pending:
    /// Busy (`timeout_ns` is over), Cancelled. NotFound.
    Result<Response> wait(Instance& by, RequestId id, uint64_t timeout_ns);
    Result<void> cancel(Instance& by, RequestId id);
    /// Cancels all of `by`'s, which goes; none of its threads is left.
    void release_all(Instance& by);

private:
    struct Pending : boost::intrusive::list_base_hook<> {
        RequestId id = RequestId::None;
        Instance* by = nullptr;  ///< null: nobody wants to know any more
        FixedText<46> target;
        FixedText<62> type;
        Buffer payload;
        InstanceId source = InstanceId::None;
        uint64_t deadline_ns = kForever;
        SemaphoreId answered = SemaphoreId::None;
        uint32_t given_up = 0;  ///< as `by`, for who does not look under the lock; atomic
        bool done = false;
        Result<Response> result = ErrorCode::Cancelled;
    };
    struct State {
        boost::intrusive::list<Pending> all;
        uint32_t last_id = 0;
    };
    static void thread_main(void* pending);
    static Pending* find(State& state, const Instance& by, RequestId id);
    static bool let_go(State& state, Pending& pending);
    void finish(Pending& pending, Result<Response> result);

    Awaited<State> state_{LockRank::Slot};  // outside the locks of semaphores
};

}  // namespace helix::kernel
