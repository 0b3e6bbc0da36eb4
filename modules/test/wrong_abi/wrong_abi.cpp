// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A module for an ABI that the kernel does not speak is refused before any of it runs.

#include "helix/module.hpp"

class WrongAbi final : public helix::Module {
public:
    static constexpr auto kInfo =
        helix::ModuleInfo{"wrong-abi"}.version(1, 0, 0).flags(helix::ModuleFlags::Experimental);

    helix::Result<void> init(const helix::Context& context) override {
        context.error("a module with a foreign ABI was run");
        return {};
    }
    helix::Result<void> start() override { return {}; }
    helix::Result<void> stop() override { return {}; }
};

consteval helix::detail::ModuleImage<WrongAbi> make_image() {
    auto image = helix::detail::make_module_image<WrongAbi>();
    image.head.abi_version = helix::kAbiVersion + 1000;
    return image;
}

/// What HELIX_MODULE defines, but for the version.
extern "C" __attribute__((visibility("default"), used)) constinit const helix::detail::ModuleImage<WrongAbi>
    helix_module = make_image();
