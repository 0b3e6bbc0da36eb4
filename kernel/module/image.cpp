// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Loading: what is the same for all instances is done once in Image, the rest in Mapping with few calls of the port.

#include "kernel/module/image.hpp"

#include <new>

#include "kernel/memory/mapped_memory.hpp"
#include "kernel/module/function_name.hpp"
#include "kernel/module/source_line.hpp"

namespace helix::kernel {

namespace {

/// Parts of the image's one heap block, each aligned for any of them.
constexpr size_t kPartAlignment = 16;
constexpr size_t padded(size_t size) {
    return (size + kPartAlignment - 1) & ~(kPartAlignment - 1);
}

bool keeps_symbols(const ElfModule& module) {
    return module.symbols().size() + module.symbol_names().size() <= Image::kMaximumSymbols;
}

arch::Protection protection_of(const ElfSegment& segment) {
    if (segment.write) return arch::Protection::ReadWrite;
    return segment.execute ? arch::Protection::ReadExecute : arch::Protection::Read;
}

}  // namespace

Result<Image*> Image::create(Memory& memory, Bytes file, Text file_name) {
    const Result<ElfModule> parsed = ElfModule::parse(file, file_name);
    if (!parsed.ok()) return parsed.error();
    const ElfModule& module = parsed.value();

    size_t size = padded(sizeof(Image)) + padded(module.descriptor().size) +
                  padded(module.relocation_count() * sizeof(Relocation));
    for (const ElfSegment& segment : module.segments())
        if (segment.write) size += padded(segment.file_size);
    if (keeps_symbols(module)) size += padded(module.symbols().size()) + padded(module.symbol_names().size());

    void* block = memory.heap.allocate(size, kPartAlignment);
    if (block == nullptr) return ErrorCode::OutOfMemory;
    auto* image = new (block) Image(memory);
    const Result<void> taken = image->take(module, static_cast<uint8_t*>(block) + padded(sizeof(Image)));
    if (!taken.ok()) {
        image->destroy();
        return taken.error();
    }
    return image;
}

Result<void> Image::take(const ElfModule& module, uint8_t* block) {
    static_assert(alignof(Image) <= kPartAlignment && alignof(ModuleDescriptor) <= kPartAlignment);
    const auto reserve_part = [&](size_t size) {
        uint8_t* const part = block;
        block += padded(size);
        return part;
    };
    const auto copy_part = [&](Bytes bytes) -> Bytes {
        uint8_t* const part = reserve_part(bytes.size());
        if (!bytes.empty()) __builtin_memcpy(part, bytes.data(), bytes.size());
        return {part, bytes.size()};
    };

    file_ = module.file();
    memory_size_ = module.memory_size();
    descriptor_address_ = module.descriptor_address();
    uint8_t* const descriptor = reserve_part(module.descriptor().size);
    __builtin_memcpy(descriptor, module.descriptor_bytes().data(), module.descriptor().size);
    descriptor_ = reinterpret_cast<ModuleDescriptor*>(descriptor);
    descriptor_->create = nullptr;
    descriptor_->destroy = nullptr;
    auto* entries = reinterpret_cast<InterfaceEntry*>(descriptor + descriptor_->interface_offset);
    for (size_t i = 0; i < descriptor_->interface_count; ++i) entries[i].cast = nullptr;

    auto* relocations = reinterpret_cast<Relocation*>(reserve_part(module.relocation_count() * sizeof(Relocation)));
    for (size_t i = 0; i < module.relocation_count(); ++i) {
        const ElfRelocation relocation = module.relocation(i);
        relocations[i] = {static_cast<uint32_t>(relocation.offset), static_cast<uint32_t>(relocation.addend)};
    }
    relocations_ = {relocations, module.relocation_count()};
    if (keeps_symbols(module)) {
        symbols_ = copy_part(module.symbols());
        symbol_names_ = copy_part(module.symbol_names());
    }

    for (const ElfSegment& layout : module.segments()) {
        Segment& segment = segments_[segment_count_++];
        segment.layout = layout;
        const Bytes contents = module.file().subspan(layout.file_offset, layout.file_size);
        if (layout.write) {
            segment.contents = copy_part(contents);
        } else {
            TRY(segment.frames.allocate(memory_, layout.page_count()));
            segment.frames.fill(layout.address % kPageSize, contents);
        }
    }
    return {};
}

void Image::keep_mappings(KeepsMappings keeps) {
    keeps_ = keeps;
    while (keeps_ == KeepsMappings::No && idle_count_ != 0) Mapping::give_back(idle_[--idle_count_]);
}

void Image::destroy() {
    keep_mappings(KeepsMappings::No);
    for (size_t i = 0; i < segment_count_; ++i) segments_[i].frames.release(memory_);
    Heap& heap = memory_.heap;
    this->~Image();
    heap.free(this);
}

void Image::release() {
    if (__atomic_sub_fetch(&references_, 1u, __ATOMIC_ACQ_REL) == 0) destroy();
}

Result<Mapping*> Mapping::create(Memory& memory, Image& image) {
    if (image.idle_count_ != 0) {
        Mapping* const mapping = image.idle_[--image.idle_count_];
        mapping->fill();
        image.retain();
        return mapping;
    }
    void* block = memory.heap.allocate(sizeof(Mapping), alignof(Mapping));
    if (block == nullptr) return ErrorCode::OutOfMemory;
    auto* mapping = new (block) Mapping(memory, image);
    const Result<void> established = mapping->establish();
    if (!established.ok()) {
        give_back(mapping);
        return established.error();
    }
    image.retain();
    return mapping;
}

Result<void> Mapping::establish() {
    base_ = static_cast<uint8_t*>(TRY(memory_.region.reserve(reserved_pages())));
    for (size_t i = 0; i < image_.segment_count_; ++i) {
        const Image::Segment& segment = image_.segments_[i];
        if (!segment.layout.write) continue;
        TRY(data_[i].allocate(memory_, segment.layout.page_count()));
    }
    fill();
    return map_segments();
}

/// The writable segments are as they are in the file, relocated.
void Mapping::fill() {
    for (size_t i = 0; i < image_.segment_count_; ++i) {
        const Image::Segment& segment = image_.segments_[i];
        if (segment.layout.write) data_[i].fill(segment.layout.address % kPageSize, segment.contents);
    }
    relocate();
}

void Mapping::relocate() {
    size_t current = 0;
    for (const Image::Relocation& relocation : image_.relocations_) {
        // Almost always the segment of the one before.
        const auto holds = [&](const ElfSegment& segment) {
            return relocation.offset >= segment.address && relocation.offset - segment.address < segment.memory_size;
        };
        while (!holds(image_.segments_[current].layout)) current = (current + 1) % image_.segment_count_;
        const ElfSegment& segment = image_.segments_[current].layout;
        *data_[current].word_at(relocation.offset - segment.first_page() * kPageSize) = base() + relocation.addend;
    }
}

Result<void> Mapping::map_segments() {
    for (size_t i = 0; i < image_.segment_count_; ++i) {
        const Image::Segment& segment = image_.segments_[i];
        const Frames& frames = segment.layout.write ? data_[i] : segment.frames;
        TRY(frames.map(memory_, base_ + segment.layout.first_page() * kPageSize, protection_of(segment.layout)));
    }
    return {};
}

FixedText<62> Mapping::source_line(uint64_t address) const {
    return contains(address) ? kernel::source_line(image_.file_, address - base()) : FixedText<62>();
}

FixedText<150> Mapping::describe(uint64_t address) const {
    uint64_t offset = 0;
    FixedText<150> text(function_name(symbol_for(address, offset)).text());
    if (const auto source = source_line(address); !source.empty()) {
        text.append(" at ");
        text.append(source.text());
    }
    return text;
}

FixedText<62> Mapping::source_line_of_method(uint64_t address) const {
    // The compiler may have put the whole method into the thunk, whose own lines say nothing of where it begins.
    uint64_t offset = 0;
    const Text symbol = symbol_for(address, offset);
    if (symbol.starts_with("_ZTh")) {  // and "n8_", before what the method's own symbol has
        const Text rest = symbol.substr(symbol.find('_', 4)).substr(1);
        if (const uint64_t begin = ElfModule::find_function(image_.symbols_, image_.symbol_names_, rest); begin != 0)
            address = base() + begin;
    }
    return source_line(address);
}

void Mapping::destroy(Mapping* mapping) {
    Image& image = mapping->image_;
    if (image.keeps_ == Image::KeepsMappings::Yes && image.idle_count_ < Image::kMaximumIdle)
        image.idle_[image.idle_count_++] = mapping;
    else
        give_back(mapping);
    image.release();
}

void Mapping::give_back(Mapping* mapping) {
    Memory& memory = mapping->memory_;
    if (mapping->base_ != nullptr) {
        unmap_frames(memory, mapping->base_, mapping->reserved_pages());
        memory.region.release(mapping->base_, mapping->reserved_pages());
    }
    for (Frames& data : mapping->data_) data.release(memory);
    mapping->~Mapping();
    memory.heap.free(mapping);
}

}  // namespace helix::kernel
