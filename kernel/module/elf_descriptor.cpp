// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// What a module file says of its module: descriptor, info, options and interfaces. As untrusted as the rest of it.

#include "helix/format.hpp"
#include "kernel/module/elf.hpp"
#include "kernel/module/elf_records.hpp"
#include "kernel/module/options.hpp"
#include "kernel/module/text_rules.hpp"
#include "kernel/module/version_range.hpp"

namespace helix::kernel {

namespace {

static_assert(std::is_trivially_copyable_v<ModuleDescriptor> && std::is_trivially_copyable_v<Option> &&
              std::is_trivially_copyable_v<InterfaceEntry>);

template <size_t N>
bool fits(const FixedText<N>& text) {
    return text.size() <= N;
}

}  // namespace

Result<void> ElfModule::read_descriptor(Text file_name, const elf::Symbol& symbol) {
    const ElfSegment* segment = segment_of(symbol.value, 1);
    if ((symbol.info & 15) != elf::kSymbolObject || symbol.value % alignof(ModuleDescriptor) != 0 ||
        segment == nullptr || !segment->write)
        return refuse(ErrorCode::Corrupt, file_name, "its helix_module is not in aligned, writable data", kRebuild);
    descriptor_address_ = symbol.value;
    descriptor_offset_ = segment->file_offset + (symbol.value - segment->address);
    const Bytes rest = file_.subspan(descriptor_offset_, segment->file_size - (symbol.value - segment->address));

    // The head is the same in every version of the ABI; the rest means something only if this kernel speaks it.
    struct Head {
        char magic[8];
        uint32_t abi_version;
        uint32_t abi_fingerprint;
        uint32_t size;
    } head;
    static_assert(__builtin_offsetof(Head, size) == __builtin_offsetof(ModuleDescriptor, size));
    if (!read_record(rest, 0, head))
        return refuse(ErrorCode::Corrupt, file_name, "its descriptor is cut off", kRebuild);
    if (__builtin_memcmp(head.magic, kModuleMagic, sizeof(kModuleMagic)) != 0)
        return refuse(ErrorCode::Corrupt, file_name, "its descriptor does not begin with HELIXMOD", kRebuild);
    if (head.abi_version != kAbiVersion)
        return refuse(ErrorCode::Incompatible, file_name,
                      format("built for ABI version {}, this kernel speaks {}", head.abi_version, kAbiVersion).text(),
                      "build it with this kernel's SDK");
    if (head.abi_fingerprint != kAbiFingerprint)
        return refuse(
            ErrorCode::Incompatible, file_name,
            format("ABI fingerprint {:x}, this kernel's is {:x}", head.abi_fingerprint, kAbiFingerprint).text(),
            "build it with this kernel's SDK");
    if (head.size < sizeof(ModuleDescriptor) || head.size > rest.size() || head.size > symbol.size)
        return refuse(ErrorCode::Corrupt, file_name, "its descriptor has a wrong size", kRebuild);
    read_record(rest, 0, descriptor_);
    descriptor_.create = nullptr;
    descriptor_.destroy = nullptr;

    const ModuleDescriptor& d = descriptor_;
    const auto is_inside = [&](uint64_t offset, uint64_t size) {
        return offset >= sizeof(ModuleDescriptor) && offset % 8 == 0 && offset <= d.size && d.size - offset >= size;
    };
    const uint64_t options_size = uint64_t{d.option_count} * sizeof(Option);
    const uint64_t interfaces_size = uint64_t{d.interface_count} * sizeof(InterfaceEntry);
    if (d.option_size != sizeof(Option) || d.interface_size != sizeof(InterfaceEntry) ||
        d.option_count > kMaximumOptions || d.interface_count > kMaximumInterfaces ||
        !is_inside(d.option_offset, options_size) || !is_inside(d.interface_offset, interfaces_size) ||
        (d.option_offset + options_size > d.interface_offset && d.interface_offset + interfaces_size > d.option_offset))
        return refuse(ErrorCode::Corrupt, file_name, "its descriptor's options or interfaces are inconsistent",
                      kRebuild);
    return {};
}

Result<void> ElfModule::check_info(Text file_name) const {
    // FixedText and TextList trust their sizes: nothing of a list or text is read before its size was compared.
    const ModuleInfo& info = descriptor_.info;
    const auto bad = [&](Text what) {
        return refuse(ErrorCode::Corrupt, file_name, format("the {} in its info is malformed", what).text(), kRebuild);
    };
    if (info.name().size() > 46 || !is_valid_name(info.name())) return bad("name");
    if (info.description().size() > 158 || !is_printable(info.description())) return bad("description");
    if (info.author().size() > 62 || !is_printable(info.author())) return bad("author");
    if (info.license().size() > 46 || !is_printable(info.license())) return bad("license");
    if (info.state_format().size() > 46 || !is_valid_name(info.state_format())) return bad("state format");
    constexpr uint32_t kKnownFlags = (1u << (sizeof(kModuleFlagNames) / sizeof(Text))) - 1;
    if ((static_cast<uint32_t>(info.flags()) & ~kKnownFlags) != 0) return bad("set of flags");
    struct List {
        size_t size, most;
        Text (*at)(const ModuleInfo& info, size_t i);
        Text one, all, call;
    };
    const List lists[] = {
        {info.dependencies().size(), 8, [](const ModuleInfo& of, size_t i) { return of.dependencies()[i]; },
         "dependency", "list of dependencies", "correct dependencies()"},
        {info.conflicts().size(), 4, [](const ModuleInfo& of, size_t i) { return of.conflicts()[i]; }, "conflict",
         "list of conflicts", "correct conflicts()"},
        {info.optional().size(), 4, [](const ModuleInfo& of, size_t i) { return of.optional()[i]; },
         "optional dependency", "list of optional dependencies", "correct optional()"},
    };
    for (const List& list : lists) {
        if (list.size > list.most) return bad(list.all);
        for (size_t i = 0; i < list.size; ++i) {
            const Text text = list.at(info, i);
            if (text.size() > 62) return bad(list.all);
            const Result<Requirement> requirement = Requirement::parse(text);
            if (!requirement.ok())
                return refuse(ErrorCode::Corrupt, file_name,
                              format("{} {}: {}", list.one, i + 1, requirement.error().sentence()).text(), list.call);
        }
    }
    if (info.provides().size() > 6) return bad("list of capabilities");
    for (size_t i = 0; i < info.provides().size(); ++i)
        if (info.provides()[i].size() > 46 || !is_valid_name(info.provides()[i])) return bad("list of capabilities");
    return {};
}

Result<void> ElfModule::check_options(Text file_name) const {
    for (size_t i = 0; i < option_count(); ++i) {
        const Option option = this->option(i);
        const auto bad = [&](Text what) {
            return refuse(ErrorCode::Corrupt, file_name, format("its option number {} {}", i + 1, what).text(),
                          "correct kOptions");
        };
        if (!fits(option.key) || !is_valid_name(option.key.text())) return bad("has a malformed key");
        if (!fits(option.documentation) || !is_printable(option.documentation.text()))
            return bad("has malformed documentation");
        if (option.minimum > option.maximum) return bad("has a minimum above its maximum");
        if (!fits(option.default_value) || !check_option(option, option.default_value.text()).ok())
            return bad("has an unknown type or a default that it does not take");
        for (size_t k = 0; k < i; ++k)
            if (this->option(k).key == option.key.text()) return bad("has the key of another");
    }
    return {};
}

Result<void> ElfModule::check_interfaces(Text file_name) const {
    for (size_t i = 0; i < interface_count(); ++i) {
        const InterfaceEntry entry = interface_entry(i);
        const auto bad = [&](Text what) {
            return refuse(ErrorCode::Corrupt, file_name, format("its interface number {} {}", i + 1, what).text(),
                          kRebuild);
        };
        if (!fits(entry.name) || !is_valid_name(entry.name.text())) return bad("has a malformed name");
        if (!info().provides().contains(entry.name.text())) return bad("is missing in provides()");
        for (size_t k = 0; k < i; ++k)
            if (interface_entry(k).name == entry.name.text()) return bad("has the name of another");
    }
    return {};
}

Option ElfModule::option(size_t i) const {
    Option out;
    read_record(descriptor_bytes(), descriptor_.option_offset + i * sizeof(out), out);
    return out;
}

InterfaceEntry ElfModule::interface_entry(size_t i) const {
    InterfaceEntry out = {};
    read_record(descriptor_bytes(), descriptor_.interface_offset + i * sizeof(out), out);
    out.cast = nullptr;
    out.describe_pure = nullptr;
    return out;
}

}  // namespace helix::kernel
