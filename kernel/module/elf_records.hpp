// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Reading records out of bytes that nobody vouches for, and refusing a module file.
#pragma once

#include "helix/result.hpp"

namespace helix::kernel {

inline constexpr Text kRebuild = "build it with helix_add_module";

/// "FILE: reason; remedy".
Error refuse(ErrorCode code, Text file_name, Text reason, Text remedy);

/// Copies the record at `offset`, which may be unaligned; false if it is not whole in `bytes`.
template <typename T>
bool read_record(Bytes bytes, uint64_t offset, T& out) {
    if (offset > bytes.size() || bytes.size() - offset < sizeof(T)) return false;
    __builtin_memcpy(static_cast<void*>(&out), bytes.data() + offset, sizeof(T));
    return true;
}

}  // namespace helix::kernel
