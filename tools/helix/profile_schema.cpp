// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The keys of a helix.toml: those of the published Helix schema, and the few that are new.

#include "profile_schema.hpp"

#include "text.hpp"

#include "helix/units.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace helix::tool {

namespace {

constexpr ProfileKey boolean(std::string_view path, std::string_view reason = {}, std::string_view already = {}) {
    return {path, KeyType::Boolean, 0, 0, {}, reason, already};
}
constexpr ProfileKey integer(std::string_view path, int64_t minimum, int64_t maximum, std::string_view reason = {},
                             std::string_view already = {}) {
    return {path, KeyType::Integer, minimum, maximum, {}, reason, already};
}
constexpr ProfileKey string(std::string_view path, std::string_view choices = {}, std::string_view reason = {},
                            std::string_view already = {}) {
    return {path, KeyType::String, 0, 0, choices, reason, already};
}
constexpr ProfileKey list(std::string_view path, std::string_view reason = {}) {
    return {path, KeyType::StringList, 0, 0, {}, reason};
}
constexpr ProfileKey inline_table(std::string_view path, std::string_view reason) {
    return {path, KeyType::Inline, 0, 0, {}, reason};
}

constexpr std::string_view kNotBuilt = "not built yet";
constexpr std::string_view kOrder = "the start order comes from the modules' dependencies";
constexpr std::string_view kOneKernel = "one kernel binary serves every profile";
constexpr std::string_view kPolicy = "it is an option of a scheduler module, and the chosen one does not declare it";

constexpr ProfileKey kKeys[] = {
    string("profile.name"),
    string("profile.version"),
    string("profile.description"),
    string("profile.author"),
    string("profile.license"),
    string("profile.target", "minimal|embedded|server|desktop|secure|research"),
    string("profile.arch.primary", "x86_64|hosted|aarch64|riscv64"),
    list("profile.arch.supported"),
    boolean("profile.features.multicore"),
    boolean("profile.features.smp"),
    boolean("profile.features.preemptive", "kernel threads are always preemptive", "true"),
    boolean("profile.features.hot_reload", "every module that declares HotReloadable can be replaced", "true"),
    boolean("profile.features.userspace"),
    boolean("profile.features.networking", kNotBuilt, "false"),
    boolean("profile.features.filesystem", kNotBuilt, "false"),
    boolean("profile.features.graphics", kNotBuilt, "false"),
    boolean("profile.features.acpi", "the ports use what ACPI they need", "true"),
    boolean("profile.features.power_management", kNotBuilt, "false"),

    integer("memory.min_ram_mb", 1, 1 << 20),
    integer("memory.max_ram_mb", 0, 1 << 20),
    integer("memory.heap_size_kb", 0, 1 << 30, "the heap grows and shrinks by pages"),
    integer("memory.stack_size_kb", 16, 1024),
    boolean("memory.virtual_memory", "memory protection is always on", "true"),
    boolean("memory.huge_pages", "the port chooses page sizes"),

    string("scheduler.module"),
    integer("scheduler.time_slice_ms", 0, 0, kPolicy),
    integer("scheduler.priority_levels", 0, 0, kPolicy),
    boolean("scheduler.load_balancing", kPolicy, "false"),
    boolean("scheduler.interactive_boost", kPolicy, "false"),
    string("scheduler.watchdog"),
    string("scheduler.preemption", "none|voluntary|full", "kernel threads are always preemptive", "full"),

    string("allocator.heap"),
    string("allocator.physical", "buddy|bitmap|tlsf|simple", "physical pages always come from a buddy allocator",
           "buddy"),

    string("console.backend", "serial|vga|framebuffer", "the console is the serial line", "serial"),
    integer("console.baud_rate", 1, 1 << 24, "the emulated serial line has no speed", "115200"),
    integer("console.serial_baud", 1, 1 << 24, "the emulated serial line has no speed", "115200"),
    string("console.serial_port", {}, "the console is the first serial line", "COM1"),
    boolean("console.early_console", "the console works from the first instruction on", "true"),
    string("console.log_level", "debug|info|warn|warning|error"),

    list("modules.static"),
    list("modules.dynamic"),
    string("modules.probation"),
    string("modules.restart", "never|on-failure|always"),
    integer("modules.restart_limit", 1, 16),
    string("modules.restart_period"),
    string("modules.restart_delay"),
    string("modules.restart_delay_max"),
    string("modules.health_period"),
    integer("modules.health_failures", 1, 1000),
    string("modules.checkpoint"),
    string("modules.call_budget"),
    string("modules.call_limit"),

    list("boot.load"),
    string("boot.cmdline"),
    string("boot.entry", {}, "the port has its own entry", "kernel_main"),
    list("boot.early_init", kOrder),
    list("boot.late_init", kOrder),
    string("boot.protocol", {}, "one image answers PVH and Multiboot2", "multiboot2|pvh"),
    boolean("boot.splash", kNotBuilt, "false"),

    boolean("security.capabilities", kNotBuilt, "false"),
    boolean("security.mac", kNotBuilt, "false"),
    string("security.mac_module", {}, kNotBuilt),
    string("security.default_label", {}, kNotBuilt),
    string("security.kernel_label", {}, kNotBuilt),
    list("security.default_caps", kNotBuilt),
    boolean("security.inherit_caps", kNotBuilt, "false"),
    boolean("security.sandbox", "a module is contained by its gate; user space is not built yet", "false"),
    inline_table("security.sandbox_config", kNotBuilt),
    boolean("security.audit", kNotBuilt, "false"),
    boolean("security.secure_boot", kNotBuilt, "false"),
    boolean("security.tpm", kNotBuilt, "false"),
    boolean("security.aslr", kNotBuilt, "false"),
    boolean("security.stack_canaries", "stacks have guard pages instead", "false"),
    boolean("security.smep_smap", "on whenever the CPU has them", "true"),

    string("debug.level", "none|minimal|normal|verbose|trace"),
    string("debug.panic_behavior", "halt|reboot|dump"),
    boolean("debug.symbols"),
    boolean("debug.stack_traces", "a panic always prints a backtrace", "true"),
    boolean("debug.serial_console", "the console is the serial line", "true"),
    boolean("debug.debugger", "use QEMU's GDB server", "false"),
    integer("debug.trace_entries", 0, 65536),
    integer("debug.debug_port", 0, 65535, "there is no debug port"),

    string("build.opt_level", {}, kOneKernel),
    boolean("build.lto", kOneKernel),
    string("build.panic", {}, "C++ without exceptions has one panic strategy", "abort"),
    boolean("build.strip"),
    boolean("build.debug_info", kOneKernel),
    string("build.profile", {}, kOneKernel),
};

}  // namespace

