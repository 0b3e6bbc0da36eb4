// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Threads of one CPU in the order in which they came: a list through SchedulerThread::area.
//
// Lives in SchedulerCpu::area; all zero is a valid empty list. The lock of the CPU guards everything here.
#pragma once

#include "helix/interfaces/scheduler.hpp"

namespace helix::scheduling {

struct ListLinks {
    SchedulerThread* previous;
    SchedulerThread* next;
};

/// `Member` has static ListLinks& links(SchedulerThread&), and the same for const.
template <typename Member>
class ThreadList {
public:
    bool empty() const { return first_ == nullptr; }
    SchedulerThread* first() const { return first_; }
    static SchedulerThread* next(const SchedulerThread& thread) { return Member::links(thread).next; }

    void push_back(SchedulerThread& thread) {
        Member::links(thread) = {last_, nullptr};
        (last_ == nullptr ? first_ : Member::links(*last_).next) = &thread;
        last_ = &thread;
    }
    void push_front(SchedulerThread& thread) {
        Member::links(thread) = {nullptr, first_};
        (first_ == nullptr ? last_ : Member::links(*first_).previous) = &thread;
        first_ = &thread;
    }
    /// `thread` is in this list.
    void remove(SchedulerThread& thread) {
        ListLinks& links = Member::links(thread);
        (links.previous == nullptr ? first_ : Member::links(*links.previous).next) = links.next;
        (links.next == nullptr ? last_ : Member::links(*links.next).previous) = links.previous;
        links = {};
    }
    /// True if the links of `thread` and of its neighbours agree.
    bool holds(const SchedulerThread& thread) const {
        const ListLinks& links = Member::links(thread);
        const SchedulerThread* const from = links.previous == nullptr ? first_ : Member::links(*links.previous).next;
        const SchedulerThread* const back = links.next == nullptr ? last_ : Member::links(*links.next).previous;
        return from == &thread && back == &thread;
    }

private:
    SchedulerThread* first_;
    SchedulerThread* last_;
};

}  // namespace helix::scheduling
