// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The console on COM1: a 16550 with polled output and input buffered by its interrupt.

#include <atomic>

#include "arch/x86_64/cpu.hpp"
#include "arch/x86_64/devices.hpp"
#include "arch/x86_64/patience.hpp"
#include "arch/x86_64/trap.hpp"

namespace helix::x86_64 {

namespace {

constexpr uint16_t kPort = 0x3f8;
constexpr uint16_t kData = kPort, kInterruptEnable = kPort + 1, kFifoControl = kPort + 2, kLineControl = kPort + 3,
                   kModemControl = kPort + 4, kLineStatus = kPort + 5;
constexpr uint16_t kInterruptIdentity = kFifoControl;  // the same port, read
constexpr uint8_t kDataReady = 0x01, kTransmitEmpty = 0x20;
constexpr uint8_t kFifoOn = 0x01, kFifoIsOn = 0xc0;
size_t transmit_room = 1;  // bytes that fit when the transmitter is empty

// The CPU that writes, plus one, for the length of a text; zero: none.
std::atomic<uint32_t> writer;
constexpr uint64_t kWriterPatience = 2'000'000'000;

/// Texts of several CPUs do not mix. What interrupts a text on its own CPU may write in the middle of it. Preemption is
/// off meanwhile, lest the text's thread go elsewhere; a wish to reschedule that comes then waits for the next
/// occasion, as this may be a context where one must not. Who waits too long for a CPU that seems to be stuck goes
/// ahead.
class Turn {
public:
    Turn() : counts_(has_cpu_local()) {
        if (counts_) asm volatile("incl %%gs:0" ::: "memory", "cc");
        const uint32_t self = this_cpu() + 1;
        Patience patience(kWriterPatience);
        for (;;) {
            uint32_t nobody = 0;
            owns_ = writer.compare_exchange_strong(nobody, self);
            if (owns_ || nobody == self || patience.is_over()) return;
            arch::spin_hint();
        }
    }
    ~Turn() {
        uint32_t self = this_cpu() + 1;
        if (owns_) writer.compare_exchange_strong(self, 0);
        if (counts_) asm volatile("decl %%gs:0" ::: "memory", "cc");
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

private:
    const bool counts_;
    bool owns_ = false;
};

std::atomic<bool> receiving;  // one CPU at a time, with interrupts off

// One producer (serial_receive) and one consumer (console_read). Positions only grow. When the buffer is full, bytes
// wait in the device, which holds back the sender.
constexpr uint32_t kInputSize = 1024;
uint8_t input[kInputSize];
uint32_t input_begin = 0;  // written by the consumer
uint32_t input_end = 0;    // written by the producer

}  // namespace

void serial_initialize() {
    out8(kLineControl, 0x80);  // divisor latch
    out8(kData, 1);            // 115200 baud
    out8(kInterruptEnable, 0);
    out8(kLineControl, 0x03);  // 8 bits, no parity, one stop bit
    // Switching the FIFO on empties it. What was sent before the kernel was there shall not be lost, so then it stays
    // off: a little slower, and nothing else.
    const bool fifo_was_on = (in8(kInterruptIdentity) & kFifoIsOn) == kFifoIsOn;
    if (fifo_was_on || (in8(kLineStatus) & kDataReady) == 0) {
        out8(kFifoControl, kFifoOn);
        transmit_room = 16;
    }
    out8(kModemControl, 0x0b);  // DTR, RTS, and OUT2, which lets interrupts out
    out8(kInterruptEnable, 0x01);
}

bool serial_receive() {
    while (receiving.exchange(true)) arch::spin_hint();
    const uint32_t begin = __atomic_load_n(&input_begin, __ATOMIC_ACQUIRE);
    const uint32_t before = input_end;
    uint32_t end = before;
    while (end - begin < kInputSize) {
        const uint8_t status = in8(kLineStatus);
        if ((status & kDataReady) == 0 || status == 0xff) break;  // 0xff: no such device
        input[end++ % kInputSize] = in8(kData);
    }
    __atomic_store_n(&input_end, end, __ATOMIC_RELEASE);
    receiving = false;
    return end != before;
}

void serial_keep() {
    writer = this_cpu() + 1;
}

}  // namespace helix::x86_64

namespace helix::arch {

using namespace x86_64;

void console_write(Text text) {
    const Turn turn;
    for (size_t at = 0; at < text.size();) {
        // Off for one filling of the FIFO, lest an interrupt's own output overflow it.
        const InterruptGuard guard;
        while ((in8(kLineStatus) & kTransmitEmpty) == 0) {
        }
        for (size_t i = 0; i < transmit_room && at < text.size(); ++i) out8(kData, static_cast<uint8_t>(text[at++]));
    }
}

int console_read() {
    const uint32_t begin = input_begin;
    if (begin == __atomic_load_n(&input_end, __ATOMIC_ACQUIRE)) {
        const InterruptGuard guard;
        serial_receive();
        if (begin == __atomic_load_n(&input_end, __ATOMIC_ACQUIRE)) return -1;
    }
    const int byte = input[begin % kInputSize];
    __atomic_store_n(&input_begin, begin + 1, __ATOMIC_RELEASE);
    return byte;
}

}  // namespace helix::arch
