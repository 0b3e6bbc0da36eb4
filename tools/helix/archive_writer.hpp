// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Writes cpio archives in the newc format, the same bytes for the same content.
#pragma once

#include <string>
#include <string_view>

namespace helix::tool {

class ArchiveWriter {
public:
    /// Appends a regular file. Contents start at multiples of four bytes.
    void add(std::string_view name, std::string_view content);
    /// The same, and it may be executed.
    void add_program(std::string_view name, std::string_view content);
    /// Appends the trailer and returns the whole; the writer is empty afterwards.
    std::string finish();

private:
    void add(std::string_view name, std::string_view content, unsigned mode);
    void header(std::string_view name, size_t size, unsigned mode);
    std::string bytes_;
    unsigned entries_ = 0;
};

}  // namespace helix::tool
