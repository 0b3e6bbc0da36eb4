// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A loaded module file, and the mappings of it in which instances run.
#pragma once

#include "kernel/module/elf.hpp"
#include "kernel/module/frames.hpp"

namespace helix::kernel {

class Mapping;

/// A module file as the kernel keeps it: the frames of its code and constants, which all mappings share, and the
/// template of its writable data. Immutable but for the mappings that it keeps, so any thread may read it; whoever
/// holds a reference may take another.
class Image {
public:
    /// Largest symbol table with names that is kept for backtraces; a larger one is left out.
    static constexpr size_t kMaximumSymbols = 256 * 1024;

    /// Validates `file` and takes over what is needed of it, with one reference for the caller. The file itself is
    /// looked at again for source lines alone: until then it has to be there. Preemption on, no lock held. Errors:
    /// those of ElfModule::parse; OutOfMemory. Nothing stays allocated after an error.
    static Result<Image*> create(Memory& memory, Bytes file, Text file_name);
    Image(const Image&) = delete;
    Image& operator=(const Image&) = delete;

    void retain() { __atomic_add_fetch(&references_, 1u, __ATOMIC_RELAXED); }
    /// Gives a reference back; the last one destroys the image. No lock held.
    void release();

    /// Whether mappings that are destroyed are kept, kMaximumIdle of them, for those that are created next: with their
    /// contents renewed, but without asking the host or the page tables for anything. With No those that were kept are
    /// given back. Not while mappings are created or destroyed.
    enum class KeepsMappings : uint8_t { No, Yes };
    void keep_mappings(KeepsMappings keeps);

    /// The kernel's own validated copy of the descriptor, which no module can change. options() and interfaces()
    /// work on it; its functions are null, those of a Mapping's descriptor are not.
    const ModuleDescriptor& descriptor() const { return *descriptor_; }
    const ModuleInfo& info() const { return descriptor_->info; }
    uint64_t memory_size() const { return memory_size_; }
    /// Whether `size` bytes at `address`, counted from the start of a mapping, are in one of the segments.
    bool has(uint64_t address, uint64_t size) const {
        for (size_t i = 0; i < segment_count_; ++i) {
            const uint64_t offset = address - segments_[i].layout.address;
            if (offset < segments_[i].layout.memory_size) return size <= segments_[i].layout.memory_size - offset;
        }
        return false;
    }
    /// Whether the file came with names for addresses, which is where a profile keeps them.
    bool has_symbols() const { return !symbols_.empty(); }
    /// The function that contains `address`, counted from the start of a mapping; empty if none is known.
    Text symbol_for(uint64_t address, uint64_t& offset) const {
        return ElfModule::find_symbol(symbols_, symbol_names_, address, offset);
    }

private:
    friend class Mapping;

    /// Addresses fit 32 bits: modules are at most kMaximumModuleSize large.
    struct Relocation {
        uint32_t offset;
        uint32_t addend;
    };
    struct Segment {
        ElfSegment layout;
        Frames frames;   ///< shared by all mappings; none for a writable segment
        Bytes contents;  ///< template of a writable segment, in the image's own block
    };

    /// As many as one reload creates, and destroys.
    static constexpr size_t kMaximumIdle = 2;

    explicit Image(Memory& memory) : memory_(memory) {}
    ~Image() = default;
    Result<void> take(const ElfModule& module, uint8_t* block);
    void destroy();

    Memory& memory_;
    uint32_t references_ = 1;
    uint32_t segment_count_ = 0;
    uint64_t memory_size_ = 0;
    uint64_t descriptor_address_ = 0;
    ModuleDescriptor* descriptor_ = nullptr;
    Span<const Relocation> relocations_;
    Bytes symbols_;
    Bytes symbol_names_;
    Bytes file_;
    Segment segments_[ElfModule::kMaximumSegments];
    KeepsMappings keeps_ = KeepsMappings::No;
    uint32_t idle_count_ = 0;
    Mapping* idle_[kMaximumIdle] = {};
};

/// One instance's mapping of an image: shared code and constants, writable data of its own, relocated. Pages between
/// segments and one behind the last are not mapped. Read by any thread.
class Mapping {
public:
    /// Takes a reference to `image`. One caller at a time for an image, as destroy; preemption on, no lock held.
    /// Errors: OutOfMemory (undone).
    static Result<Mapping*> create(Memory& memory, Image& image);
    /// Unmaps, gives all back, and releases the image, unless that keeps it. Nothing runs in it or refers to it any
    /// more. No lock held.
    static void destroy(Mapping* mapping);
    Mapping(const Mapping&) = delete;
    Mapping& operator=(const Mapping&) = delete;

    Image& image() const { return image_; }
    uint64_t base() const { return reinterpret_cast<uint64_t>(base_); }
    /// The descriptor in the mapping, with its functions. The module can write to it: take texts and numbers from
    /// image().descriptor().
    const ModuleDescriptor& descriptor() const {
        return *reinterpret_cast<const ModuleDescriptor*>(base_ + image_.descriptor_address_);
    }
    bool contains(uint64_t address) const { return address - base() < image_.memory_size(); }
    /// Whether all of `bytes` is in one of the segments, and so can be read as long as the mapping is there.
    bool contains(Bytes bytes) const {
        return image_.has(reinterpret_cast<uint64_t>(bytes.data()) - base(), bytes.size());
    }
    /// The function that contains the address, and how far behind its start that is; empty if none is known.
    Text symbol_for(uint64_t address, uint64_t& offset) const {
        return contains(address) ? image_.symbol_for(address - base(), offset) : Text();
    }
    /// "crasher.cpp:85", where the code at the address comes from; empty if that is not known. See source_line.hpp.
    FixedText<62> source_line(uint64_t address) const;
    /// "Crasher::crash at crasher.cpp:85", as much of it as is known.
    FixedText<150> describe(uint64_t address) const;
    /// The source line of the function that begins at the address, or to which the thunk leads that begins there.
    FixedText<62> source_line_of_method(uint64_t address) const;

private:
    friend class Image;

    Mapping(Memory& memory, Image& image) : memory_(memory), image_(image) {}
    ~Mapping() = default;
    Result<void> establish();
    void fill();
    Result<void> map_segments();
    /// Unmaps and gives all back but the reference to the image.
    static void give_back(Mapping* mapping);
    void relocate();
    size_t reserved_pages() const { return image_.memory_size() / kPageSize + 1; }

    Memory& memory_;
    Image& image_;
    uint8_t* base_ = nullptr;
    Frames data_[ElfModule::kMaximumSegments];  ///< of the writable segments
};

}  // namespace helix::kernel
