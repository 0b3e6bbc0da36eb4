// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Answers what nobody may believe, damages itself, and returns otherwise than it was called.

#include "helix/module.hpp"

class Liar final : public helix::Module {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"liar"}.version(1, 0, 0).flags(helix::ModuleFlags::HotReloadable |
                                                                                   helix::ModuleFlags::Experimental);

    helix::Result<void> init(const helix::Context& context) override {
        context_ = &context;
        return {};
    }
    helix::Result<void> start() override { return {}; }
    helix::Result<void> stop() override { return {}; }

    /// `larger`: a buffer that is said to be larger than it is. `nothing`: one that is nowhere. `long_error`,
    /// `long_response`: a sentence longer than any. `preemption_off`, `preemption_on`: returns so. `statistics`: wants
    /// them where nothing is. `damage`: its object is no more from now on.
    helix::Result<helix::Response> handle_request(const helix::Request& request) override {
        const helix::Text type = request.request_type;
        if (type == "larger") return said_to_have(helix::runtime::buffer_allocate(16), 600);
        if (type == "nothing") return said_to_have(nullptr, 4096);
        if (type == "long_error") {
            helix::Error error(helix::ErrorCode::InvalidState, "short");
            lengthen(&error, sizeof(helix::ErrorCode));
            return error;
        }
        if (type == "long_response") {
            helix::Result<helix::Response> response = helix::Response::err("short");
            lengthen(&response.value(), sizeof(uint16_t));
            return response;
        }
        if (type == "preemption_off") helix::preempt_disable();
        if (type == "preemption_on") helix::preempt_enable();
        if (type == "statistics") {
            const auto* const services = *reinterpret_cast<const helix::Services* const*>(context_);
            services->memory_statistics(reinterpret_cast<helix::InstanceToken* const*>(context_)[1],
                                        reinterpret_cast<helix::MemoryStatistics*>(8));
        }
        if (type == "damage") *reinterpret_cast<volatile uint64_t*>(this) = 0;
        return helix::Response::ok("done");
    }

private:
    static helix::Result<helix::Response> said_to_have(uint8_t* data, size_t size) {
        return helix::Response::ok(helix::Buffer::adopt(data, size));
    }
    /// The size of a fixed text, which stands in front of it.
    static void lengthen(void* what, size_t offset) {
        *reinterpret_cast<volatile uint16_t*>(static_cast<char*>(what) + offset) = UINT16_MAX;
    }

    const helix::Context* context_ = nullptr;
};
HELIX_MODULE(Liar)
