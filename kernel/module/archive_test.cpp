// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Archives that are right, and archives that are cut or bent.

#include "kernel/module/archive.hpp"

#include "kernel/module/file_index.hpp"
#include "tests/unit/allocator_host.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <vector>

namespace helix::kernel {
namespace {

class Builder {
public:
    Builder& add(const std::string& name, const std::string& data, unsigned mode = 0100644) {
        char header[111];
        std::snprintf(header, sizeof(header), "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", 1u, mode,
                      0u, 0u, 1u, 0u, static_cast<unsigned>(data.size()), 0u, 0u, 0u, 0u,
                      static_cast<unsigned>(name.size() + 1), 0u);
        bytes_ += header;
        bytes_ += name;
        bytes_ += '\0';
        pad();
        bytes_ += data;
        pad();
        return *this;
    }
    std::string finish() { return add("TRAILER!!!", "", 0).bytes_; }
    std::string unfinished() const { return bytes_; }

private:
    void pad() {
        while (bytes_.size() % 4 != 0) bytes_ += '\0';
    }
    std::string bytes_;
};

Bytes bytes_of(const std::string& text) {
    return as_bytes(text);
}

TEST(Archive, FindsFilesByName) {
    const std::string bytes = Builder()
                                  .add("profile", "a=b\n")
                                  .add("sub", "", 040755)
                                  .add("./sub/x.hmod", "12345")
                                  .add("/abs", "abs")
                                  .add("empty", "")
                                  .finish();
    ASSERT_TRUE(Archive::validate(bytes_of(bytes)).ok());
    const Archive archive(bytes_of(bytes));
    EXPECT_EQ(as_text(archive.find("profile").value()), Text("a=b\n"));
    EXPECT_EQ(as_text(archive.find("sub/x.hmod").value()), Text("12345"));
    EXPECT_EQ(as_text(archive.find("abs").value()), Text("abs"));
    EXPECT_EQ(archive.find("empty").value().size(), 0u);
    EXPECT_EQ(archive.find("sub").error().code(), ErrorCode::NotFound);
    EXPECT_EQ(archive.find("TRAILER!!!").error().code(), ErrorCode::NotFound);
    EXPECT_EQ(archive.find("profil").error().code(), ErrorCode::NotFound);
}

TEST(Archive, TheFirstOfANameWins) {
    const std::string bytes = Builder().add("a", "1").add("a", "2").finish();
    EXPECT_EQ(as_text(Archive(bytes_of(bytes)).find("a").value()), Text("1"));
}

TEST(Archive, IteratesInOrder) {
    const std::string bytes = Builder().add("b", "1").add("a", "22").finish();
    std::string seen;
    for (const ArchiveEntry& entry : Archive(bytes_of(bytes)))
        seen += std::string(entry.name) + std::to_string(entry.data.size()) + ' ';
    EXPECT_EQ(seen, "b1 a2 ");
}

TEST(Archive, NothingIsAnEmptyArchive) {
    EXPECT_TRUE(Archive::validate({}).ok());
    EXPECT_EQ(Archive().find("a").error().code(), ErrorCode::NotFound);
    EXPECT_TRUE(Archive().begin() == Archive().end());
}

TEST(Archive, TakesPaddingBehindTheTrailer) {
    EXPECT_TRUE(Archive::validate(bytes_of(Builder().add("a", "1").finish() + std::string(512, '\0'))).ok());
    EXPECT_EQ(Archive::validate(bytes_of(Builder().add("a", "1").finish() + "junk")).error().code(),
              ErrorCode::Corrupt);
}

TEST(Archive, EveryTruncationIsFoundAndStaysInBounds) {
    const std::string whole = Builder().add("first", "0123456789").add("second", "x").finish();
    const size_t trailer_end = whole.find("TRAILER!!!") + 11;
    for (size_t size = 1; size < trailer_end; ++size) {
        const std::vector<uint8_t> cut(whole.begin(), whole.begin() + static_cast<long>(size));
        ASSERT_EQ(Archive::validate(Bytes(cut)).error().code(), ErrorCode::Corrupt) << size;
        size_t total = 0;
        for (const ArchiveEntry& entry : Archive(Bytes(cut)))
            for (uint8_t byte : entry.data) total += byte;
        ASSERT_LE(total, 10u * '9' + 'x');
    }
}

struct BentCase {
    const char* name;
    size_t offset;
    const char* bytes;
    const char* reason;
};
class BentArchive : public testing::TestWithParam<BentCase> {};

TEST_P(BentArchive, IsRefusedWithTheReason) {
    std::string bytes = Builder().add("name", "data").finish();
    const std::string patch = GetParam().bytes;
    bytes.replace(GetParam().offset, patch.size(), patch);
    const Result<void> result = Archive::validate(bytes_of(bytes));
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().code(), ErrorCode::Corrupt);
    EXPECT_NE(std::string(result.error().sentence()).find(GetParam().reason), std::string::npos)
        << std::string(result.error().sentence());
    for (const ArchiveEntry& entry : Archive(bytes_of(bytes))) ADD_FAILURE() << std::string(entry.name);
}

INSTANTIATE_TEST_SUITE_P(All, BentArchive,
                         testing::Values(BentCase{"magic", 0, "070702", "no cpio header"},
                                         BentCase{"digit", 6 + 8 * 6, "0000000g", "hexadecimal"},
                                         BentCase{"huge_data", 6 + 8 * 6, "FFFFFFFF", "data of a member is cut off"},
                                         BentCase{"huge_name", 6 + 8 * 11, "FFFFFFFF", "a name is empty or cut off"},
                                         BentCase{"no_name", 6 + 8 * 11, "00000000", "a name is empty or cut off"},
                                         BentCase{"unterminated", 6 + 8 * 11, "00000004", "end with a zero"}),
                         [](const auto& info) { return info.param.name; });

using FileIndexTest = test::AllocatorTest;

TEST_F(FileIndexTest, FindsTheFirstFileOfEachNameAmongMany) {
    Builder builder;
    builder.add("folder", "", 040755).add("file-7", "first");
    for (int i = 0; i < 1000; ++i) builder.add("file-" + std::to_string(i), std::to_string(i));
    const std::string bytes = builder.finish();
    const Archive archive(bytes_of(bytes));
    FileIndex index(archive);
    for (const bool built : {false, true}) {
        if (built) index.build(heap);
        for (int i = 0; i < 1000; ++i) {
            const auto found = index.find("file-" + std::to_string(i));
            ASSERT_TRUE(found.ok()) << i;
            EXPECT_EQ(std::string(as_text(found.value())), i == 7 ? "first" : std::to_string(i));
        }
        for (const Text name : {Text("folder"), Text("file-1000"), Text(), Text("TRAILER!!!")})
            EXPECT_EQ(index.find(name).error().code(), ErrorCode::NotFound);
    }
}

TEST_F(FileIndexTest, FindsNothingInAnEmptyArchive) {
    const Archive archive;
    FileIndex index(archive);
    index.build(heap);
    EXPECT_FALSE(index.find("file").ok());
}

}  // namespace
}  // namespace helix::kernel