std::span<const ProfileKey> profile_keys() {
    return kKeys;
}

namespace {
constexpr SupervisionKey kSupervisionKeys[] = {
    {"restart", SupervisionKey::Takes::Restart},
    {"restart_limit", SupervisionKey::Takes::Count, 16},
    {"restart_period", SupervisionKey::Takes::LongerDuration},
    {"restart_delay", SupervisionKey::Takes::Duration},
    {"restart_delay_max", SupervisionKey::Takes::Duration},
    {"health_period", SupervisionKey::Takes::Duration},
    {"health_failures", SupervisionKey::Takes::Count, 1000},
    {"checkpoint", SupervisionKey::Takes::Duration},
    {"call_budget", SupervisionKey::Takes::LongerDuration},
    {"call_limit", SupervisionKey::Takes::Duration},
};
}  // namespace

std::span<const SupervisionKey> supervision_keys() {
    return kSupervisionKeys;
}

const SupervisionKey* find_supervision_key(std::string_view name) {
    for (const SupervisionKey& key : kSupervisionKeys)
        if (key.name == name) return &key;
    return nullptr;
}

std::string SupervisionKey::refusal(const std::string& value) const {
    uint64_t number = 0;
    switch (takes) {
        case Takes::Restart:
            if (value == "never" || value == "on-failure" || value == "always") return {};
            return "\"never\", \"on-failure\" or \"always\"";
        case Takes::Count:
            if (parse_unsigned(Text(value.data(), value.size()), number) && number >= 1 && number <= limit) return {};
            return fmt::format("a number from 1 to {}", limit);
        case Takes::Duration:
        case Takes::LongerDuration:
            if (parse_duration(Text(value.data(), value.size()), number) && (number > 0 || takes == Takes::Duration))
                return {};
            return takes == Takes::Duration ? "a duration such as \"2s\" or \"500ms\""
                                            : "a duration above zero such as \"2s\" or \"500ms\"";
    }
    return {};
}

std::string boot_word_problem(std::string_view word) {
    static const std::vector<std::string> kWords{"json=1",      "json=0",       "interactive=1", "interactive=0",
                                                 "report=boot", "report=trace", "cursor=0"};
    if (std::ranges::find(kWords, word) != kWords.end()) return {};
    for (const std::string_view key : {"cpus=", "trace="}) {
        const bool is_number = word.size() > key.size() && word.starts_with(key) &&
                               word.find_first_not_of("0123456789", key.size()) == std::string_view::npos;
        if (is_number) return {};
    }
    return fmt::format("the kernel has no use for the boot word \"{}\"{}", word, did_you_mean(word, kWords));
}

}  // namespace helix::tool
