// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// helix-allocator-slab: slabs of equal blocks, so that free memory is found at once and whole pages come back.
//
// After Bonwick, "The Slab Allocator" (USENIX 1994): for each size class, slabs that are partly used stand before
// empty ones, so that use gathers in few slabs and the others empty. Free blocks are bits in the slab's header and
// not links in the blocks: a stray write into a free block damages nothing here, and a block that comes back twice is
// noticed. Without constructors and colouring; magazines are the kernel's.

#include "../spin_flag.hpp"
#include "helix/interfaces/allocator.hpp"
#include "helix/module.hpp"

class SlabAllocator final : public helix::Implements<helix::Allocator> {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"helix-allocator-slab"}
                                      .version(1, 0, 0)
                                      .description("Slab allocator that gives empty pages back")
                                      .author("Helix contributors")
                                      .license("MIT OR Apache-2.0")
                                      .flags(helix::ModuleFlags::Allocator | helix::ModuleFlags::HotReloadable)
                                      .provides({"helix.allocator"});
    static constexpr helix::Option kOptions[] = {
        helix::Option::integer("reserve_slabs", 0, 1024, 1, "Empty slabs that each size class keeps for later"),
    };

    helix::Result<void> init(const helix::Context& context) override {
        context_ = &context;
        reserve_slabs_ = static_cast<uint64_t>(TRY(context.config_integer("reserve_slabs")));
        return {};
    }
    helix::Result<void> start() override { return {}; }
    /// The kernel takes the slabs back once the last block is free; nothing is to be done here.
    helix::Result<void> stop() override { return {}; }
    bool is_healthy() const override { return self_check(); }

    helix::Result<helix::Response> handle_request(const helix::Request& request) override {
        if (request.request_type != "statistics") return helix::ErrorCode::NotImplemented;
        const helix::AllocatorStatistics now = statistics();
        return helix::Response::ok(
            helix::format<300>("{{\"pages\":{},\"blocks_free\":{},\"blocks_in_use\":{},\"refills\":{},\"drains\":{}}}",
                               now.pages, now.blocks_free, now.blocks_in_use, now.refills, now.drains)
                .text());
    }

    // ---- helix.allocator. Any CPU, preemption off.

    size_t refill(uint32_t size_class, helix::Span<void*> blocks) override {
        if (size_class >= helix::kSizeClassCount) return 0;
        Class& own = classes_[size_class];
        SpinFlagGuard guard(own.lock);
        ++own.refills;
        size_t count = 0;
        while (count < blocks.size()) {
            Slab* slab = own.partial.first;
            if (slab == nullptr) {
                slab = own.empty.first;
                if (slab != nullptr) {
                    own.empty.remove(*slab);
                } else {
                    slab = new_slab(size_class);
                    if (slab == nullptr) break;
                    ++own.slabs;
                }
                own.partial.add(*slab);
            }
            while (count < blocks.size() && slab->in_use < slab->capacity) blocks[count++] = take(*slab, size_class);
            if (slab->in_use == slab->capacity) {
                own.partial.remove(*slab);
                own.full.add(*slab);
            }
        }
        own.blocks_in_use += count;
        return count;
    }

    void drain(uint32_t size_class, helix::Span<void* const> blocks) override {
        if (size_class >= helix::kSizeClassCount) return;
        Class& own = classes_[size_class];
        SpinFlagGuard guard(own.lock);
        ++own.drains;
        for (void* block : blocks) {
            Slab& slab = slab_of(size_class, block);
            if (!put_back(slab, size_class, block)) {
                own.damaged = true;
                continue;
            }
            --own.blocks_in_use;
            if (slab.in_use + 1u == slab.capacity) {
                own.full.remove(slab);
                own.partial.add(slab);
            }
            if (slab.in_use != 0) continue;
            own.partial.remove(slab);
            if (own.empty.count < reserve_slabs_) {
                own.empty.add(slab);
            } else {
                slab.magic = 0;
                --own.slabs;
                context_->heap_pages_free(&slab, pages_of_slab(size_class));
            }
        }
    }

    helix::AllocatorStatistics statistics() const override {
        helix::AllocatorStatistics out{};
        for (uint32_t i = 0; i < helix::kSizeClassCount; ++i) {
            Class& own = classes_[i];
            SpinFlagGuard guard(own.lock);
            out.pages += own.slabs * pages_of_slab(i);
            out.blocks_in_use += own.blocks_in_use;
            out.blocks_free += own.slabs * capacity_of_slab(i) - own.blocks_in_use;
            out.refills += own.refills;
            out.drains += own.drains;
        }
        return out;
    }

    bool self_check() const override {
        for (uint32_t i = 0; i < helix::kSizeClassCount; ++i) {
            Class& own = classes_[i];
            SpinFlagGuard guard(own.lock);
            if (own.damaged) return false;
            uint64_t in_use = 0;
            const uint16_t capacity = capacity_of_slab(i);
            if (!check(own.partial, i, 1, static_cast<uint16_t>(capacity - 1), in_use)) return false;
            if (!check(own.full, i, capacity, capacity, in_use)) return false;
            if (!check(own.empty, i, 0, 0, in_use)) return false;
            if (own.partial.count + own.full.count + own.empty.count != own.slabs) return false;
            if (in_use != own.blocks_in_use || own.empty.count > reserve_slabs_) return false;
        }
        return true;
    }

