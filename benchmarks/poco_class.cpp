// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A library of one class for POCO's ClassLoader, under as many names as the build says. Empty where POCO is not there.

#if HELIX_POCO

#include "poco_class.hpp"

#include <Poco/ClassLibrary.h>

namespace {

class Adder final : public helix::benchmark::PocoClass {
public:
    uint64_t add_one(uint64_t value) const override { return value + 1; }
};

}  // namespace

POCO_BEGIN_MANIFEST(helix::benchmark::PocoClass)
for (int i = 0; i < HELIX_POCO_NAMES; ++i)
    pManifest->insert(new Poco::MetaObject<Adder, _Base>(("implementor-" + std::to_string(i)).c_str()));
POCO_END_MANIFEST

#endif
