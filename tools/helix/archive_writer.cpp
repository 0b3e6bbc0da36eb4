// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Writes cpio archives (format: cpio(5), "New ASCII Format").

#include "archive_writer.hpp"

#include "failure.hpp"

#include <cstdint>

namespace helix::tool {

namespace {
void pad(std::string& bytes) {
    bytes.resize((bytes.size() + 3) & ~size_t{3}, '\0');
}
constexpr unsigned kRegularFile = 0100644;
constexpr unsigned kProgram = 0100755;
}  // namespace

void ArchiveWriter::header(std::string_view name, size_t size, unsigned mode) {
    if (size > UINT32_MAX) throw Failure(ExitStatus::Environment, "{}: too large for an archive", name);
    // ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor, rdevminor, namesize, check
    bytes_ += fmt::format("070701{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}",
                          ++entries_, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name.size() + 1, 0);
    bytes_ += name;
    bytes_ += '\0';
    pad(bytes_);
}

void ArchiveWriter::add(std::string_view name, std::string_view content) {
    add(name, content, kRegularFile);
}

void ArchiveWriter::add_program(std::string_view name, std::string_view content) {
    add(name, content, kProgram);
}

void ArchiveWriter::add(std::string_view name, std::string_view content, unsigned mode) {
    header(name, content.size(), mode);
    bytes_ += content;
    pad(bytes_);
}

std::string ArchiveWriter::finish() {
    header("TRAILER!!!", 0, 0);
    std::string out = std::move(bytes_);
    bytes_.clear();
    entries_ = 0;
    return out;
}

}  // namespace helix::tool
