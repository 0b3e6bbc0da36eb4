// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Log.
#include "kernel/console/log.hpp"

#include "arch/seam.hpp"
#include "kernel/duration.hpp"
#include "kernel/thread/lock_order.hpp"

namespace helix::kernel {

bool LogLock::enter() HELIX_NO_THREAD_SAFETY_ANALYSIS {
    preempt_disable();
    const uint32_t self = current_cpu() + 1;
    for (bool waited = false;; waited = true) {
        uint32_t holder = 0;
        if (__atomic_compare_exchange_n(&holder_, &holder, self, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return true;
        if (holder == self) {
            preempt_enable();
            return false;
        }
        if (!waited) count_lock(LockRank::Log, LockCount::Contended);
        arch::spin_hint();
    }
}

void LogLock::leave() HELIX_NO_THREAD_SAFETY_ANALYSIS {
    __atomic_store_n(&holder_, 0, __ATOMIC_RELEASE);
    preempt_enable();
}

void Log::write(LogLevel level, Text source, Text line) {
    Entry entry;
    entry.time_ns = arch::now_ns();
    entry.level = level;
    const auto copy = [](char* out, size_t capacity, Text text) {
        const size_t size = text.size() < capacity ? text.size() : capacity;
        for (size_t i = 0; i < size; ++i) {
            const char c = text[i];
            out[i] = static_cast<uint8_t>(c) < ' ' || c == 0x7f ? ' ' : c;
        }
        return static_cast<uint8_t>(size);
    };
    entry.source_size = copy(entry.source, sizeof(entry.source), source);
    entry.text_size = copy(entry.text, sizeof(entry.text), line);

    if (!lock_.enter()) {
        __atomic_add_fetch(&dropped_, 1, __ATOMIC_RELAXED);
        return;
    }
    Entry& slot = entries_[end_ % kLines];
    __builtin_memcpy(&slot, &entry, __builtin_offsetof(Entry, text) + entry.text_size);
    __atomic_store_n(&end_, end_ + 1, __ATOMIC_RELEASE);
    if (echo_holds_ == 0) {
        echo(slot);
        echoed_ = end_;
    }
    lock_.leave();
}

void Log::echo(const Entry& entry) {
    if (static_cast<uint32_t>(entry.level) < __atomic_load_n(&echo_level_, __ATOMIC_RELAXED)) return;
    if (input_line_size_ > 0) arch::console_write("\r\x1b[K");
    print(entry);
    if (input_line_size_ > 0) arch::console_write(Text(input_line_, input_line_size_));
}

void Log::print(const Entry& entry) {
    char line[320];
    size_t size = 0;
    const auto put = [&](Text text) {
        for (char c : text)
            if (size < sizeof(line)) line[size++] = c;
    };
    put(describe_log_time(entry.time_ns).text());
    put(" ");
    put(Text(entry.source, entry.source_size));
    put(": ");
    put(Text(entry.text, entry.text_size));
    put("\n");
    arch::console_write(Text(line, size));
}

Result<void> Log::set_echo_level(Text name) {
    for (LogLevel level : {LogLevel::Debug, LogLevel::Info, LogLevel::Warning, LogLevel::Error}) {
        if (describe(level) != name) continue;
        set_echo_level(level);
        return {};
    }
    return Error(
        ErrorCode::InvalidArgument,
        format("\"{}\" is not a log level; it is one of debug, info, warning, error", name.substr(0, 40)).text());
}

void Log::hold_echo() {
    if (!lock_.enter()) return;
    ++echo_holds_;
    lock_.leave();
}

void Log::release_echo() {
    if (!lock_.enter()) return;
    if (--echo_holds_ == 0) {
        if (echoed_ < first()) echoed_ = first();
        for (; echoed_ < end_; ++echoed_) echo(entries_[echoed_ % kLines]);
    }
    lock_.leave();
}

void Log::set_input_line(Text redraw) {
    if (!lock_.enter()) return;
    input_line_size_ = redraw.size() <= sizeof(input_line_) ? static_cast<uint32_t>(redraw.size()) : 0;
    __builtin_memcpy(input_line_, redraw.data(), input_line_size_);
    lock_.leave();
}

bool Log::read(uint64_t number, LogLine& out) {
    if (!lock_.enter()) return false;
    const bool there = number >= first() && number < end_;
    if (there) {
        const Entry& entry = entries_[number % kLines];
        out.time_ns = entry.time_ns;
        out.level = entry.level;
        out.source.assign(Text(entry.source, entry.source_size));
        out.text.assign(Text(entry.text, entry.text_size));
    }
    lock_.leave();
    return there;
}

void Log::dump(size_t count) const {
    const uint64_t after = end();
    uint64_t number = after > count ? after - count : 0;
    if (number < first()) number = first();
    for (; number < after; ++number) print(entries_[number % kLines]);
}

}  // namespace helix::kernel
