// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Log: the last lines that kernel and modules wrote, and their echo on the console.
#pragma once

#include "helix/abi.hpp"
#include "helix/format.hpp"
#include "kernel/thread/context.hpp"
#include "kernel/thread/lock_rank.hpp"

namespace helix::kernel {

constexpr Text describe(LogLevel level) {
    switch (level) {
        case LogLevel::Debug: return "debug";
        case LogLevel::Info: return "info";
        case LogLevel::Warning: return "warning";
        case LogLevel::Error: return "error";
    }
    return "?";
}

/// One line as it was written. Control characters in it were replaced by spaces.
struct LogLine {
    uint64_t time_ns;
    LogLevel level;
    FixedText<46> source;
    FixedText<200> text;
};

/// A lock that knows its holder, for any context: who comes upon it on its own CPU is turned away. A leaf, taken with
/// any lock held.
class HELIX_CAPABILITY("log lock") LogLock {
public:
    /// Waits, with preemption off from then on. False, with nothing changed, if the calling CPU holds it.
    bool enter() HELIX_TRY_ACQUIRE(true) HELIX_ANY_CONTEXT;
    void leave() HELIX_RELEASE() HELIX_ANY_CONTEXT;

private:
    uint32_t holder_ = 0;  // its CPU + 1; 0: nobody. Atomic
};

/// A ring of 256 lines. Unless a line says otherwise, every function may be called in any context, with any lock held,
/// once `%gs` is set. A line that is written while the same CPU is inside the log (a fault in the log itself) is
/// dropped and counted.
class Log {
public:
    static constexpr size_t kLines = 256;
    static constexpr size_t kLineLength = 200;

    // The lines are not cleared: they mean something below end_ only, and clearing them would cost boot time.
    Log() {}
    Log(const Log&) = delete;
    Log& operator=(const Log&) = delete;

    /// Keeps the line, cut at 200 characters, and echoes it if `level` is high enough. Both texts are read before
    /// anything is locked, so that a fault on a bad one leaves nothing behind.
    void write(LogLevel level, Text source, Text line);

    template <typename... Arguments>
    void debug(Text source, FormatString<std::type_identity_t<Arguments>...> format, const Arguments&... arguments) {
        formatted<Arguments...>(LogLevel::Debug, source, format, arguments...);
    }
    template <typename... Arguments>
    void info(Text source, FormatString<std::type_identity_t<Arguments>...> format, const Arguments&... arguments) {
        formatted<Arguments...>(LogLevel::Info, source, format, arguments...);
    }
    template <typename... Arguments>
    void warning(Text source, FormatString<std::type_identity_t<Arguments>...> format, const Arguments&... arguments) {
        formatted<Arguments...>(LogLevel::Warning, source, format, arguments...);
    }
    template <typename... Arguments>
    void error(Text source, FormatString<std::type_identity_t<Arguments>...> format, const Arguments&... arguments) {
        formatted<Arguments...>(LogLevel::Error, source, format, arguments...);
    }

    // ---- Echo.

    /// Lines of `level` and above are echoed; Warning at first.
    void set_echo_level(LogLevel level) {
        __atomic_store_n(&echo_level_, static_cast<uint32_t>(level), __ATOMIC_RELAXED);
    }
    /// No line is echoed, whatever its level.
    void set_echo_off() {
        __atomic_store_n(&echo_level_, static_cast<uint32_t>(LogLevel::Error) + 1, __ATOMIC_RELAXED);
    }
    /// set_echo_level by name, as the profile's `console.log_level` has it. Errors: InvalidArgument, naming the valid
    /// ones.
    Result<void> set_echo_level(Text name);
    /// Until release_echo nothing is echoed, so that whoever writes to the console keeps its lines whole; then the
    /// lines that waited follow. Holds nest. Thread context.
    void hold_echo();
    void release_echo();
    /// What redraws a line that is being typed, or nothing: an echo clears that line first and redraws it afterwards.
    /// Copied, at most 200 bytes; a longer one is not redrawn. Thread context.
    void set_input_line(Text redraw);

    // ---- Reading. Lines are numbered from 0.

    /// The number of the oldest line that is kept, and of the line that will be written next.
    uint64_t first() const {
        const uint64_t after = end();
        return after > kLines ? after - kLines : 0;
    }
    uint64_t end() const HELIX_READS_UNLOCKED { return __atomic_load_n(&end_, __ATOMIC_ACQUIRE); }
    /// Copies line `number`; false when it is not there (any more).
    bool read(uint64_t number, LogLine& out);
    /// Writes the last `count` lines to the console without locking anything: for a kernel that is about to stop.
    void dump(size_t count) const HELIX_NO_THREAD_SAFETY_ANALYSIS;
    /// Lines that were not kept.
    uint64_t dropped() const { return __atomic_load_n(&dropped_, __ATOMIC_RELAXED); }

private:
    struct Entry {
        uint64_t time_ns;
        LogLevel level;
        uint8_t source_size;
        uint8_t text_size;
        char source[46];
        char text[kLineLength];
    };

    template <typename... Arguments>
    void formatted(LogLevel level, Text source, FormatString<std::type_identity_t<Arguments>...> format,
                   const Arguments&... arguments) {
        char line[kLineLength];
        write(level, source, Text(line, format_to(Span<char>(line), format, arguments...)));
    }
    void echo(const Entry& entry) HELIX_REQUIRES(lock_);
    static void print(const Entry& entry);

    LogLock lock_ HELIX_RANKED(Log);
    uint32_t echo_level_ = static_cast<uint32_t>(LogLevel::Warning);  // atomic
    uint64_t dropped_ = 0;                                            // atomic
    uint64_t end_ HELIX_GUARDED_BY(lock_) = 0;
    uint64_t echoed_ HELIX_GUARDED_BY(lock_) = 0;  // lines below were echoed or need none
    uint32_t echo_holds_ HELIX_GUARDED_BY(lock_) = 0;
    uint32_t input_line_size_ HELIX_GUARDED_BY(lock_) = 0;
    char input_line_[200] HELIX_GUARDED_BY(lock_);
    Entry entries_[kLines] HELIX_GUARDED_BY(lock_);
};

}  // namespace helix::kernel
