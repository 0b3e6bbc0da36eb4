// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The report of a kernel that cannot go on, and what happens then.
//
// Everything here works with any lock held and with broken data: texts go straight to the console, memory is only read
// where it is known to be mapped, and a fault or panic inside the report ends it at once.
#include "kernel/panic.hpp"

#include "kernel/console/commands.hpp"
#include "kernel/console/trace_text.hpp"
#include "kernel/kernel.hpp"
#include "kernel/module/function_name.hpp"

namespace helix::kernel {

namespace {

/// Exit status of a kernel that panicked.
constexpr uint8_t kPanicStatus = 101;
constexpr size_t kLogLines = 10;
constexpr size_t kTraceEntries = 16;
constexpr size_t kMaximumGates = 16;

/// One more than the CPU that panicked first; a second panic there is one in the report.
uint32_t panicking = 0;

template <typename... Arguments>
void print(FormatString<std::type_identity_t<Arguments>...> format, const Arguments&... arguments) {
    char line[320];
    arch::console_write(Text(line, format_to(Span<char>(line), format, arguments...)));
}

/// The module of the innermost gates whose mapping holds `address`; null for any other address.
Instance* module_at(uint64_t address) {
    const Gate* gate = current_gate();
    for (size_t i = 0; gate != nullptr && i < kMaximumGates; ++i, gate = gate->previous()) {
        if (gate->instance == nullptr) continue;
        Instance& instance = instance_of(gate->instance);
        if (instance.mapping != nullptr && instance.mapping->contains(address)) return &instance;
    }
    return nullptr;
}

/// An address where code was called from lies behind the call, which may be the last of its line or function.
enum class AddressKind : uint8_t { Here, Return };

void print_address(uint64_t address, AddressKind kind) {
    if (arch::is_kernel_text(address)) {
        print("  0x{:x} kernel\n", address);
    } else if (Instance* const instance = module_at(address)) {
        const uint64_t inside = kind == AddressKind::Here ? address : address - 1;
        uint64_t offset = 0;
        const Text symbol = instance->mapping->symbol_for(inside, offset);
        const auto source = instance->mapping->source_line(inside);
        print("  0x{:x} {}", address, instance->name());
        if (!symbol.empty()) print(": {}+0x{:x}", function_name(symbol).text(), offset + (address - inside));
        if (!source.empty()) print(" at {}", source.text());
        print("\n");
    } else {
        print("  0x{:x}\n", address);
    }
}

/// Follows the frame pointers as long as they lie in `stack` and lead upwards.
void print_frames(MutableBytes stack, uint64_t frame_pointer, size_t limit) {
    const auto low = reinterpret_cast<uint64_t>(stack.data());
    const uint64_t high = low + stack.size();
    size_t count = 0;
    uint64_t below = low;
    while (count < limit && frame_pointer >= below && frame_pointer % 8 == 0 && frame_pointer < high &&
           high - frame_pointer >= 16) {
        const auto* const frame = reinterpret_cast<const uint64_t*>(frame_pointer);
        if (frame[1] == 0) break;
        print_address(frame[1], AddressKind::Return);
        ++count;
        below = frame_pointer + 16;
        frame_pointer = frame[0];
    }
    if (count == 0) print("  (the frame pointer does not lead into the thread's stack)\n");
}

/// Until somebody at the console wants to go: Ctrl-C or Ctrl-D powers off.
[[noreturn]] void halt() {
    print("halted; Ctrl-C powers off\n");
    for (;;) {
        const int byte = arch::console_read();
        if (byte == 0x03 || byte == 0x04) arch::power_off(kPanicStatus);
        arch::spin_hint();
    }
}

[[noreturn]] void report(Text reason, uint64_t instruction, uint64_t frame_pointer) {
    const uint32_t self = cpu_local() == nullptr ? 1 : current_cpu() + 1;
    uint32_t before = 0;
    const bool first =
        __atomic_compare_exchange_n(&panicking, &before, self, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    if (!first && before != self)
        for (;;) arch::spin_hint();  // that CPU reports, and is about to halt this one
    if (first) arch::halt_other_cpus();
    arch::console_write(first ? Text("\nkernel panic: ") : Text("\nkernel panic in the report of another: "));
    arch::console_write(reason);
    arch::console_write("\n");
    if (!first) arch::power_off(kPanicStatus);

    preempt_disable();
    const CpuLocal* const local = cpu_local();
    if (local == nullptr || local->kernel == nullptr) {
        print("the kernel was not up yet\n");
        arch::power_off(kPanicStatus);
    }
    Kernel& kernel = this_kernel();
    const Text behavior = kernel.profile.value("debug.panic_behavior");
    const bool whole = behavior == "dump";

    print("cpu {}", local->cpu);
    MutableBytes stack;
    if (local->thread != nullptr) {
        const Thread& thread = current_thread();
        stack = thread.stack;
        print(", thread {} {}", thread.id, thread.name);
    }
    if (local->gate != nullptr && local->gate->instance != nullptr)
        print(", in module {}", instance_of(local->gate->instance).name());
    print("\nbacktrace (panic is at 0x{:x}):\n", reinterpret_cast<uint64_t>(&report));
    if (instruction != 0) print_address(instruction, AddressKind::Here);
    print_frames(stack, frame_pointer, whole ? 64 : 16);
    print("last log lines:\n");
    kernel.log.dump(whole ? Log::kLines : kLogLines);
    struct Console final : TextSink {
        void write(Text text) override { arch::console_write(text); }
    } console;
    kernel.trace.pause();
    print("last trace entries:\n");
    static char scratch[1024];  // the stack may be a small one
    Listing listing(console, false, kTraceColumns, Span<char>(scratch));
    list_trace(kernel, whole ? 4 * kTraceEntries : kTraceEntries, listing);
    listing.finish();
    if (boot_word(kernel.boot.command_line, "report") == "trace") report_trace(kernel, console);

    // Without a person at the console nobody could see a halted machine, and a restarted one would look like a success.
    if (boot_word(kernel.boot.command_line, "interactive") == "1") {
        if (behavior == "halt") halt();
        if (behavior == "reboot") arch::restart();
    }
    arch::power_off(kPanicStatus);
}

}  // namespace

void panic(Text reason) {
    report(reason, 0, reinterpret_cast<uint64_t>(__builtin_frame_address(0)));
}

void panic(Text reason, const TrapFrame& frame) {
    report(reason, arch::trap_instruction_pointer(frame), arch::trap_frame_pointer(frame));
}

}  // namespace helix::kernel
