// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The CPUs of a MADT: both kinds of entries, those that may not be used, and tables that are cut or make no sense.
#include "arch/x86_64/madt.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace helix::x86_64 {
namespace {

using Ids = std::vector<uint32_t>;

/// A table of a header and entries, whose sums nobody looks at here.
class Madt {
public:
    Madt() : bytes_(44) {}
    Madt& local_apic(uint8_t id, uint32_t flags) {
        bytes_.insert(bytes_.end(), {0, 8, 77, id});
        return number(flags);
    }
    Madt& local_x2apic(uint32_t id, uint32_t flags) {
        bytes_.insert(bytes_.end(), {9, 16, 0, 0});
        return number(id).number(flags).number(77);
    }
    Madt& other(uint8_t kind, uint8_t length) {
        bytes_.insert(bytes_.end(), {kind, length});
        bytes_.resize(bytes_.size() + (length < 2 ? 0 : length - 2));
        return *this;
    }
    Madt& cut(size_t bytes) {
        bytes_.resize(bytes_.size() - bytes);
        return *this;
    }
    Ids ids() const {
        // On the heap and no larger, so that a sanitizer sees who reads behind it.
        const std::vector<uint8_t> exact(bytes_);
        Ids found;
        for_each_local_apic(Bytes(exact.data(), exact.size()), [&](uint32_t id) { found.push_back(id); });
        return found;
    }

private:
    Madt& number(uint32_t value) {
        for (int i = 0; i < 4; ++i) bytes_.push_back(static_cast<uint8_t>(value >> 8 * i));
        return *this;
    }
    std::vector<uint8_t> bytes_;
};

TEST(MadtTest, ListsBothKindsInTheirOrder) {
    const Madt madt = Madt().local_apic(4, 1).other(1, 12).local_x2apic(0x1234567, 1).local_apic(0, 1).other(4, 6);
    EXPECT_EQ(madt.ids(), Ids({4, 0x1234567, 0}));
}

TEST(MadtTest, LeavesOutWhatMayNotBeUsed) {
    // Flag 2 means that it could be put in while the machine runs.
    EXPECT_EQ(Madt().local_apic(1, 0).local_apic(2, 2).local_apic(3, 3).local_x2apic(300, 2).ids(), Ids({3}));
}

TEST(MadtTest, NamesACpuAsOftenAsTheTableDoes) {
    EXPECT_EQ(Madt().local_apic(1, 1).local_x2apic(1, 1).ids(), Ids({1, 1}));
}

TEST(MadtTest, ReadsNothingBehindItsEnd) {
    EXPECT_EQ(Madt().local_apic(1, 1).local_apic(2, 1).cut(1).ids(), Ids({1}));
    EXPECT_EQ(Madt().local_apic(1, 1).local_apic(2, 1).cut(7).ids(), Ids({1}));
    EXPECT_EQ(Madt().ids(), Ids());
    EXPECT_EQ(Madt().cut(10).ids(), Ids());
}

TEST(MadtTest, StopsWhereALengthIsImpossible) {
    EXPECT_EQ(Madt().local_apic(1, 1).other(0, 0).local_apic(2, 1).ids(), Ids({1}));
    EXPECT_EQ(Madt().local_apic(1, 1).other(0, 1).local_apic(2, 1).ids(), Ids({1}));
}

TEST(MadtTest, PassesOverEntriesThatAreTooShortForTheirKind) {
    EXPECT_EQ(Madt().other(0, 4).other(9, 8).local_apic(2, 1).ids(), Ids({2}));
}

}  // namespace
}  // namespace helix::x86_64