private:
    static constexpr uint32_t kMagic = 0x42414c53;  // "SLAB"
    static constexpr size_t kBitmapWords = 4;

    /// Stands at the start of each slab, followed by the blocks. A set bit is a free block.
    struct alignas(16) Slab {
        Slab* next;
        Slab* previous;
        uint64_t free[kBitmapWords];
        uint32_t magic;
        uint16_t size_class;
        uint16_t capacity;
        uint16_t in_use;
    };
    static_assert(sizeof(Slab) == 64);

    struct List {
        Slab* first = nullptr;
        uint64_t count = 0;

        void add(Slab& slab) {
            slab.previous = nullptr;
            slab.next = first;
            if (first != nullptr) first->previous = &slab;
            first = &slab;
            ++count;
        }
        void remove(Slab& slab) {
            if (slab.next != nullptr) slab.next->previous = slab.previous;
            if (slab.previous != nullptr)
                slab.previous->next = slab.next;
            else
                first = slab.next;
            --count;
        }
    };

    struct Class {
        SpinFlag lock;
        bool damaged = false;  ///< a block came back that was not out
        List partial;
        List full;
        List empty;
        uint64_t slabs = 0;
        uint64_t blocks_in_use = 0;
        uint64_t refills = 0;
        uint64_t drains = 0;
    };

    /// Long enough that at most an eighth is lost; the kernel aligns a slab to its length.
    static constexpr size_t pages_of_slab(uint32_t size_class) {
        const uint32_t size = helix::kSizeClasses[size_class];
        return size <= 256 ? 1 : size <= 512 ? 2 : size <= 1024 ? 4 : 8;
    }
    static constexpr uint16_t capacity_of_slab(uint32_t size_class) {
        return static_cast<uint16_t>((pages_of_slab(size_class) * helix::kPageSize - sizeof(Slab)) /
                                     helix::kSizeClasses[size_class]);
    }

    static Slab& slab_of(uint32_t size_class, void* block) {
        return *reinterpret_cast<Slab*>(reinterpret_cast<uintptr_t>(block) &
                                        ~(pages_of_slab(size_class) * helix::kPageSize - 1));
    }

    Slab* new_slab(uint32_t size_class) {
        auto pages = context_->heap_pages(size_class, pages_of_slab(size_class));
        if (!pages.ok()) return nullptr;
        static_assert(capacity_of_slab(0) <= kBitmapWords * 64);
        auto* const slab = static_cast<Slab*>(pages.value());
        slab->magic = kMagic;
        slab->size_class = static_cast<uint16_t>(size_class);
        slab->capacity = capacity_of_slab(size_class);
        slab->in_use = 0;
        for (size_t word = 0; word < kBitmapWords; ++word) {
            const size_t first = word * 64;
            const size_t bits = slab->capacity <= first ? 0 : slab->capacity - first;
            slab->free[word] = bits >= 64 ? UINT64_MAX : (uint64_t{1} << bits) - 1;
        }
        return slab;
    }

    /// A block of a slab that has a free one.
    static void* take(Slab& slab, uint32_t size_class) {
        size_t word = 0;
        while (slab.free[word] == 0) ++word;
        const auto bit = static_cast<size_t>(__builtin_ctzll(slab.free[word]));
        slab.free[word] &= slab.free[word] - 1;
        ++slab.in_use;
        return reinterpret_cast<uint8_t*>(&slab) + sizeof(Slab) + (word * 64 + bit) * helix::kSizeClasses[size_class];
    }
    /// False, and nothing is changed, if `block` is no block of the slab that is out.
    static bool put_back(Slab& slab, uint32_t size_class, const void* block) {
        if (slab.magic != kMagic || slab.size_class != size_class) return false;
        const auto offset = reinterpret_cast<uintptr_t>(block) - reinterpret_cast<uintptr_t>(&slab) - sizeof(Slab);
        const uint32_t size = helix::kSizeClasses[size_class];
        const size_t index = offset / size;
        if (offset % size != 0 || index >= slab.capacity) return false;
        const uint64_t bit = uint64_t{1} << index % 64;
        if ((slab.free[index / 64] & bit) != 0) return false;
        slab.free[index / 64] |= bit;
        --slab.in_use;
        return true;
    }

    /// Every slab of the list is of the class and uses `least` to `most` blocks; adds them to `in_use`.
    static bool check(const List& list, uint32_t size_class, uint16_t least, uint16_t most, uint64_t& in_use) {
        uint64_t count = 0;
        const Slab* previous = nullptr;
        for (const Slab* slab = list.first; slab != nullptr; slab = slab->next) {
            if (++count > list.count || slab->previous != previous) return false;
            if (slab->magic != kMagic || slab->size_class != size_class) return false;
            if (slab->capacity != capacity_of_slab(size_class)) return false;
            uint64_t free = 0;
            for (uint64_t word : slab->free)
                for (; word != 0; word &= word - 1) ++free;
            if (slab->in_use < least || slab->in_use > most || free + slab->in_use != slab->capacity) return false;
            in_use += slab->in_use;
            previous = slab;
        }
        return count == list.count;
    }

    const helix::Context* context_ = nullptr;
    uint64_t reserve_slabs_ = 0;
    mutable Class classes_[helix::kSizeClassCount];
};
HELIX_MODULE(SlabAllocator)
