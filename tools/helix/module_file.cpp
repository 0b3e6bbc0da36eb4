// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Reading a `.hmod` file. Every number in it is checked against the file's size before it is used.

#include "module_file.hpp"

#include "failure.hpp"
#include "files.hpp"

#include "kernel/module/elf.hpp"

#include <elf.h>

#include <array>
#include <cstring>

namespace helix::tool {

namespace {

[[noreturn]] void refuse(const std::filesystem::path& path, std::string_view reason, std::string_view remedy) {
    throw Failure(ExitStatus::Failed, "{}: {}; {}", path.string(), reason, remedy);
}
constexpr std::string_view kBuildIt = "build it with helix_add_module()";
constexpr std::string_view kCopyAgain = "copy or build it again";

/// Bounds-checked reads by file offset and by address.
class Reader {
public:
    Reader(const ModuleFile& file) : file_(file) {}

    template <typename T>
    T at(uint64_t offset, std::string_view what) const {
        T value;
        memcpy(static_cast<void*>(&value), bytes(offset, sizeof(T), what), sizeof(T));
        return value;
    }
    const char* bytes(uint64_t offset, uint64_t size, std::string_view what) const {
        if (offset > file_.bytes.size() || size > file_.bytes.size() - offset)
            refuse(file_.path, fmt::format("truncated: {} lies beyond the end of the file", what), kCopyAgain);
        return file_.bytes.data() + offset;
    }
    /// The file offset of `size` bytes at `address`, all of them in the file.
    uint64_t offset_of(uint64_t address, uint64_t size, std::string_view what) const {
        for (const ModuleSegment& segment : file_.segments)
            if (address >= segment.address && address - segment.address <= segment.file_size &&
                size <= segment.file_size - (address - segment.address))
                return segment.file_offset + (address - segment.address);
        refuse(file_.path, fmt::format("{} lies outside of every segment", what), kCopyAgain);
    }
    template <typename T>
    T at_address(uint64_t address, std::string_view what) const {
        return at<T>(offset_of(address, sizeof(T), what), what);
    }
    std::string string_at(uint64_t address) const {
        std::string out;
        for (;; ++address) {
            const char c = at_address<char>(address, "a symbol's name");
            if (c == '\0') return out;
            out += c;
        }
    }

private:
    const ModuleFile& file_;
};

struct DynamicTable {
    uint64_t symbols = 0, strings = 0, hash = 0, relocations = 0, relocations_size = 0;
};

std::string relocation_name(uint32_t type) {
    switch (type) {
        case R_X86_64_RELATIVE: return "R_X86_64_RELATIVE";
        case R_X86_64_64: return "R_X86_64_64";
        case R_X86_64_GLOB_DAT: return "R_X86_64_GLOB_DAT";
        case R_X86_64_JUMP_SLOT: return "R_X86_64_JUMP_SLOT";
        case R_X86_64_DTPMOD64: return "R_X86_64_DTPMOD64";
        case R_X86_64_TPOFF64: return "R_X86_64_TPOFF64";
        default: return fmt::format("type {}", type);
    }
}

DynamicTable read_dynamic(const Reader& reader, uint64_t offset, uint64_t size) {
    DynamicTable table;
    for (uint64_t at = 0; at + sizeof(Elf64_Dyn) <= size; at += sizeof(Elf64_Dyn)) {
        const auto entry = reader.at<Elf64_Dyn>(offset + at, "the dynamic table");
        switch (entry.d_tag) {
            case DT_NULL: return table;
            case DT_SYMTAB: table.symbols = entry.d_un.d_ptr; break;
            case DT_STRTAB: table.strings = entry.d_un.d_ptr; break;
            case DT_HASH: table.hash = entry.d_un.d_ptr; break;
            case DT_RELA: table.relocations = entry.d_un.d_ptr; break;
            case DT_RELASZ: table.relocations_size = entry.d_un.d_val; break;
            default: break;
        }
    }
    return table;
}

/// Reads symbols and relocations; returns the address of `helix_module`, 0 when there is none.
uint64_t read_symbols(const Reader& reader, const DynamicTable& table, ModuleFile& file) {
    uint64_t descriptor = 0;
    if (table.symbols != 0 && table.hash != 0) {
        const uint32_t count = reader.at_address<uint32_t>(table.hash + sizeof(uint32_t), "the symbol hash");
        for (uint64_t i = 1; i < count; ++i) {
            const auto symbol = reader.at_address<Elf64_Sym>(table.symbols + i * sizeof(Elf64_Sym), "the symbol table");
            const std::string name = reader.string_at(table.strings + symbol.st_name);
            if (symbol.st_shndx == SHN_UNDEF)
                file.undefined_symbols.push_back(name);
            else if (name == "helix_module")
                descriptor = symbol.st_value;
        }
    }
    for (uint64_t at = 0; at + sizeof(Elf64_Rela) <= table.relocations_size; at += sizeof(Elf64_Rela)) {
        const auto entry = reader.at_address<Elf64_Rela>(table.relocations + at, "the relocations");
        ++file.relocations[relocation_name(ELF64_R_TYPE(entry.r_info))];
    }
    return descriptor;
}

template <typename List>
bool well_formed(const List& list, size_t capacity, size_t length) {
    if (list.size() > capacity) return false;
    for (size_t i = 0; i < list.size(); ++i)
        if (list[i].size() > length) return false;
    return true;
}

bool well_formed(const ModuleInfo& info) {
    return info.name().size() >= 1 && info.name().size() <= 46 && info.description().size() <= 158 &&
           info.author().size() <= 62 && info.license().size() <= 46 && well_formed(info.dependencies(), 8, 62) &&
           well_formed(info.provides(), 6, 46) && well_formed(info.conflicts(), 4, 62) &&
           well_formed(info.optional(), 4, 62) && info.state_format().size() <= 46;
}

void read_descriptor(const Reader& reader, uint64_t address, ModuleFile& file) {
    const auto magic = reader.at_address<std::array<char, 8>>(address, "the module descriptor");
    if (memcmp(magic.data(), kModuleMagic, sizeof(kModuleMagic)) != 0)
        refuse(file.path, "the symbol helix_module is no module descriptor", kBuildIt);
    file.abi_version =
        reader.at_address<uint32_t>(address + offsetof(ModuleDescriptor, abi_version), "the module descriptor");
    file.abi_fingerprint =
        reader.at_address<uint32_t>(address + offsetof(ModuleDescriptor, abi_fingerprint), "the module descriptor");
    if (file.abi_fingerprint != kAbiFingerprint) return;

    const auto descriptor = reader.at_address<ModuleDescriptor>(address, "the module descriptor");
    if (descriptor.option_size != sizeof(Option) || descriptor.interface_size != sizeof(InterfaceEntry) ||
        descriptor.option_count > 1024 || descriptor.interface_count > 1024 || !well_formed(descriptor.info))
        refuse(file.path, "its module descriptor is damaged", kCopyAgain);
    file.info = descriptor.info;
    for (uint32_t i = 0; i < descriptor.option_count; ++i) {
        file.options.push_back(
            reader.at_address<Option>(address + descriptor.option_offset + i * sizeof(Option), "an option"));
        const Option& option = file.options.back();
        if (option.key.size() > 38 || option.default_value.size() > 38 || option.documentation.size() > 110)
            refuse(file.path, "an option in its descriptor is damaged", kCopyAgain);
    }
    for (uint32_t i = 0; i < descriptor.interface_count; ++i) {
        file.interfaces.push_back(reader.at_address<InterfaceEntry>(
            address + descriptor.interface_offset + i * sizeof(InterfaceEntry), "an interface"));
        if (file.interfaces.back().name.size() > 46)
            refuse(file.path, "an interface in its descriptor is damaged", kCopyAgain);
    }
    file.described = true;
}

}  // namespace

ModuleFile read_module_file(const std::filesystem::path& path) {
    return parse_module_file(read_file(path), path);
}

ModuleFile parse_module_file(std::string bytes, const std::filesystem::path& path) {
    ModuleFile file;
    file.path = path;
    file.bytes = std::move(bytes);
    const Reader reader(file);

    if (file.bytes.size() < SELFMAG || memcmp(file.bytes.data(), ELFMAG, SELFMAG) != 0)
        refuse(path, "not a module: no ELF file", "name a .hmod file");
    const auto header = reader.at<Elf64_Ehdr>(0, "the ELF header");
    if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB)
        refuse(path, "not a module: no 64-bit little-endian ELF file", kBuildIt);
    if (header.e_type != ET_DYN)
        refuse(path, "not a module: no shared object (ELF type " + std::to_string(header.e_type) + ")", kBuildIt);
    if (header.e_phentsize != sizeof(Elf64_Phdr)) refuse(path, "its program headers are damaged", kCopyAgain);
    file.machine = header.e_machine;

