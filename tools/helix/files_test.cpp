// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Files are replaced as a whole; what is no file, or leads to one, stays what it is.

#include "files.hpp"

#include "failure.hpp"

#include <gmock/gmock.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace helix::tool {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

/// All that `write_file` could have left there.
size_t count_entries(const fs::path& folder) {
    return static_cast<size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

class Files : public ::testing::Test {
protected:
    /// What the tests write to, never a device itself: it would not survive a mistake.
    fs::path path() const { return directory_.path() / "out"; }
    void link_to(const fs::path& what) const { fs::create_symlink(what, path()); }

    TemporaryDirectory directory_;
};

TEST_F(Files, AFileIsReplacedUnderItsReaders) {
    write_file(path(), "old");
    const int reader = open(path().c_str(), O_RDONLY);
    ASSERT_GE(reader, 0);
    require_writable(path());
    write_file(path(), "new content");
    char buffer[20] = {};
    EXPECT_EQ(read(reader, buffer, sizeof(buffer)), 3);
    EXPECT_STREQ(buffer, "old");
    close(reader);
    EXPECT_EQ(read_file(path()), "new content");
    EXPECT_EQ(count_entries(directory_.path()), 1u);
}

TEST_F(Files, ALinkGoesOnLeadingToItsFile) {
    const fs::path file = directory_.path() / "folder" / "file";
    write_file(file, "old");
    link_to("folder/file");
    require_writable(path());
    write_file(path(), "new");
    EXPECT_TRUE(fs::is_symlink(path()));
    EXPECT_EQ(read_file(file), "new");
    EXPECT_EQ(count_entries(file.parent_path()), 1u);
}

TEST_F(Files, AnythingElseIsWrittenInto) {
    ASSERT_EQ(mkfifo(path().c_str(), 0600), 0);
    const int reader = open(path().c_str(), O_RDONLY | O_NONBLOCK);
    ASSERT_GE(reader, 0);
    require_writable(path());
    write_file(path(), "some words");
    char buffer[20] = {};
    EXPECT_EQ(read(reader, buffer, sizeof(buffer)), 10);
    EXPECT_STREQ(buffer, "some words");
    close(reader);
    EXPECT_TRUE(fs::is_fifo(path()));
    EXPECT_EQ(count_entries(directory_.path()), 1u);
}

TEST_F(Files, ADeviceStaysOne) {
    link_to("/dev/null");
    require_writable(path());
    write_file(path(), "nobody reads that");
    EXPECT_TRUE(fs::is_symlink(path()));
    EXPECT_TRUE(fs::is_character_file(path()));
}

TEST_F(Files, WhatADeviceDoesNotTakeIsAFailure) {
    link_to("/dev/full");
    try {
        write_file(path(), "too much");
        FAIL() << "it was written";
    } catch (const Failure& failure) {
        EXPECT_EQ(failure.status(), ExitStatus::Environment);
        EXPECT_THAT(failure.what(), HasSubstr("out: No space left on device"));
    }
    EXPECT_TRUE(fs::is_symlink(path()));
}

TEST_F(Files, AFolderIsNoFile) {
    fs::create_directory(path());
    EXPECT_THROW(require_writable(path()), Failure);
    EXPECT_THROW(write_file(path(), "words"), Failure);
    EXPECT_EQ(count_entries(directory_.path()), 1u);
}

}  // namespace
}  // namespace helix::tool
