// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// History: a record of every load, unload, reload and swap, and of every failure that the supervisor handled.
#pragma once

#include "kernel/module/trial.hpp"
#include "kernel/thread/owner.hpp"
#include "kernel/thread/spin_lock.hpp"

namespace helix::kernel {

enum class TransactionResult : uint8_t { Committed, RolledBack, Refused, Cancelled, Failed, Restarted };
constexpr Text describe(TransactionResult result) {
    constexpr Text kNames[] = {"committed", "rolled-back", "refused", "cancelled", "failed", "restarted"};
    return kNames[static_cast<size_t>(result)];
}
inline constexpr size_t kTransactionResults = 6;

/// The phases of a reload, in order. A record's phase is where it ended.
enum class Phase : uint8_t { Prepare, Init, Trial, Canary, Hold, Transfer, Verify, Commit, Probation, Serving };
constexpr Text describe(Phase phase) {
    constexpr Text kNames[] = {"prepare",  "init",   "trial",  "canary",    "hold",
                               "transfer", "verify", "commit", "probation", "serving"};
    return kNames[static_cast<size_t>(phase)];
}
inline constexpr size_t kPhases = 10;

struct HistoryRecord {
    HistoryRecord();  // out of line: it is long

    uint64_t id = 0;
    uint64_t group = 0;       ///< the first record of the same reload of several modules; else 0
    uint64_t time_ns = 0;     ///< since boot, when it began
    FixedText<46> interface;  ///< what was swapped, or what the module implements (the first, if several); else empty
    FixedText<46> from;       ///< module, with version after a space
    FixedText<46> to;
    TransactionResult result = TransactionResult::Refused;
    Phase phase = Phase::Prepare;
    FixedText<186> reason;            ///< empty when it was committed
    uint64_t pause_ns = 0;            ///< first caller held to last released; for a restart, since the failure
    uint64_t pause_cycles = 0;        ///< the same in cycles (instructions under an emulator that counts them)
    uint64_t prepare_ns = 0;          ///< time before the hold
    uint64_t phase_ns[kPhases] = {};  ///< of each phase up to Commit; the pause is Hold to Commit
    uint64_t state_bytes = 0;
    TrialCounts trial;
    FailureCause cause;     ///< of a failure that the supervisor looked after
    uint64_t evict_ns = 0;  ///< of a policy: from its failure until another ruled in its place
};

/// The newest records, in a ring. Any thread context.
class History {
public:
    static constexpr size_t kCapacity = 128;

    /// Stores `record` under the next id, which it returns.
    uint64_t add(HistoryRecord record) {
        SpinLockGuard guard(lock_);
        record.id = ++last_id_;
        records_[record.id % kCapacity] = record;
        return record.id;
    }
    /// Changes record `id` if it is still there, else returns false.
    template <typename Change>
    bool amend(uint64_t id, Change change) {
        SpinLockGuard guard(lock_);
        if (records_[id % kCapacity].id != id) return false;
        change(records_[id % kCapacity]);
        return true;
    }
    /// Puts `record` in the place of record `id`, or behind all others if that is not there any more.
    void replace(uint64_t id, HistoryRecord record) {
        record.id = id;
        if (!amend(id, [&](HistoryRecord& old) { old = record; })) add(record);
    }
    /// Record `id`; false if newer ones have taken its place.
    bool find(uint64_t id, HistoryRecord& out) {
        SpinLockGuard guard(lock_);
        if (records_[id % kCapacity].id != id) return false;
        out = records_[id % kCapacity];
        return true;
    }
    /// The record with the smallest id above `after`; false if there is none.
    bool next(uint64_t after, HistoryRecord& out) {
        SpinLockGuard guard(lock_);
        uint64_t id = after + 1;
        if (last_id_ >= kCapacity && id <= last_id_ - kCapacity) id = last_id_ - kCapacity + 1;
        if (id > last_id_) return false;
        out = records_[id % kCapacity];
        return true;
    }

private:
    SpinLock lock_ HELIX_RANK(Semaphore);
    uint64_t last_id_ HELIX_GUARDED_BY(lock_) = 0;
    HistoryRecord records_[kCapacity] HELIX_GUARDED_BY(lock_);
};

}  // namespace helix::kernel
