// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The peer `poco`: POCO's ClassLoader loads a library of one class, or looks classes up by name. It is there where
// libpoco-dev was when the benchmarks were built.
#pragma once

#include <cstdint>
#include <vector>

namespace helix::benchmark {

/// What is looked up.
enum class PocoNames { One, Thousand };

/// Loads the library, creates an object of its class, ends it and unloads the library. Nanoseconds; 0 if that failed,
/// which is said on standard error, or if POCO is not there. On a pthread that is no CPU of a kernel.
uint64_t time_poco_load();
/// A look-up of a class by its name, among so many; nanoseconds, one for each batch of 100. Empty as above.
std::vector<double> time_poco_lookups(PocoNames names);
bool has_poco();

}  // namespace helix::benchmark