    uint64_t dynamic_offset = 0, dynamic_size = 0;
    for (uint64_t i = 0; i < header.e_phnum; ++i) {
        const auto program = reader.at<Elf64_Phdr>(header.e_phoff + i * sizeof(Elf64_Phdr), "the program headers");
        if (program.p_type == PT_LOAD) {
            reader.bytes(program.p_offset, program.p_filesz, "a segment");
            file.segments.push_back({program.p_vaddr, program.p_memsz, program.p_offset, program.p_filesz,
                                     (program.p_flags & PF_R) != 0, (program.p_flags & PF_W) != 0,
                                     (program.p_flags & PF_X) != 0});
        } else if (program.p_type == PT_DYNAMIC) {
            dynamic_offset = program.p_offset;
            dynamic_size = program.p_filesz;
            reader.bytes(dynamic_offset, dynamic_size, "the dynamic table");
        }
    }
    const uint64_t descriptor = read_symbols(reader, read_dynamic(reader, dynamic_offset, dynamic_size), file);
    if (descriptor == 0) refuse(path, "not a module: it exports no symbol helix_module", kBuildIt);
    read_descriptor(reader, descriptor, file);

    const auto verdict =
        kernel::ElfModule::parse(Bytes(reinterpret_cast<const uint8_t*>(file.bytes.data()), file.bytes.size()),
                                 to_text(path.filename().string()));
    if (!verdict.ok()) file.refusal = to_string(verdict.error().sentence());
    if (verdict.ok() && !file.described) file.refusal = "its descriptor has another layout";
    return file;
}

const Option* ModuleFile::option(std::string_view key) const {
    for (const Option& candidate : options)
        if (candidate.key == to_text(key)) return &candidate;
    return nullptr;
}

bool ModuleFile::implements(std::string_view interface) const {
    for (const InterfaceEntry& entry : interfaces)
        if (entry.name == to_text(interface)) return true;
    return false;
}

std::string describe(Version version) {
    return fmt::format("{}.{}.{}", version.major, version.minor, version.patch);
}

std::vector<std::string> flag_names(ModuleFlags flags) {
    std::vector<std::string> names;
    for (size_t bit = 0; bit < std::size(kModuleFlagNames); ++bit)
        if (has(flags, static_cast<ModuleFlags>(1u << bit))) names.push_back(to_string(kModuleFlagNames[bit]));
    return names;
}

std::string_view type_name(OptionType type) {
    switch (type) {
        case OptionType::Integer: return "integer";
        case OptionType::Boolean: return "boolean";
        case OptionType::Size: return "size";
        case OptionType::Duration: return "duration";
        case OptionType::String: return "string";
    }
    return "unknown";
}

}  // namespace helix::tool
