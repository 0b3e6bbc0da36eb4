// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The console of a hosted machine: two file descriptors, perhaps a terminal.
#include "arch/hosted/port.hpp"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

namespace helix::arch {

using namespace hosted;

namespace {

constexpr uint8_t kEndOfInput = 0x04;  // what Ctrl-D types

/// Room in the ring that is always left, for the byte that announces the end.
constexpr uint32_t kReserved = 1;

uint32_t bytes_in(const Console& console) {
    return __atomic_load_n(&console.head, __ATOMIC_ACQUIRE) - __atomic_load_n(&console.tail, __ATOMIC_ACQUIRE);
}

bool can_read(int file) {
    pollfd entry{file, POLLIN, 0};
    return system_call(SYS_poll, word_of(&entry), 1, 0) > 0;
}

/// Puts a terminal into a mode where every key arrives at once. Ctrl-\ still ends the process.
void make_raw(Console& console) {
    if (isatty(console.input) == 0 || tcgetattr(console.input, &console.saved) != 0) return;
    if (tcgetpgrp(console.input) != getpgrp()) return;  // in the background: the terminal is somebody else's
    termios raw = console.saved;
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | IEXTEN);
    raw.c_iflag &= ~static_cast<tcflag_t>(IXON);
    raw.c_cc[VINTR] = _POSIX_VDISABLE;
    raw.c_cc[VSUSP] = _POSIX_VDISABLE;
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    if (tcsetattr(console.input, TCSANOW, &raw) == 0) console.is_raw = true;
}

/// A replay does not depend on when input comes: it is all there before the kernel starts.
void read_script(Console& console) {
    for (;;) {
        if (console.script_size + 1 >= console.script_capacity) {
            const size_t capacity = console.script_capacity == 0 ? 65536 : console.script_capacity * 2;
            void* larger = realloc(console.script, capacity);
            if (larger == nullptr) break;
            console.script = static_cast<uint8_t*>(larger);
            console.script_capacity = capacity;
        }
        const ssize_t count = read(console.input, console.script + console.script_size,
                                   console.script_capacity - console.script_size - 1);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) break;
        console.script_size += static_cast<size_t>(count);
    }
    if (console.script != nullptr) console.script[console.script_size++] = kEndOfInput;
}

}  // namespace

void hosted::console_open(Console& console, const Options& options) {
    console.input = options.input;
    console.output = options.output;
    if (options.replay) {
        read_script(console);
        console.input_open = false;
    } else {
        make_raw(console);
    }
}

void hosted::console_restore(Console& console) {
    if (__atomic_exchange_n(&console.is_raw, false, __ATOMIC_ACQ_REL))
        tcsetattr(console.input, TCSANOW, &console.saved);
}

void hosted::console_close(Console& console) {
    console_restore(console);
    free(console.script);
}

bool hosted::console_has_bytes(const Console& console) {
    return console.script_next < console.script_size || bytes_in(console) != 0;
}

bool hosted::console_is_news(const Console& console) {
    if (console.script_next < console.script_size) return !console.script_told;
    return bytes_in(console) != 0 && __atomic_load_n(&console.head, __ATOMIC_RELAXED) != console.told;
}

bool hosted::console_refill(Console& console) {
    HostCall guard;  // after a panic the console is still needed
    if (__atomic_exchange_n(&console.lock, 1, __ATOMIC_ACQUIRE) != 0) return console_has_bytes(console);
    while (__atomic_load_n(&console.input_open, __ATOMIC_RELAXED)) {
        const uint32_t head = console.head;
        const uint32_t used = head - __atomic_load_n(&console.tail, __ATOMIC_ACQUIRE);
        const uint32_t room = static_cast<uint32_t>(kConsoleRing) - kReserved - used;
        if (room == 0 || !can_read(console.input)) break;
        const uint32_t start = head % kConsoleRing;
        const uint32_t to_end = static_cast<uint32_t>(kConsoleRing) - start;
        const long count = system_call(SYS_read, static_cast<uint64_t>(console.input), word_of(console.ring + start),
                                       room < to_end ? room : to_end);
        if (count == -EINTR || count == -EAGAIN) break;
        if (count <= 0) {
            console.ring[start] = kEndOfInput;
            __atomic_store_n(&console.input_open, false, __ATOMIC_RELAXED);
        }
        __atomic_store_n(&console.head, head + static_cast<uint32_t>(count > 0 ? count : 1), __ATOMIC_RELEASE);
    }
    __atomic_store_n(&console.lock, 0, __ATOMIC_RELEASE);
    return console_has_bytes(console);
}

void hosted::write_all(int file, Text text) {
    while (!text.empty()) {
        const long count = system_call(SYS_write, static_cast<uint64_t>(file), word_of(text.data()), text.size());
        if (count == -EINTR) continue;
        if (count == -EAGAIN) {
            pollfd entry{file, POLLOUT, 0};
            system_call(SYS_poll, word_of(&entry), 1, 1000);
            continue;
        }
        if (count <= 0) return;  // nobody is there to be told
        text = text.substr(static_cast<size_t>(count));
    }
}

void console_write(Text text) {
    PreemptionGuard guard;
    Port& port = this_port();
    if (port.replay.on) replay_hash(port.replay, as_bytes(text));
    write_all(port.console.output, text);
}

int console_read() {
    PreemptionGuard guard;
    Console& console = this_port().console;
    if (console.script_next < console.script_size) return console.script[console.script_next++];
    if (bytes_in(console) == 0 && !console_refill(console)) return -1;
    const uint32_t tail = console.tail;
    const uint8_t byte = console.ring[tail % kConsoleRing];
    __atomic_store_n(&console.tail, tail + 1, __ATOMIC_RELEASE);
    return byte;
}

}  // namespace helix::arch
